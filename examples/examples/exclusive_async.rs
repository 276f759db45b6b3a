//! An exclusive async function under tokio: each invoice is charged by one task at a time, and the database refuses
//! whoever comes with an older token.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use lease::{ClaimError, Fence, FenceError, FencingToken, Registrar, leased};

/// What is protected keeps the fence, not the one who calls.
#[derive(Default)]
struct Db {
    charged: Mutex<HashMap<u64, (Fence, u32)>>,
}

impl Db {
    async fn charge(&self, invoice: u64, token: FencingToken) -> Result<u32, FenceError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut charged = self.charged.lock().expect("no holder panics");
        let (fence, times) = charged.entry(invoice).or_default();
        fence.admit(token)?;
        *times += 1;
        Ok(*times)
    }
}

#[derive(Debug, thiserror::Error)]
enum BillError {
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Fence(#[from] FenceError),
}

/// Runs only while the claim is held; dropped at the next poll if it is lost.
#[leased(exclusive, work = "invoice/{id}", ttl = "30s", claim = claim)]
async fn bill(id: u64, db: &Db) -> Result<(u32, FencingToken), BillError> {
    let times = db.charge(id, claim.fencing_token()).await?;
    Ok((times, claim.fencing_token()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jobs = Registrar::in_memory()?;
    jobs.clone()
        .install_global()
        .expect("nobody installed one before");
    let db = Db::default();

    // Two tasks want the same invoice: one runs, the other is told who does.
    let (first, second) = tokio::join!(bill(7, &db), bill(7, &db));
    let refused =
        |outcome: &Result<_, BillError>| matches!(outcome, Err(BillError::Claim(ClaimError::Busy(_))));
    assert!(
        first.is_ok() != second.is_ok() && (refused(&first) || refused(&second)),
        "exactly one ran"
    );
    let (_, old) = first.or(second)?;

    // Different invoices do not meet.
    tokio::try_join!(bill(8, &db), bill(9, &db))?;

    // Afterwards the invoice is free again, under a higher token; the old one is refused from then on.
    let (times, new) = bill(7, &db).await?;
    assert!(times == 2 && new.get() > old.get());
    assert!(
        db.charge(7, old).await.is_err(),
        "a holder who woke up too late writes nothing"
    );

    // A future that is dropped half-way gives its invoice back.
    let half_way = tokio::time::timeout(Duration::from_millis(5), bill(9, &db)).await;
    assert!(half_way.is_err());
    let wait = Duration::from_secs(5);
    assert!(jobs.claim_timeout("invoice/9", 2 * wait, wait).await?.is_held());
    Ok(())
}
