//! What programs were promised before the power was cut, and whether a disk keeps it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    path::Path,
    time::Duration,
};

use lease::{
    EventRecord, Registrar,
    ledger::{Head, Ledger, SqliteLedger},
};

/// What was promised so far; see the load for the lines.
#[derive(Default)]
pub(crate) struct Promises {
    epoch: u32,
    token: u64,
    synced: BTreeMap<u64, u32>,
    issued: BTreeSet<String>,
    released: BTreeSet<String>,
    copied: BTreeMap<String, u64>,
}

impl Promises {
    /// Takes note of a line.
    pub(crate) fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match *words {
            ["epoch", epoch] => self.epoch = self.epoch.max(epoch.parse().unwrap()),
            ["token", token] => self.token = self.token.max(token.parse().unwrap()),
            ["synced", sequence, hash] => {
                let hash = u32::from_str_radix(hash, 16).unwrap();
                self.synced.insert(sequence.parse().unwrap(), hash);
            }
            ["issued", lease] => self.issued.extend([lease.to_owned()]),
            ["released", lease] => self.released.extend([lease.to_owned()]),
            ["copied", sequence, copy] => self.copied.extend([(copy.to_owned(), sequence.parse().unwrap())]),
            _ => panic!("what was promised with `{line}`?"),
        }
    }
}

/// Every record that was ever appended, by its hash; the first is number 1.
pub(crate) type History = Vec<[u8; 32]>;

/// The history of the ledger in `place`.
pub(crate) fn history(place: &Path) -> History {
    let ledger = SqliteLedger::open(place.join(LEDGER)).unwrap();
    ledger
        .read(0, usize::MAX)
        .unwrap()
        .iter()
        .map(|record| record.hash)
        .collect()
}

const LEDGER: &str = "jobs.lease";

/// Whether the ledgers in `place` keep what was promised, and work on; else what is wrong.
pub(crate) fn examine(place: &Path, promises: &Promises, history: &History) -> Result<(), String> {
    let path = place.join(LEDGER);
    // The image is a copy, so it is not at home before it is adopted.
    let ledger = tell("open", SqliteLedger::adopt(&path))?;
    sound(&ledger, history)?;
    for (sequence, hash) in &promises.synced {
        let record = tell("read", ledger.read(sequence - 1, 1))?;
        let found = record.first().map(|record| start(&record.hash));
        ensure(found == Some(*hash), || {
            format!("record {sequence} was {hash}, is {found:?}")
        })?;
    }
    let epoch = tell("read the epoch", ledger.epoch())?;
    ensure(epoch > promises.epoch, || {
        format!("epoch {epoch} after {}", promises.epoch)
    })?;
    let first = tell("read", ledger.read(0, 1))?;
    if first.is_empty() || first[0].event_type == "ledger.key_added" {
        tokens(&path, promises)?;
    }
    works_on(&ledger)?;
    copies(place, promises, history)
}

/// The chain is whole and tells nothing that did not happen.
fn sound(ledger: &SqliteLedger, history: &History) -> Result<Head, String> {
    let head = tell("verify", ledger.verify(&mut ()))?;
    let records = tell("read", ledger.read(0, usize::MAX))?;
    for record in &records {
        let happened = history.get(usize::try_from(record.sequence).unwrap() - 1) == Some(&record.hash);
        ensure(happened, || format!("record {} is an invention", record.sequence))?;
    }
    ensure(records.len() as u64 == head.sequence, || {
        "records and head differ".to_owned()
    })?;
    Ok(head)
}

fn works_on(ledger: &SqliteLedger) -> Result<(), String> {
    let head = tell("read the head", ledger.head())?;
    let next = EventRecord::new("note.made", "session", "survivor", "on");
    let next = tell("append", ledger.append(&head, &[next.into()]))?;
    tell("sync", ledger.sync())?;
    let verified = tell("verify", ledger.verify(&mut ()))?;
    ensure(verified == next, || format!("{verified:?} after {next:?}"))
}

/// Leases are what they were, and no token is given out twice.
fn tokens(path: &Path, promises: &Promises) -> Result<(), String> {
    let registrar = tell("open the registrar", Registrar::open(path))?;
    tell("verify the signatures", registrar.verify())?;
    let missing = tell(
        "ask",
        registrar.query(|state| {
            let lost = |lease: &&String| state.get(lease).is_none();
            let alive = |lease: &&String| state.get(lease).is_none_or(|lease| !lease.state.is_terminal());
            promises
                .issued
                .iter()
                .find(lost)
                .or_else(|| promises.released.iter().find(alive))
                .cloned()
        }),
    )?;
    ensure(missing.is_none(), || {
        format!("lease {missing:?} is not what it was")
    })?;
    let lease = tell(
        "issue",
        registrar.issue("afterwards", Duration::from_mins(1)).wait(),
    )?;
    let (last, token) = (promises.token, lease.fencing_token);
    ensure(token > last, || format!("token {token} after {last}"))?;
    tell("close", registrar.close().wait())
}

/// Backups that were promised are whole; the others are, or are no ledgers.
fn copies(place: &Path, promises: &Promises, history: &History) -> Result<(), String> {
    for (copy, sequence) in &promises.copied {
        let copy = tell("open the copy", SqliteLedger::adopt(place.join(copy)))?;
        let head = sound(&copy, history)?;
        ensure(head.sequence >= *sequence, || {
            format!("the copy ends at {}, not {sequence}", head.sequence)
        })?;
    }
    for entry in tell("list", place.read_dir())? {
        let name = tell("list", entry)?.file_name();
        if name.to_string_lossy().starts_with("copy-")
            && let Ok(copy) = SqliteLedger::adopt(place.join(&name))
        {
            sound(&copy, history)?;
            works_on(&copy)?;
        }
    }
    Ok(())
}

/// What is told of a hash.
fn start(hash: &[u8; 32]) -> u32 {
    let [first, second, third, fourth, ..] = *hash;
    u32::from_be_bytes([first, second, third, fourth])
}

fn tell<T, E: Debug>(what: &str, outcome: Result<T, E>) -> Result<T, String> {
    outcome.map_err(|error| format!("could not {what}: {error:?}"))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
