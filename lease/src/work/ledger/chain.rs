//! The hash that links a record to the one before it.
//!
//! `BLAKE3(domain ‖ sequence ‖ previous hash ‖ every other column)`, where each part is preceded by its length, so that
//! no two different records give the same bytes. Integers are little-endian; an optional column is one byte, 0 or 1,
//! and in the second case the value after it. The form is frozen: it is what old ledgers were written with.

use super::{Fault, Head, LedgerError, MAX_PAYLOAD, MAX_TEXT, NewRecord};
use crate::work::event::EventRecord;

const DOMAIN: &[u8] = b"lease.ledger.record.1";

/// A record as a ledger stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) record: EventRecord,
    pub(super) unique_key: Option<String>,
}

impl Entry {
    /// The hash that this entry's columns call for.
    pub(super) fn hash(&self) -> [u8; 32] {
        hash(&self.record, self.unique_key.as_deref())
    }

    /// This entry as a head of the ledger that ends with it.
    pub(super) fn head(&self) -> Head {
        Head {
            sequence: self.record.sequence,
            hash: self.record.hash,
        }
    }
}

/// The record, if its columns still give its hash: what was stored and read back is looked at before it is handed out.
#[cfg(any(feature = "sqlite", test))]
pub(super) fn sound(record: EventRecord, unique_key: Option<&str>) -> Result<EventRecord, LedgerError> {
    if hash(&record, unique_key) == record.hash {
        Ok(record)
    } else {
        Err(LedgerError::BadRecord {
            sequence: record.sequence,
            fault: Fault::Altered,
        })
    }
}

fn hash(record: &EventRecord, unique_key: Option<&str>) -> [u8; 32] {
    let mut parts = Parts(Vec::with_capacity(512));
    parts.add(&[DOMAIN]);
    parts.add(&[&record.sequence.to_le_bytes()]);
    parts.add(&[&record.previous_hash]);
    parts.add(&[record.event_type.as_bytes()]);
    parts.add(&[record.session_id.as_bytes()]);
    parts.add(&[record.actor_id.as_bytes()]);
    parts.add(&[&record.payload]);
    parts.add(&[&record.wall.to_le_bytes()]);
    match &record.tick {
        None => parts.add(&[&[0]]),
        Some(tick) => parts.add(&[
            &[1],
            &tick.value.to_le_bytes(),
            &tick.rate.to_le_bytes(),
            &tick.clock.0,
        ]),
    }
    match unique_key {
        None => parts.add(&[&[0]]),
        Some(key) => parts.add(&[&[1], key.as_bytes()]),
    }
    blake3::hash(&parts.0).into()
}

/// Everything that is hashed, one after the other: hashing it in one go costs half of what hashing the pieces does.
struct Parts(Vec<u8>);

impl Parts {
    /// One part, given in pieces, after its length in eight bytes.
    fn add(&mut self, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.0.extend_from_slice(&(length as u64).to_le_bytes());
        for piece in pieces {
            self.0.extend_from_slice(piece);
        }
    }
}

/// Fails at the first of these records that does not continue the one before it, the first of them the one at `head`.
///
/// Each record that is read gives its own hash; only this shows that none is missing between them.
pub(crate) fn check_links(head: &Head, records: &[EventRecord]) -> Result<(), LedgerError> {
    let mut last = *head;
    for record in records {
        let next = last.sequence.saturating_add(1);
        let bad = |sequence, fault| Err(LedgerError::BadRecord { sequence, fault });
        if record.sequence != next {
            return bad(
                next,
                Fault::Missing {
                    next: record.sequence,
                },
            );
        }
        if record.previous_hash != last.hash {
            return bad(next, Fault::Unlinked);
        }
        last = Head {
            sequence: next,
            hash: record.hash,
        };
    }
    Ok(())
}

/// The batch as it will stand after `head`: checked for length, numbered, linked.
pub(super) fn link(head: &Head, batch: &[NewRecord]) -> Result<Vec<Entry>, LedgerError> {
    let mut last = *head;
    let mut entries = Vec::with_capacity(batch.len());
    for new in batch {
        check_lengths(new)?;
        let mut entry = Entry {
            record: new.record.clone(),
            unique_key: new.unique_key.clone(),
        };
        entry.record.sequence = last.sequence + 1;
        entry.record.previous_hash = last.hash;
        entry.record.hash = entry.hash();
        last = entry.head();
        entries.push(entry);
    }
    Ok(entries)
}

