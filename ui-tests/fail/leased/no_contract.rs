use lease::leased;

#[leased]
struct Session;

#[leased(capacity = 10)]
struct Buffer;

fn main() {}
