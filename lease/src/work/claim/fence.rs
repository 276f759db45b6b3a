//! The guard at the protected resource: it lets the newest holder in and keeps older ones out.

use thiserror::Error;

use crate::sync::{Mutex, lock};
use crate::work::registrar::FencingToken;

/// What a protected resource keeps for one work item: the greatest fencing token that it has seen.
///
/// A holder can be stopped for a minute between its last look at the clock and its write. Its claim is lost by then and
/// somebody else may hold the work item; only the resource itself can refuse the late write. In SQL that is one
/// condition; a `Fence` is the same for everything else.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use lease::{Fence, FenceError, Registrar, ReleaseReason};
/// use std::time::Duration;
///
/// let jobs = Registrar::in_memory()?;
/// let fence = Fence::new();
///
/// let first = jobs.try_claim("nightly/report", Duration::from_secs(60)).wait()?;
/// let old = first.fencing_token();
/// fence.admit(old)?;
/// first.release(ReleaseReason::Completed).wait()?;
///
/// let second = jobs.try_claim("nightly/report", Duration::from_secs(60)).wait()?;
/// fence.admit(second.fencing_token())?;
/// assert!(matches!(fence.admit(old), Err(FenceError::Stale { .. })));
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Fence {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    greatest: u64,
    /// The last one admitted; it knows its ledger.
    token: Option<FencingToken>,
}

impl Fence {
    /// A fence that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A fence that goes on from the token stored with the resource, as [`FencingToken::get`] gave it.
    ///
    /// The stored number does not say which ledger it came from; the first token admitted does.
    pub fn starting_at(stored: u64) -> Self {
        Self {
            seen: Mutex::new(Seen {
                greatest: stored,
                token: None,
            }),
        }
    }

    /// Lets the bearer of `token` through, unless a newer one has been here. The same token may come again and again.
    ///
    /// # Errors
    ///
    /// [`FenceError::Stale`] for a token older than one admitted, [`FenceError::ForeignLedger`] for one of another
    /// ledger than the first admitted. The fence is then as it was.
    pub fn admit(&self, token: FencingToken) -> Result<(), FenceError> {
        let mut seen = lock(&self.seen);
        if seen.token.is_some_and(|first| !first.is_same_ledger(&token)) {
            return Err(FenceError::ForeignLedger { token: token.get() });
        }
        if token.get() < seen.greatest {
            return Err(FenceError::Stale {
                token: token.get(),
                admitted: seen.greatest,
            });
        }
        seen.greatest = token.get();
        seen.token = Some(token);
        Ok(())
    }

    /// The greatest token admitted or started at: what to store with the resource.
    pub fn admitted(&self) -> u64 {
        lock(&self.seen).greatest
    }
}

/// A fence refused a token.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FenceError {
    /// A newer holder has been here.
    #[error("the fencing token {token} is older than {admitted}, which was admitted before")]
    Stale {
        /// The token offered.
        token: u64,
        /// The greatest one admitted.
        admitted: u64,
    },
    /// The token comes from another ledger, so its number means nothing here.
    #[error("the fencing token {token} comes from another ledger")]
    ForeignLedger {
        /// The token offered.
        token: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: [u8; 32] = [1; 32];

    fn token(value: u64) -> FencingToken {
        FencingToken::new(value, HERE)
    }

    #[test]
    fn a_fence_admits_rising_and_repeated_tokens() {
        let fence = Fence::new();
        for value in [5, 5, 9] {
            fence.admit(token(value)).unwrap();
        }
        assert_eq!(fence.admitted(), 9);
    }

    #[test]
    fn a_fence_refuses_an_older_token_and_stays_as_it_was() {
        let fence = Fence::new();
        fence.admit(token(9)).unwrap();
        assert_eq!(
            fence.admit(token(8)),
            Err(FenceError::Stale {
                token: 8,
                admitted: 9
            })
        );
        assert_eq!(fence.admitted(), 9);
    }

    #[test]
    fn a_stored_token_holds_after_a_restart() {
        let fence = Fence::starting_at(9);
        assert!(matches!(fence.admit(token(8)), Err(FenceError::Stale { .. })));
        fence.admit(token(9)).unwrap();
    }

    #[test]
    fn a_fence_refuses_tokens_of_another_ledger() {
        let fence = Fence::new();
        fence.admit(token(9)).unwrap();
        let foreign = FencingToken::new(10, [2; 32]);
        assert_eq!(fence.admit(foreign), Err(FenceError::ForeignLedger { token: 10 }));
        assert_eq!(fence.admitted(), 9);
    }
}
