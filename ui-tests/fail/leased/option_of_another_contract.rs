use lease::leased;

#[leased(owned, ttl = "30s")]
struct Session;

#[leased(scoped, work = "report")]
fn report() {}

fn main() {}
