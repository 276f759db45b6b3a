use lease::LeaseEvent;

#[derive(LeaseEvent)]
#[event(namespace = "order")]
enum OrderEvent {
    #[event(kind = "placed", tag = 1)]
    Placed {
        #[event(tag = 1)]
        order: String,
        #[event(tag = 1)]
        cents: u64,
    },
    #[event(kind = "placed", tag = 2)]
    Again,
    #[event(kind = "shipped", tag = 1)]
    Shipped,
}

fn main() {}
