//! Verifying a whole ledger: every record in its place in the chain, every signature one of a key trusted by then, every
//! seal signed.
//!
//! The walk along the chain is one thread's; signatures take several times as long and are verified beside it, many at
//! once. A batch proves all of its signatures or says that one of them is bad; then they are verified singly, to name
//! it.

use std::collections::VecDeque;
use std::mem;

use crate::sync::{Arc, Condvar, Mutex, available_parallelism, lock, thread};
use crate::work::event::EventRecord;
use crate::work::ledger::{Fault, Head, Ledger, LedgerError, Objection, RecordVerifier, Seal};
use crate::work::registrar::RegistrarError;
use crate::work::registrar::key_ring::Statement;
use crate::work::registrar::projection::{FOR_EVER, Projection};
use crate::work::registrar::signed_head::{SignedHead, SignedHeadError};
use crate::work::registrar::token::LedgerId;
use crate::work::tick::Tick;

/// How many signatures are verified at once: enough that more would not be faster.
const BATCH: usize = 256;

/// How many batches may wait before the walk stops to help.
const WAITING: usize = 8;

/// The most threads that verify beside the walk.
const HELPERS: usize = 8;

/// Walks `ledger` and returns the head it ends in; if `kept` is given, the ledger must contain it.
pub(crate) fn verify(
    ledger: &dyn Ledger,
    now: Tick,
    kept: Option<&SignedHead>,
) -> Result<Head, RegistrarError> {
    Ok(replay(ledger, now, kept)?.head())
}

/// The same, and returns the view of the ledger as it stands there. It has forgotten no lease: what a signature on a
/// forgotten one would have to say nobody could tell.
pub(crate) fn replay(
    ledger: &dyn Ledger,
    now: Tick,
    kept: Option<&SignedHead>,
) -> Result<Projection, RegistrarError> {
    if let Some(kept) = kept {
        check_ledger(ledger, kept)?;
    }
    let (projection, kept_is_trusted) = walk(ledger, now, kept)?;
    match kept {
        Some(kept) if !kept_is_trusted => Err(SignedHeadError::Untrusted {
            sequence: kept.sequence(),
            public_key: kept.public_key(),
        }
        .into()),
        _ => Ok(projection),
    }
}

/// Also says whether the key of `kept` was trusted where that was signed.
fn walk(
    ledger: &dyn Ledger,
    now: Tick,
    kept: Option<&SignedHead>,
) -> Result<(Projection, bool), LedgerError> {
    let seals = ledger.seals()?.into();
    let office = Arc::new(Office::default());
    let helpers: Vec<_> = (0..helpers()).filter_map(|_| hire(&office)).collect();
    let mut signatures = Signatures {
        projection: Projection::new(1, FOR_EVER),
        now,
        collected: Vec::new(),
        office: &office,
        kept,
        kept_is_trusted: true,
        seals,
    };
    let walked = match kept {
        Some(kept) => ledger.verify(&mut (&mut signatures, kept.head())),
        None => ledger.verify(&mut signatures),
    };
    signatures.submit();
    office.close();
    while office.verify_one() {}
    for helper in helpers {
        // One that panicked left its batch without a verdict; there is nothing better than to panic as well.
        if let Err(panic) = helper.join() {
            std::panic::resume_unwind(panic);
        }
    }
    first_of(walked, office.verdict())?;
    Ok((signatures.projection, signatures.kept_is_trusted))
}

/// The walk may have come to a later bad record before an earlier signature was verified.
fn first_of(walked: Result<Head, LedgerError>, forged: Option<Forged>) -> Result<Head, LedgerError> {
    match (walked, forged) {
        (walked, None) => walked,
        (Err(LedgerError::BadRecord { sequence, fault }), Some(forged)) if sequence <= forged.sequence => {
            Err(LedgerError::BadRecord { sequence, fault })
        }
        (_, Some(forged)) => Err(LedgerError::BadRecord {
            sequence: forged.sequence,
            fault: Fault::Refused {
                reason: forged.reason,
            },
        }),
    }
}

