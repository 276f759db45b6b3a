//! Walking a ledger's chain and naming the first record that is not what was written.

use thiserror::Error;

use super::{Head, LedgerError, chain::Entry};
use crate::work::event::EventRecord;

/// What a higher floor checks about records that the chain cannot know, such as signatures.
///
/// `()` checks nothing more. A [`Head`] that was kept outside the ledger checks that the ledger still contains it, which
/// is how a cut tail is found; a pair checks both.
pub trait RecordVerifier {
    /// Looks at a run of consecutive records, the run after the last one it was shown. Their chain is in order.
    ///
    /// # Errors
    ///
    /// An [`Objection`] that names the first bad record.
    fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection>;

    /// All records were shown; the ledger ends here.
    ///
    /// # Errors
    ///
    /// An [`Objection`] if something is missing.
    fn finish(&mut self, head: &Head) -> Result<(), Objection> {
        let _ = head;
        Ok(())
    }
}

/// What a verifier holds against a record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("record {sequence}: {reason}")]
pub struct Objection {
    /// Which record.
    pub sequence: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl Objection {
    /// This record is bad for this reason.
    pub fn new(sequence: u64, reason: impl Into<String>) -> Self {
        Self {
            sequence,
            reason: reason.into(),
        }
    }
}

impl RecordVerifier for () {
    fn check(&mut self, _: &[EventRecord]) -> Result<(), Objection> {
        Ok(())
    }
}

impl<V: RecordVerifier + ?Sized> RecordVerifier for &mut V {
    fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
        (**self).check(records)
    }

    fn finish(&mut self, head: &Head) -> Result<(), Objection> {
        (**self).finish(head)
    }
}

impl RecordVerifier for Head {
    fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
        match records.iter().find(|record| record.sequence == self.sequence) {
            Some(record) if record.hash != self.hash => Err(Objection::new(
                self.sequence,
                "its hash differs from the head that was kept outside",
            )),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, head: &Head) -> Result<(), Objection> {
        if head.sequence < self.sequence {
            let reason = format!(
                "the tail was cut: a head kept outside is at {}, the ledger ends at {}",
                self.sequence, head.sequence
            );
            return Err(Objection::new(head.sequence + 1, reason));
        }
        Ok(())
    }
}

impl<A: RecordVerifier, B: RecordVerifier> RecordVerifier for (A, B) {
    fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
        match (self.0.check(records), self.1.check(records)) {
            (Err(one), Err(other)) => Err(if one.sequence <= other.sequence {
                one
            } else {
                other
            }),
            (one, other) => one.and(other),
        }
    }

    fn finish(&mut self, head: &Head) -> Result<(), Objection> {
        self.0.finish(head)?;
        self.1.finish(head)
    }
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The record is not there, though a later one is.
    #[error("it is missing, the next one is {next}")]
    Missing {
        /// The sequence of the record found in its place.
        next: u64,
    },
    /// It does not continue the record before it: that one was replaced, or this one comes from elsewhere.
    #[error("it does not link to the record before it")]
    Unlinked,
    /// Its columns do not give its hash: it was altered.
    #[error("its columns do not match its hash")]
    Altered,
    /// It carries a unique key that is not registered as its own.
    #[error("its unique key `{key}` is not registered as its own")]
    KeyNotRegistered {
        /// The key.
        key: String,
    },
    /// A unique key is registered as its own that it does not carry.
    #[error("the unique key `{key}` is registered as its own, but it does not carry it")]
    KeyNotCarried {
        /// The key.
        key: String,
    },
    /// The ledger ends before it, though the unique key of a later record is registered: the tail was cut.
    #[error("the tail was cut: it is missing, though record {registered} registered the unique key `{key}`")]
    CutOff {
        /// The key.
        key: String,
        /// The sequence of the record that registered it.
        registered: u64,
    },
    /// A column has a value that no ledger writes.
    #[error("its column {column} cannot be read")]
    Unreadable {
        /// Which column.
        column: &'static str,
    },
    /// The caller's verifier refuses it.
    #[error("{reason}")]
    Refused {
        /// In the verifier's words.
        reason: String,
    },
}

/// A walk along a chain: fed runs of entries, it keeps the head reached so far.
#[derive(Debug, Default)]
pub(super) struct Walk {
    head: Head,
}

