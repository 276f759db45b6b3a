use lease::lease_scope;

fn main() {
    lease_scope!();
    lease_scope!({ 1 });
    lease_scope!(|a, b| { 1 });
    lease_scope!(|scope| 1);
    lease_scope!(|scope| { 1 } 2);
}
