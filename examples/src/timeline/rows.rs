//! Which lease stands in which row, and where in it.

use std::collections::HashMap;

use lease::Lease;

use super::{By, ended_at};

/// One row of the picture.
pub(super) struct Row<'a> {
    pub(super) name: String,
    /// Ordered by when they were issued.
    pub(super) bars: Vec<Bar<'a>>,
    /// How many leases were held at once, up to [`MOST_LANES`].
    pub(super) lanes: usize,
}

/// One lease.
pub(super) struct Bar<'a> {
    pub(super) lease: &'a Lease,
    pub(super) label: &'a str,
    pub(super) lane: usize,
}

/// More would be too thin to see; what does not fit is drawn over the last one.
const MOST_LANES: usize = 6;

/// The rows, at most `most` of them, and how many there would be.
pub(super) fn arrange<'a>(leases: &[&'a Lease], by: By, most: usize) -> (Vec<Row<'a>>, usize) {
    let mut groups: HashMap<&str, Vec<&'a Lease>> = HashMap::new();
    for lease in leases {
        let name = match by {
            By::Holder => &lease.actor_id,
            By::Work => &lease.work_id,
        };
        groups.entry(name).or_default().push(lease);
    }
    let total = groups.len();
    let mut groups: Vec<(String, Vec<&'a Lease>)> = groups
        .into_iter()
        .map(|(name, leases)| (name.to_owned(), leases))
        .collect();
    // The busiest keep a row of their own; equally busy ones in the order of their names, so that it is always the same.
    groups.sort_by(|(one, these), (other, those)| those.len().cmp(&these.len()).then_with(|| one.cmp(other)));
    if total > most {
        let rest: Vec<&'a Lease> = groups.drain(most - 1..).flat_map(|(_, leases)| leases).collect();
        groups.push((format!("{} others", total - (most - 1)), rest));
    }
    let mut rows: Vec<_> = groups
        .into_iter()
        .map(|(name, leases)| row(name, leases, by))
        .collect();
    let is_rest = |row: &Row<'_>| total > most && row.name.ends_with(" others");
    rows.sort_by(|one, other| {
        let key = |row: &Row<'_>| (is_rest(row), row.bars.first().map(|bar| bar.lease.issued_at));
        key(one).cmp(&key(other)).then_with(|| one.name.cmp(&other.name))
    });
    (rows, total)
}

/// Puts each lease into the first lane that is free when it is issued.
fn row(name: String, mut leases: Vec<&Lease>, by: By) -> Row<'_> {
    leases.sort_by_key(|lease| (lease.issued_at, lease.fencing_token));
    let mut free_at: Vec<u64> = Vec::new();
    let mut bars = Vec::with_capacity(leases.len());
    for lease in leases {
        let end = ended_at(lease);
        let lane = match free_at.iter().position(|free| *free <= lease.issued_at) {
            Some(lane) => {
                free_at[lane] = end;
                lane
            }
            None if free_at.len() < MOST_LANES => {
                free_at.push(end);
                free_at.len() - 1
            }
            None => MOST_LANES - 1,
        };
        let label = match by {
            By::Holder => &lease.work_id,
            By::Work => &lease.actor_id,
        };
        bars.push(Bar { lease, label, lane });
    }
    Row {
        name,
        bars,
        lanes: free_at.len().max(1),
    }
}
