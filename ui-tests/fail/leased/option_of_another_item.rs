use lease::leased;

#[leased(owned, scope = s)]
struct Session;

#[leased(owned, capacity = 8)]
fn open() -> lease::StrongLease<Session> {
    Session
}

fn main() {}