fn check_ledger(ledger: &dyn Ledger, kept: &SignedHead) -> Result<(), RegistrarError> {
    let hex = |id: LedgerId| blake3::Hash::from(id).to_hex().to_string();
    match ledger.read(0, 1)?.first() {
        Some(first) if first.hash != kept.ledger_id() => Err(SignedHeadError::OtherLedger {
            expected: hex(kept.ledger_id()),
            found: hex(first.hash),
        }
        .into()),
        // An empty one is one whose whole history was cut off, which the walk says.
        _ => Ok(()),
    }
}

/// How many threads there are besides this one.
fn helpers() -> usize {
    available_parallelism().map_or(0, |all| (all.get() - 1).min(HELPERS))
}

/// A thread that verifies until the office closes; if there is none to spare, the walk does it all.
fn hire(office: &Arc<Office>) -> Option<thread::JoinHandle<()>> {
    let office = Arc::clone(office);
    thread::Builder::new()
        .name("lease-verify".to_owned())
        .spawn(move || while office.wait_and_verify_one() {})
        .ok()
}

/// Collects signatures along the ledger, with a view of its own that trusts nobody beforehand.
struct Signatures<'a> {
    projection: Projection,
    now: Tick,
    collected: Vec<Collected>,
    office: &'a Office,
    kept: Option<&'a SignedHead>,
    kept_is_trusted: bool,
    /// Those that the walk has not come to.
    seals: VecDeque<Seal>,
}

impl Signatures<'_> {
    fn submit(&mut self) {
        let batch = mem::take(&mut self.collected);
        if !batch.is_empty() && !self.office.take(batch) {
            self.office.verify_one();
        }
    }
}

impl Signatures<'_> {
    /// Whether a registrar that was trusted there has signed the head of what it sealed.
    fn check_seal(&self, seal: &Seal) -> Result<(), String> {
        let signed = SignedHead::from_bytes(&seal.statement)
            .map_err(|error| format!("the seal up to it carries no signed head: {error}"))?;
        // Which ledger it is of, the hash says as well.
        if signed.head() != seal.head {
            return Err("the seal up to it carries the signed head of something else".to_owned());
        }
        if !self.projection.keys().trusts(signed.public_key()) {
            return Err("the seal up to it is signed by a key that was not trusted".to_owned());
        }
        Ok(())
    }
}

impl RecordVerifier for Signatures<'_> {
    fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
        for record in records {
            let sequence = record.sequence;
            let statement = self
                .projection
                .apply_unverified(record, self.now)
                .map_err(|reason| Objection::new(sequence, reason))?;
            if let Some(statement) = statement {
                self.collected.push(Collected { sequence, statement });
            }
            if self.collected.len() == BATCH {
                self.submit();
            }
            if let Some(kept) = self.kept
                && kept.sequence() == sequence
            {
                self.kept_is_trusted = self.projection.keys().trusts(kept.public_key());
            }
            if let Some(seal) = self.seals.pop_front_if(|seal| seal.head.sequence == sequence) {
                self.check_seal(&seal)
                    .map_err(|reason| Objection::new(sequence, reason))?;
            }
        }
        match self.office.verdict() {
            // Named in the end, when no earlier one can turn up.
            Some(forged) => Err(Objection::new(forged.sequence, forged.reason)),
            None => Ok(()),
        }
    }
}

/// A signature on its way to be verified, and the record that carries it.
struct Collected {
    sequence: u64,
    statement: Statement,
}

/// The first bad signature that was found.
#[derive(Clone)]
struct Forged {
    sequence: u64,
    reason: String,
}

/// Where batches wait for whoever has time.
#[derive(Default)]
struct Office {
    desk: Mutex<Desk>,
    arrived: Condvar,
}

#[derive(Default)]
struct Desk {
    batches: VecDeque<Vec<Collected>>,
    is_closed: bool,
    forged: Option<Forged>,
}

