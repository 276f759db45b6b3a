//! The ledger in memory keeps the common promises.

use std::{sync::Arc, time::Duration};

use lease::ledger::{Ledger, MemoryLedger};

fn open(patience: Duration) -> (Arc<dyn Ledger>, ()) {
    (Arc::new(MemoryLedger::with_patience(patience)), ())
}

crate::conformance::suite!(open);
