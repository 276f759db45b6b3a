use std::fmt::Display;

use lease::leased;

#[leased(exclusive, work = "a", ttl = "30s")]
fn nothing() {}

#[leased(exclusive, work = "a", ttl = "30s")]
fn number() -> u64 {
    7
}

#[leased(exclusive, work = "a", ttl = "30s")]
async fn opaque() -> impl Display {
    7
}

#[leased(exclusive, work = "a", ttl = "30s")]
async fn other_error() -> Result<u64, std::fmt::Error> {
    Ok(7)
}

fn main() {}
