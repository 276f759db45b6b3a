use lease::{ClaimError, leased};

#[leased(exclusive, work = "invoice/{invoice}", ttl = "30s")]
fn bill(id: u64) -> Result<u64, ClaimError> {
    Ok(id)
}

fn main() {}
