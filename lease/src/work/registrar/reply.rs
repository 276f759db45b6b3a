//! Where the answer to a queued command goes.

use crate::work::registrar::token::LedgerId;
use crate::work::registrar::{Completer, Lease, RegistrarError};

/// What a command did.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The leases it changed, as they stood right after it, in the order of its records.
    pub(crate) leases: Vec<Lease>,
    /// The position of its last record; of the ledger's last one when it wrote none.
    pub(crate) sequence: u64,
    /// The ledger it is in.
    pub(crate) ledger: LedgerId,
}

pub(crate) type Answer = Result<Outcome, RegistrarError>;

/// Somebody who is told what became of a command.
pub(crate) trait Reply: Send {
    /// Whether nobody wants the command done any more.
    fn is_withdrawn(&self) -> bool;

    /// Tells.
    fn answer(self: Box<Self>, answer: Answer);
}

/// A completion that is told, and whose drop withdraws the command.
pub(crate) struct Withdrawable<T, E: From<RegistrarError>, F> {
    pub(crate) completer: Completer<T, E>,
    pub(crate) finish: F,
}

impl<T, E, F> Reply for Withdrawable<T, E, F>
where
    T: Send,
    E: From<RegistrarError> + Send,
    F: FnOnce(Answer) -> Result<T, E> + Send,
{
    fn is_withdrawn(&self) -> bool {
        self.completer.is_abandoned()
    }

    fn answer(self: Box<Self>, answer: Answer) {
        self.completer.complete((self.finish)(answer));
    }
}

/// A function that is told, of a command that is done in any case.
pub(crate) struct Callback<F>(pub(crate) F);

impl<F: FnOnce(Answer) + Send> Reply for Callback<F> {
    fn is_withdrawn(&self) -> bool {
        false
    }

    fn answer(self: Box<Self>, answer: Answer) {
        self.0(answer);
    }
}
