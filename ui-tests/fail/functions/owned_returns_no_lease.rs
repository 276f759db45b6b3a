use lease::leased;

struct Session;

#[leased(owned)]
fn open() -> Session {
    Session
}

#[leased(owned)]
fn nothing() {}

#[leased(owned)]
fn name() -> &'static str {
    "name"
}

fn main() {}
