//! Rows about reading back: from memory, from the file, with and without checking.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use lease::ledger::{Ledger as _, NewRecord, SqliteLedger};
use lease::{
    Durability, EventRecord, LeaseReducer, Reducer as _, ReducerContext, Registrar, Replayer, Signer,
};
use lease_benches::is_wanted;
use rusqlite::{Connection, OpenFlags};

use super::Room;
use super::history::{self, Ending};
use super::peer::Peer;
use super::report::{self, Goal};

const ROUNDS: usize = 7;

/// Leases of three events each.
const LEASES: u64 = 100_000;

/// Live leases of a ledger that is opened.
const LIVE: u64 = 1_000_000;

/// How often it is opened from its checkpoint.
const OPENINGS: usize = 3;

/// Leases that are really signed, of one event each.
const SIGNED: u32 = 20_000;

/// How many records are read, or appended, at a time.
const PAGE: usize = 1_024;

/// Runs these rows; returns how many targets were missed.
pub(crate) fn run(room: &Room) -> usize {
    let mut missed = 0;
    if is_wanted("replay, memory") {
        missed += from_memory("replay, memory");
    }
    if is_wanted("replay, file") {
        missed += from_file("replay, file", room);
    }
    if is_wanted("open, a million") {
        missed += from_checkpoint("open, a million", room);
    }
    if is_wanted("verify, signatures") {
        signatures("verify, signatures", room);
    }
    missed
}

/// Times the sides in turn, and gives what each did in a second, round by round. The first round warms up.
fn interleave<const SIDES: usize>(count: u32, sides: &mut [&mut dyn FnMut(); SIDES]) -> [Vec<f64>; SIDES] {
    let mut rates = [const { Vec::new() }; SIDES];
    for round in 0..=ROUNDS {
        for turn in 0..SIDES {
            let side = (round + turn) % SIDES;
            let start = Instant::now();
            sides[side]();
            let elapsed = start.elapsed();
            if round > 0 {
                rates[side].push(f64::from(count) / elapsed.as_secs_f64());
            }
        }
    }
    rates
}

fn from_memory(row: &str) -> usize {
    let key = Signer::generate().public_key();
    let records: Vec<EventRecord> = history::events(LEASES, Ending::Released, key)
        .map(|new| new.record)
        .collect();
    let count = u32::try_from(records.len()).expect("some hundred thousand");
    let mut ours = || {
        let mut reducer = LeaseReducer::new();
        for (record, sequence) in records.iter().zip(1..) {
            let applied = reducer.apply(record, &ReducerContext::new(sequence));
            applied.expect("a history without mistakes");
        }
        assert_eq!(reducer.state().released_count() as u64, LEASES);
        black_box(reducer);
    };
    let mut theirs = || {
        let mut peer = Peer::default();
        for record in &records {
            peer.apply(record).expect("a history without mistakes");
        }
        assert_eq!(peer.len() as u64, LEASES);
        black_box(peer);
    };
    let [ours, theirs] = interleave(count, &mut [&mut ours, &mut theirs]);
    report::line(row, "records/s", &ours, &theirs, "/s", Goal::AtLeast(1.5))
}

