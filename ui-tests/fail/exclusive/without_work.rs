use lease::{ClaimError, leased};

#[leased(exclusive, ttl = "30s", claim = claim)]
fn report() -> Result<u64, ClaimError> {
    Ok(claim.fencing_token().get())
}

#[leased(exclusive)]
async fn nightly() -> Result<(), ClaimError> {
    Ok(())
}

fn main() {}
