//! The row about the write section: how long a commit keeps everybody else out, and how long it takes beside that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use lease::ledger::{Head, Ledger, LedgerError, NewRecord, RecordVerifier, Section, SqliteLedger};
use lease::{EventRecord, Registrar};
use lease_benches::is_wanted;

use super::Room;
use super::report;

const COMMITS: u32 = 2_000;

/// Runs the row. It has no target: that nothing is signed or verified inside is a test of its own.
pub(crate) fn run(room: &Room) {
    let row = "section, 1 thread";
    if !is_wanted(row) {
        return;
    }
    let timed = Arc::new(Timed {
        ledger: SqliteLedger::open(room.path("section")).expect("a new ledger"),
        inside: AtomicU64::new(0),
    });
    let registrar = Registrar::builder()
        .on(Arc::<Timed>::clone(&timed))
        .expect("a new ledger");
    timed.inside.store(0, Relaxed);
    let start = Instant::now();
    for n in 0..COMMITS {
        let issued = registrar.issue(format!("work-{n:025}"), Duration::from_hours(1));
        issued.wait().expect("room");
    }
    let micros = |nanos: f64| nanos / 1e3 / f64::from(COMMITS);
    #[allow(clippy::cast_precision_loss, reason = "some seconds")]
    let inside = micros(timed.inside.load(Relaxed) as f64);
    let all = micros(start.elapsed().as_secs_f64() * 1e9);
    report::note(row, "inside, per lease issued", &[inside], "us");
    report::note(row, "outside, per lease issued", &[all - inside], "us");
    drop((registrar, timed));
    room.clear("section");
}

/// A ledger that knows how long its section was held.
struct Timed {
    ledger: SqliteLedger,
    inside: AtomicU64,
}

struct TimedSection<'a> {
    section: Box<dyn Section + 'a>,
    entered: Instant,
    inside: &'a AtomicU64,
}

impl Drop for TimedSection<'_> {
    fn drop(&mut self) {
        let nanos = u64::try_from(self.entered.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.inside.fetch_add(nanos, Relaxed);
    }
}

impl Section for TimedSection<'_> {
    fn read(&mut self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        self.section.read(after, limit)
    }

    fn append(&mut self, expected: &Head, batch: &[NewRecord]) -> Result<Head, LedgerError> {
        self.section.append(expected, batch)
    }

    fn raise_epoch(&mut self) -> Result<u32, LedgerError> {
        self.section.raise_epoch()
    }
}

impl Ledger for Timed {
    fn head(&self) -> Result<Head, LedgerError> {
        self.ledger.head()
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        self.ledger.read(after, limit)
    }

    fn enter(&self) -> Result<Box<dyn Section + '_>, LedgerError> {
        Ok(Box::new(TimedSection {
            section: self.ledger.enter()?,
            entered: Instant::now(),
            inside: &self.inside,
        }))
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.ledger.sync()
    }

    fn epoch(&self) -> Result<u32, LedgerError> {
        self.ledger.epoch()
    }

    fn verify(&self, verifier: &mut dyn RecordVerifier) -> Result<Head, LedgerError> {
        self.ledger.verify(verifier)
    }
}
