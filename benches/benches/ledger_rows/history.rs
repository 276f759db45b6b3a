//! Histories to replay: each lease has three events, which stand far from each other as they do in a ledger.

use lease::ledger::NewRecord;
use lease::{Clock as _, EventRecord, PublicKey, SystemClock, Tick, helpers};

/// How the leases of a history end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Issued, renewed, released.
    Released,
    /// Issued, renewed twice, and held.
    Held,
}

const RATE: u64 = 1_000_000_000;
const ISSUED_AT: u64 = 1_700_000_000_000_000_000;
const END: u64 = 4_000_000_000_000_000_000;

/// How many leases have an actor, and how many other leases' events stand between two of one's own.
const PER_ACTOR: u64 = 100;
const BETWEEN: u64 = 1_000;

/// Thirty bytes each.
pub(crate) fn lease_id(n: u64) -> String {
    format!("lease-{n:024}")
}

fn work_id(n: u64) -> String {
    format!("work-{n:025}")
}

fn actor_id(n: u64) -> String {
    format!("actor-{:024}", n / PER_ACTOR)
}

/// The events of so many leases, in order. Their signatures name `key` and are none.
pub(crate) fn events(leases: u64, ending: Ending, key: PublicKey) -> impl Iterator<Item = NewRecord> {
    let clock = SystemClock::new().tick().clock;
    let signature = signature(key);
    (0..leases + 2 * BETWEEN).flat_map(move |step| {
        let in_range = |n: Option<u64>| n.filter(|n| *n < leases);
        let record = |kind: &str, actor: String, payload: Vec<u8>| {
            EventRecord::new(kind, "host/12345/0123456789abcdef", actor, payload)
                .at(ISSUED_AT + step, Some(Tick::new(step, RATE, clock)))
        };
        let renewed = |n: u64, end: u64| {
            let payload =
                helpers::lease_renewed_payload_with_ticks(&lease_id(n), end, signature.clone(), end, RATE);
            NewRecord::from(record("lease.renewed", "registrar".to_owned(), payload))
        };
        let issued = in_range(Some(step)).map(|n| {
            let payload = helpers::lease_issued_payload_with_ticks(
                &lease_id(n),
                &work_id(n),
                &actor_id(n),
                ISSUED_AT + step,
                END,
                signature.clone(),
                step,
                END,
                RATE,
            );
            let issued = record("lease.issued", "registrar".to_owned(), payload);
            NewRecord::from(issued).with_key(lease_id(n))
        });
        let second = in_range(step.checked_sub(BETWEEN)).map(|n| renewed(n, END + 1));
        let third = in_range(step.checked_sub(2 * BETWEEN)).map(|n| match ending {
            Ending::Held => renewed(n, END + 2),
            Ending::Released => {
                let payload = helpers::lease_released_payload(&lease_id(n), "COMPLETED");
                record("lease.released", actor_id(n), payload).into()
            }
        });
        [issued, second, third].into_iter().flatten()
    })
}

/// As long as a signature, with the name of its key where that stands. Whoever replays his own records looks no further.
fn signature(key: PublicKey) -> Vec<u8> {
    let mut signature = blake3::hash(&key.to_bytes()).as_bytes()[..8].to_vec();
    signature.resize(72, 7);
    signature
}
