use lease::lease_scope;

fn escape() -> &'static mut u32 {
    lease_scope!(|scope| { scope.alloc(7) })
}

fn main() {
    let escaped = lease_scope!(|nodes| { nodes.alloc_slice(&[1, 2, 3]) });
    escaped[0] = 4;
    escape();
}
