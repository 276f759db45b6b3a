//! Who has a ledger open, and who has died.
//!
//! Each time a process opens a ledger it is an *incarnation* there, with a name that no other ever has. A record can
//! carry that name, and whoever reads it later can ask whether its writer still lives. Nobody is watched: an
//! incarnation holds something that the system takes away when its process ends, however it ends.

use std::fmt;

use super::LedgerError;

/// What can be known of an incarnation; see [`Ledger::liveness`](super::Ledger::liveness).
#[derive(Debug)]
#[non_exhaustive]
pub enum Liveness {
    /// It has the ledger open, though it may be stopped.
    Alive,
    /// It has not, and never will have again.
    Dead(Box<dyn Remains>),
    /// Nobody can tell. It may well be alive.
    Unknown,
}

/// What a dead incarnation has left behind. While somebody holds this, nobody else is told that it is dead: what has
/// to be done because of a death is done by one.
pub trait Remains: Send + fmt::Debug {
    /// Removes what is left. From then on nobody can tell that the incarnation has died, so its affairs must be settled.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be written; the remains are then still there.
    fn bury(self: Box<Self>) -> Result<(), LedgerError>;
}
