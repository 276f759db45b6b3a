//! A ledger whose incarnations die on demand.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lease::ledger::{Ledger, LedgerError, Liveness, MemoryLedger, Remains};

/// One incarnation's view of a ledger in memory.
#[derive(Clone, Debug)]
pub struct MortalLedger {
    ledger: Arc<MemoryLedger>,
    graveyard: Arc<Mutex<Graveyard>>,
    incarnation: String,
}

#[derive(Debug, Default)]
struct Graveyard {
    /// Whether they are alive; who is buried is not here.
    known: HashMap<String, bool>,
    /// The dead whose remains somebody holds.
    laid_out: HashSet<String>,
}

impl Default for MortalLedger {
    fn default() -> Self {
        let first = Self {
            ledger: Arc::default(),
            graveyard: Arc::default(),
            incarnation: String::new(),
        };
        first.born("first")
    }
}

impl MortalLedger {
    /// Another incarnation on the same ledger.
    #[must_use]
    pub fn born(&self, incarnation: &str) -> Self {
        self.graveyard().known.insert(incarnation.to_owned(), true);
        Self {
            incarnation: incarnation.to_owned(),
            ..self.clone()
        }
    }

    /// This incarnation dies; its threads do not notice.
    pub fn die(&self) {
        self.graveyard().known.insert(self.incarnation.clone(), false);
    }

    /// Nobody can tell any more whether this incarnation lives.
    pub fn vanish(&self) {
        self.graveyard().known.remove(&self.incarnation);
    }

    fn graveyard(&self) -> MutexGuard<'_, Graveyard> {
        self.graveyard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Body {
    graveyard: Arc<Mutex<Graveyard>>,
    incarnation: String,
}

impl Remains for Body {
    fn bury(self: Box<Self>) -> Result<(), LedgerError> {
        let mut graveyard = self.graveyard.lock().unwrap_or_else(PoisonError::into_inner);
        graveyard.known.remove(&self.incarnation);
        Ok(())
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let mut graveyard = self.graveyard.lock().unwrap_or_else(PoisonError::into_inner);
        graveyard.laid_out.remove(&self.incarnation);
    }
}

impl Ledger for MortalLedger {
    crate::delegate!(ledger: head, read, enter, sync, epoch, verify);

    fn incarnation(&self) -> Option<&str> {
        Some(&self.incarnation)
    }

    fn liveness(&self, incarnation: &str) -> Liveness {
        let mut graveyard = self.graveyard();
        match graveyard.known.get(incarnation).copied() {
            None => Liveness::Unknown,
            Some(false) if graveyard.laid_out.insert(incarnation.to_owned()) => {
                Liveness::Dead(Box::new(Body {
                    graveyard: Arc::clone(&self.graveyard),
                    incarnation: incarnation.to_owned(),
                }))
            }
            Some(_) => Liveness::Alive,
        }
    }

    fn incarnations(&self) -> Result<Vec<String>, LedgerError> {
        Ok(self.graveyard().known.keys().cloned().collect())
    }
}
