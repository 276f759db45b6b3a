//! Conflicts on record: the last few per work item, bounded in all.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// How many conflicts of one work item are kept.
const PER_WORK: usize = 16;
/// How many conflicts are kept in all.
const IN_ALL: usize = 4_096;

/// Leases on one work item that contradicted each other, as a registrar put it on record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseConflict {
    /// The work item.
    pub work_id: String,
    /// The leases.
    pub conflicting_lease_ids: Vec<String>,
    /// How it was resolved.
    pub resolution: String,
    /// Where the record stands in its ledger.
    pub sequence: u64,
}

/// A bounded list of conflicts: the oldest of a work item makes room for its seventeenth, the oldest of all for the
/// 4,097th.
#[derive(Clone, Debug, Default)]
pub(super) struct Conflicts {
    by_age: BTreeMap<u64, LeaseConflict>,
    ages_by_work: HashMap<String, VecDeque<u64>>,
    /// The age of the next one; only ever rises.
    next_age: u64,
}

impl Conflicts {
    pub(super) fn push(&mut self, conflict: LeaseConflict) {
        let of_work = self.ages_by_work.get(&conflict.work_id);
        if let Some(ages) = of_work.filter(|ages| ages.len() == PER_WORK) {
            let oldest = ages[0];
            self.remove(oldest);
        } else if self.by_age.len() == IN_ALL
            && let Some((&oldest, _)) = self.by_age.first_key_value()
        {
            self.remove(oldest);
        }
        self.ages_by_work
            .entry(conflict.work_id.clone())
            .or_default()
            .push_back(self.next_age);
        self.by_age.insert(self.next_age, conflict);
        self.next_age += 1;
    }

    /// Removes a conflict that is the oldest of its work item.
    fn remove(&mut self, age: u64) {
        let Some(conflict) = self.by_age.remove(&age) else {
            return;
        };
        if let Some(ages) = self.ages_by_work.get_mut(&conflict.work_id) {
            ages.pop_front();
            if ages.is_empty() {
                self.ages_by_work.remove(&conflict.work_id);
            }
        }
    }

    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &LeaseConflict> {
        self.by_age.values()
    }

    pub(super) fn of_work(&self, work_id: &str) -> impl Iterator<Item = &LeaseConflict> {
        let ages = self.ages_by_work.get(work_id).into_iter().flatten();
        ages.map(|age| &self.by_age[age])
    }
}

/// Which ones, in which order; how many there ever were is not to be seen.
impl PartialEq for Conflicts {
    fn eq(&self, other: &Self) -> bool {
        self.all().eq(other.all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_items_without_conflicts_are_forgotten_too() {
        let mut conflicts = Conflicts::default();
        for number in 0..IN_ALL as u64 + 9 {
            conflicts.push(LeaseConflict {
                work_id: format!("work-{number}"),
                conflicting_lease_ids: Vec::new(),
                resolution: String::new(),
                sequence: number,
            });
        }
        assert_eq!(
            (conflicts.all().len(), conflicts.ages_by_work.len()),
            (IN_ALL, IN_ALL)
        );
        assert_eq!(conflicts.of_work("work-8").count(), 0);
        assert_eq!(conflicts.of_work("work-9").count(), 1);
    }
}