impl Walk {
    /// Checks the next run of entries, and shows them to `verifier` as far as their chain is in order.
    pub(super) fn advance(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
        verifier: &mut dyn RecordVerifier,
    ) -> Result<(), LedgerError> {
        let mut records = Vec::new();
        let mut chain = Ok(());
        for entry in entries {
            chain = self.step(&entry);
            if chain.is_err() {
                break;
            }
            records.push(entry.record);
        }
        if !records.is_empty() {
            verifier.check(&records).map_err(refused)?;
        }
        chain
    }

    /// Where the walk has come to.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// Ends the walk.
    pub(super) fn finish(self, verifier: &mut dyn RecordVerifier) -> Result<Head, LedgerError> {
        verifier.finish(&self.head).map_err(refused)?;
        Ok(self.head)
    }

    fn step(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        let sequence = self.head.sequence + 1;
        let record = &entry.record;
        let fault = if record.sequence != sequence {
            Fault::Missing {
                next: record.sequence,
            }
        } else if record.previous_hash != self.head.hash {
            Fault::Unlinked
        } else if record.hash != entry.hash() {
            Fault::Altered
        } else {
            self.head = entry.head();
            return Ok(());
        };
        Err(LedgerError::BadRecord { sequence, fault })
    }
}

fn refused(refusal: Objection) -> LedgerError {
    LedgerError::BadRecord {
        sequence: refusal.sequence,
        fault: Fault::Refused {
            reason: refusal.reason,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{super::chain::link, *};

    fn chain(length: usize) -> Vec<Entry> {
        let batch: Vec<_> = (0..length)
            .map(|number| EventRecord::new("note.made", "s", "a", number.to_string()).into())
            .collect();
        link(&Head::default(), &batch).unwrap()
    }

    fn fault(entries: &[Entry]) -> (u64, Fault) {
        match Walk::default().advance(entries.to_vec(), &mut ()) {
            Err(LedgerError::BadRecord { sequence, fault }) => (sequence, fault),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_altered_record_is_named() {
        let mut entries = chain(5);
        entries[2].record.payload = b"forged".to_vec();
        assert_eq!(fault(&entries), (3, Fault::Altered));
    }

    #[test]
    fn a_record_altered_together_with_its_hash_unlinks_the_next() {
        let mut entries = chain(5);
        entries[2].record.payload = b"forged".to_vec();
        entries[2].record.hash = entries[2].hash();
        assert_eq!(fault(&entries), (4, Fault::Unlinked));
    }

    #[test]
    fn a_missing_record_is_named() {
        let mut entries = chain(5);
        entries.remove(2);
        assert_eq!(fault(&entries), (3, Fault::Missing { next: 4 }));
        assert_eq!(fault(&chain(3)[1..]), (1, Fault::Missing { next: 2 }));
    }

    #[test]
    fn swapped_records_are_named() {
        let mut entries = chain(5);
        entries.swap(1, 2);
        assert_eq!(fault(&entries), (2, Fault::Missing { next: 3 }));
        (entries[1].record.sequence, entries[2].record.sequence) = (2, 3);
        assert_eq!(fault(&entries), (2, Fault::Unlinked));
    }

    #[test]
    fn the_verifier_is_heard_before_a_later_break() {
        struct Dislikes(u64);
        impl RecordVerifier for Dislikes {
            fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
                match records.iter().find(|record| record.sequence == self.0) {
                    Some(record) => Err(Objection::new(record.sequence, "dislike")),
                    None => Ok(()),
                }
            }
        }
        let mut entries = chain(5);
        entries[3].record.payload.clear();
        let verdict = |at| match Walk::default().advance(entries.clone(), &mut Dislikes(at)) {
            Err(LedgerError::BadRecord { sequence, fault }) => (sequence, fault),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            verdict(2),
            (
                2,
                Fault::Refused {
                    reason: "dislike".into()
                }
            )
        );
        assert_eq!(verdict(5), (4, Fault::Altered));
    }

    #[test]
    fn a_head_kept_outside_finds_a_cut_tail_and_another_history() {
        let entries = chain(5);
        let mut last = entries[4].head();
        let verify = |entries: &[Entry], known: &mut Head| {
            let mut walk = Walk::default();
            walk.advance(entries.to_vec(), known)?;
            walk.finish(known)
        };
        assert_eq!(verify(&entries, &mut last).unwrap(), last);
        assert!(matches!(
            verify(&entries[..3], &mut last),
            Err(LedgerError::BadRecord { sequence: 4, .. })
        ));
        last.hash[0] ^= 1;
        assert!(matches!(
            verify(&entries, &mut last),
            Err(LedgerError::BadRecord { sequence: 5, .. })
        ));
    }
}
