use lease::LeaseEvent;

#[derive(LeaseEvent)]
#[event(namespace = "order")]
enum OrderEvent {
    #[event(tag = 1)]
    Placed {
        #[event(tag = 1)]
        order: String,
    },
    #[event(kind = "shipped")]
    Shipped,
    Cancelled,
}

fn main() {}
