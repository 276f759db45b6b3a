//! Signatures verified many at once, before the records that carry them are applied one after the other.
//!
//! Together they take less than half the time. What has to hold for a record is told only when its turn comes, because it
//! depends on what the records before it have done; so this is a guess, which is verified, and counts only if it turns
//! out to be the very statement that was needed. If one of a batch is bad, none of it counts, and each is verified when
//! its turn comes. So it changes nothing but the time, except for what [`Statement::are_genuine`] says of a signature that
//! whoever has the key has bent on purpose: one view may take it and another refuse it.

use std::collections::{HashMap, HashSet};

use super::{Projection, lease_id_of};
use crate::work::event::{self, EventRecord, LeaseEvent as _};
use crate::work::registrar::key_ring::Statement;
use crate::work::registrar::ledger_event::LedgerEvent;
use crate::work::registrar::reading::change_of;
use crate::work::registrar::{LeaseChange, signing};

/// How many signatures are verified at once: enough that more would not be much faster.
const BATCH: usize = 64;

/// What some records state, each by its sequence, and what was verified to be signed by whom it says.
#[derive(Debug, Default)]
pub(super) struct Proofs(HashMap<u64, Statement>);

impl Proofs {
    /// Whether the record with this sequence was found to state exactly this.
    pub(super) fn cover(&self, sequence: u64, statement: &Statement) -> bool {
        self.0.get(&sequence) == Some(statement)
    }
}

impl Projection {
    /// Verifies the next of these records, as many as can be verified together; says how many those are, at least one if
    /// there is one. Those that are `ours` need no proof.
    pub(super) fn prove<'a>(
        &self,
        records: impl IntoIterator<Item = (&'a EventRecord, bool)>,
    ) -> (Proofs, usize) {
        let (mut sequences, mut statements) = (Vec::new(), Vec::new());
        let mut touched = HashSet::new();
        let mut count = 0;
        for (record, is_ours) in records {
            if statements.len() == BATCH {
                break;
            }
            if let Ok(Some(change)) = change_of(record) {
                let lease_id = lease_id_of(&change);
                let hangs_on_lease =
                    matches!(change, LeaseChange::Renewed { .. } | LeaseChange::Revoked { .. });
                // What it has to state shows only when those before it are applied.
                if hangs_on_lease && touched.contains(lease_id) {
                    break;
                }
                let signed = signing::signed_part(&change, record, self.state().get(lease_id));
                let statement =
                    signed.and_then(|(message, signature)| self.keys.statement(message, signature));
                if let Some(statement) = statement.filter(|_| !is_ours) {
                    sequences.push(record.sequence);
                    statements.push(statement);
                }
                touched.insert(lease_id.to_owned());
            }
            count += 1;
            // Whose signatures count may be others from here on.
            if event::kind_in(LedgerEvent::NAMESPACE, &record.event_type).is_some() {
                break;
            }
        }
        // One alone is as fast where it is needed.
        if statements.len() < 2 || !Statement::are_genuine(&statements) {
            return (Proofs::default(), count);
        }
        (Proofs(sequences.into_iter().zip(statements).collect()), count)
    }
}