impl Office {
    /// Takes a batch, and says whether there is room for more.
    fn take(&self, batch: Vec<Collected>) -> bool {
        let mut desk = lock(&self.desk);
        desk.batches.push_back(batch);
        let has_room = desk.batches.len() < WAITING;
        drop(desk);
        self.arrived.notify_one();
        has_room
    }

    /// No more batches come.
    fn close(&self) {
        lock(&self.desk).is_closed = true;
        self.arrived.notify_all();
    }

    /// Verifies a batch, if one waits.
    fn verify_one(&self) -> bool {
        let batch = lock(&self.desk).batches.pop_front();
        batch.map(|batch| self.verify(&batch)).is_some()
    }

    /// The same, but waits for one; false once there are none and no more come.
    fn wait_and_verify_one(&self) -> bool {
        let mut desk = lock(&self.desk);
        while desk.batches.is_empty() && !desk.is_closed {
            desk = match self.arrived.wait(desk) {
                Ok(desk) => desk,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
        let batch = desk.batches.pop_front();
        drop(desk);
        batch.map(|batch| self.verify(&batch)).is_some()
    }

    fn verify(&self, batch: &[Collected]) {
        let Some(bad) = first_forged(batch) else {
            return;
        };
        let mut desk = lock(&self.desk);
        if desk
            .forged
            .as_ref()
            .is_none_or(|known| bad.sequence < known.sequence)
        {
            desk.forged = Some(bad);
        }
    }

    fn verdict(&self) -> Option<Forged> {
        lock(&self.desk).forged.clone()
    }
}

fn first_forged(batch: &[Collected]) -> Option<Forged> {
    if Statement::are_genuine(batch.iter().map(|one| &one.statement)) {
        return None;
    }
    let bad = batch.iter().find(|one| !one.statement.is_genuine())?;
    Some(Forged {
        sequence: bad.sequence,
        reason: "its signature is not valid".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::registrar::{Registrar, Signer};

    #[test]
    fn a_head_of_this_history_that_a_stranger_signed_is_refused() {
        let registrar = Registrar::in_memory().unwrap();
        let ours = registrar.signed_head().unwrap();
        let stranger = Signer::generate();
        let theirs = SignedHead::sign(ours.ledger_id(), ours.head(), &stranger);
        registrar.verify_against(&ours).unwrap();
        let refused = registrar.verify_against(&theirs);
        assert!(
            matches!(
                &refused,
                Err(RegistrarError::SignedHead(SignedHeadError::Untrusted {
                    sequence: 1,
                    ..
                }))
            ),
            "{refused:?}"
        );
        // Trusted later is too late.
        registrar.trust_key(stranger.public_key()).wait().unwrap();
        assert!(registrar.verify_against(&theirs).is_err());
    }

    #[test]
    fn a_seal_that_a_stranger_signed_is_named() {
        let registrar = Registrar::in_memory().unwrap();
        let ours = registrar.signed_head().unwrap();
        let theirs = SignedHead::sign(ours.ledger_id(), ours.head(), &Signer::generate());
        registrar.ledger().seal(&ours.head(), &theirs.to_bytes()).unwrap();
        let Err(RegistrarError::Ledger(error)) = registrar.verify() else {
            panic!("nobody noticed");
        };
        assert!(
            matches!(&*error, LedgerError::BadRecord { sequence: 1, fault } if fault.to_string().contains("not trusted")),
            "{error:?}"
        );
    }

    #[test]
    fn the_earlier_of_two_faults_is_named_whoever_finds_it() {
        let chain = |sequence| {
            Err(LedgerError::BadRecord {
                sequence,
                fault: Fault::Altered,
            })
        };
        let forged = Forged {
            sequence: 5,
            reason: "forged".to_owned(),
        };
        for (walked, named) in [(chain(4), 4), (chain(6), 5), (Ok(Head::default()), 5)] {
            let first = first_of(walked, Some(forged.clone()));
            assert!(
                matches!(first, Err(LedgerError::BadRecord { sequence, .. }) if sequence == named),
                "{first:?}"
            );
        }
    }
}