fn check_lengths(new: &NewRecord) -> Result<(), LedgerError> {
    let record = &new.record;
    let columns = [
        ("event_type", record.event_type.len(), MAX_TEXT),
        ("session_id", record.session_id.len(), MAX_TEXT),
        ("actor_id", record.actor_id.len(), MAX_TEXT),
        ("payload", record.payload.len(), MAX_PAYLOAD),
        (
            "unique_key",
            new.unique_key.as_ref().map_or(0, String::len),
            MAX_TEXT,
        ),
    ];
    for (field, length, limit) in columns {
        if length > limit {
            return Err(LedgerError::TooLong { field, length, limit });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::tick::{ClockId, Tick};

    fn sample() -> NewRecord {
        let tick = Tick::new(1000, 1_000_000, ClockId([7; 16]));
        NewRecord::from(
            EventRecord::new("note.made", "session-1", "actor-1", [1, 2, 3]).at(u64::MAX, Some(tick)),
        )
        .with_key("key-1")
    }

    fn hex(hash: [u8; 32]) -> String {
        blake3::Hash::from(hash).to_hex().to_string()
    }

    #[test]
    fn records_that_follow_each_other_are_told_from_others() {
        let batch = [sample(), sample().with_key("key-2"), sample().with_key("key-3")];
        let entries = link(&Head::default(), &batch).unwrap();
        let head = entries[0].head();
        let records: Vec<_> = entries.into_iter().map(|entry| entry.record).collect();
        let fault = |head, records: &[EventRecord]| match check_links(&head, records) {
            Ok(()) => None,
            Err(LedgerError::BadRecord { sequence, fault }) => Some((sequence, fault)),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(fault(Head::default(), &records), None);
        assert_eq!(fault(head, &records[1..]), None);
        assert_eq!(fault(head, &records), Some((2, Fault::Missing { next: 1 })));
        assert_eq!(fault(head, &records[2..]), Some((2, Fault::Missing { next: 3 })));
        let mut gap = records.clone();
        gap.remove(1);
        assert_eq!(
            fault(Head::default(), &gap),
            Some((2, Fault::Missing { next: 3 }))
        );
        let mut altered = records;
        altered[1].hash = [0; 32];
        assert_eq!(fault(Head::default(), &altered), Some((3, Fault::Unlinked)));
        let last = Head {
            sequence: u64::MAX,
            hash: [0; 32],
        };
        assert!(fault(last, &altered).is_some());
    }

    #[test]
    fn the_hash_of_a_record_is_frozen() {
        let bare = NewRecord::from(EventRecord::new("note.made", "session-1", "actor-1", [1, 2, 3]));
        let entries = link(&Head::default(), &[sample(), bare]).unwrap();
        assert_eq!(
            hex(entries[0].record.hash),
            "359002c58583dc4736076dabc6984479b82b60e9145d99afdd2a503f1c4bb3e1"
        );
        assert_eq!(
            hex(entries[1].record.hash),
            "872043fb9535243f59e30a4f1aa0b5f5b8aeed8c5c69bb40ea00fcffef74d0b4"
        );
    }

    #[test]
    fn every_column_changes_the_hash() {
        let changes: [fn(&mut Entry); 12] = [
            |e| e.record.sequence += 1,
            |e| e.record.previous_hash[31] ^= 1,
            |e| e.record.event_type.push('x'),
            |e| e.record.session_id.push('x'),
            |e| e.record.actor_id.push('x'),
            |e| e.record.payload.push(0),
            |e| e.record.wall -= 1,
            |e| e.record.tick = None,
            |e| e.record.tick.as_mut().unwrap().value += 1,
            |e| e.record.tick.as_mut().unwrap().rate += 1,
            |e| e.record.tick.as_mut().unwrap().clock.0[15] ^= 1,
            |e| e.unique_key = None,
        ];
        let entry = link(&Head::default(), &[sample()]).unwrap().remove(0);
        for (number, change) in changes.iter().enumerate() {
            let mut other = entry.clone();
            change(&mut other);
            assert_ne!(other.hash(), entry.hash(), "change {number}");
        }
    }

    #[test]
    fn bytes_cannot_wander_between_columns() {
        let hash = |session: &str, actor: &str, key: Option<&str>| {
            let new = NewRecord {
                record: EventRecord::new("t", session, actor, []),
                unique_key: key.map(str::to_owned),
            };
            link(&Head::default(), &[new]).unwrap()[0].record.hash
        };
        assert_ne!(hash("ab", "c", None), hash("a", "bc", None));
        assert_ne!(hash("a", "b", None), hash("a", "b", Some("")));
    }
}
