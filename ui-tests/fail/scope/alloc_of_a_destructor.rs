use lease::lease_scope;

fn main() {
    lease_scope!(|scope| {
        scope.alloc(String::from("has a destructor"));
    });
}
