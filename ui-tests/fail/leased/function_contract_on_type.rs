use lease::leased;

#[leased(exclusive, work = "report", ttl = "30s")]
struct Report;

#[leased(scoped)]
struct Page;

fn main() {}
