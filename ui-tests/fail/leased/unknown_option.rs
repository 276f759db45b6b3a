use lease::leased;

#[leased(owned, capcity = 10)]
struct Session;

#[leased(owned, size = 10)]
struct Buffer;

fn main() {}
