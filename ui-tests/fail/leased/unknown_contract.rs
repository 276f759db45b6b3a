use lease::leased;

#[leased(ownd)]
struct Session;

#[leased(OWNED)]
struct Buffer;

#[leased(rented)]
fn open() {}

fn main() {}