fn from_file(row: &str, room: &Room) -> usize {
    let folder = room.path("history");
    let signer = Signer::generate();
    let count = write(&folder, &signer, LEASES, Ending::Released);
    let ledger = SqliteLedger::open(&folder).expect("the ledger just written");
    let raw = Connection::open_with_flags(folder.join("ledger.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)
        .expect("the same database");
    let mut replay = || {
        let mut replayer = Replayer::new(LeaseReducer::new());
        let mut after = 0;
        loop {
            let page = ledger.read(after, PAGE).expect("records");
            after += page.len() as u64;
            replayer.extend(&page);
            if page.len() < PAGE {
                break;
            }
        }
        assert_eq!(replayer.state().released_count() as u64, LEASES);
        black_box(&replayer);
    };
    let mut verify = || {
        let head = ledger.verify(&mut ()).expect("a sound history");
        assert_eq!(head.sequence, u64::from(count));
    };
    let mut scan = || assert_eq!(scan(&raw), count);
    let [replayed, verified, scanned] = interleave(count, &mut [&mut replay, &mut verify, &mut scan]);
    let mut missed = report::line(
        row,
        "apply, to a SELECT",
        &replayed,
        &scanned,
        "/s",
        Goal::AtLeast(0.2),
    );
    missed += report::line(
        row,
        "verify, to a SELECT",
        &verified,
        &scanned,
        "/s",
        Goal::AtLeast(0.15),
    );
    drop(ledger);
    room.clear("history");
    missed
}

/// Takes up a ledger with a million live leases, once from its start and then from a checkpoint. By the reducer alone:
/// a registrar would verify three million signatures on the one side, and on the other does what is done here.
fn from_checkpoint(row: &str, room: &Room) -> usize {
    let folder = room.path("million");
    write(&folder, &Signer::generate(), LIVE, Ending::Held);
    let open = || {
        let start = Instant::now();
        let ledger = SqliteLedger::open(&folder).expect("the ledger just written");
        let view = Replayer::resume(&ledger, LeaseReducer::new()).expect("a ledger that can be read");
        let elapsed = start.elapsed().as_secs_f64();
        assert_eq!(view.state().active_count() as u64, LIVE);
        (elapsed, ledger, view)
    };
    let (from_start, ledger, view) = open();
    view.save(&ledger).expect("room");
    drop((ledger, view));
    let resumed = [(); OPENINGS].map(|()| open().0);
    room.clear("million");
    report::line(
        row,
        "checkpoint, to a replay",
        &resumed,
        &[from_start; OPENINGS],
        "s",
        Goal::AtMost(0.1),
    )
}

/// A ledger with such a history; says how many records it has.
fn write(folder: &Path, signer: &Signer, leases: u64, ending: Ending) -> u32 {
    // Its first record, by which it trusts the key.
    let registrar = Registrar::builder().signer(signer.clone()).open(folder);
    registrar.expect("a new ledger").close().wait().expect("room");
    let ledger = SqliteLedger::open(folder).expect("the ledger just made");
    let mut head = ledger.head().expect("a head");
    let mut events = history::events(leases, ending, signer.public_key());
    loop {
        let batch: Vec<NewRecord> = events.by_ref().take(PAGE).collect();
        if batch.is_empty() {
            return u32::try_from(head.sequence).expect("some millions");
        }
        head = ledger.append(&head, &batch).expect("room");
    }
}

/// Steps through all rows and looks at every column.
fn scan(connection: &Connection) -> u32 {
    let mut statement = connection
        .prepare_cached(
            "SELECT sequence, previous_hash, hash, event_type, session_id, actor_id, payload, wall, tick, tick_rate, \
             tick_clock, unique_key FROM events ORDER BY sequence",
        )
        .expect("a table");
    let mut rows = statement.query([]).expect("rows");
    let mut count = 0;
    while let Some(row) = rows.next().expect("a row") {
        for column in 0..12 {
            black_box(row.get_ref(column).expect("a column"));
        }
        count += 1;
    }
    count
}

/// What it costs to check signatures too: each is worth some forty reads, so there is no target, only the figure.
fn signatures(row: &str, room: &Room) {
    let folder = room.path("signed");
    let builder = Registrar::builder().durability(Durability::Buffered);
    let registrar = builder.open(&folder).expect("a new ledger");
    let pending: Vec<_> = (0..SIGNED)
        .map(|n| registrar.issue(format!("work-{n:025}"), Duration::from_hours(1)))
        .collect();
    for issued in pending {
        issued.wait().expect("room");
    }
    let mut chain = || {
        registrar.ledger().verify(&mut ()).expect("a sound history");
    };
    let mut all = || {
        registrar.verify().expect("a sound history");
    };
    let [all, chain] = interleave(SIGNED, &mut [&mut all, &mut chain]);
    report::line(row, "to the chain alone", &all, &chain, "/s", Goal::None);
    drop(registrar);
    room.clear("signed");
}
