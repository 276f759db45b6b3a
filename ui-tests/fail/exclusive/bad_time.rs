use lease::{ClaimError, leased};

#[leased(exclusive, work = "a", ttl = "0s")]
fn zero() -> Result<(), ClaimError> {
    Ok(())
}

#[leased(exclusive, work = "a", ttl = "250ms")]
fn under_a_second() -> Result<(), ClaimError> {
    Ok(())
}

#[leased(exclusive, work = "a", ttl = "-5s")]
fn negative() -> Result<(), ClaimError> {
    Ok(())
}

#[leased(exclusive, work = "a", ttl = "soon")]
fn unparsable() -> Result<(), ClaimError> {
    Ok(())
}

#[leased(exclusive, work = "a", ttl = "30", wait = 5)]
fn without_unit() -> Result<(), ClaimError> {
    Ok(())
}

fn main() {}
