//! Leases as tables.

use std::collections::BTreeMap;
use std::io::{self, Write};

use lease::{Lease, LeaseError, LeaseReducerState, LeaseState, Tick};
use lease_examples::time::{moment, span};

/// Which leases to list.
pub(crate) struct Wanted {
    pub(crate) state: Option<LeaseState>,
    pub(crate) work: Option<String>,
    pub(crate) holder: Option<String>,
}

impl Wanted {
    fn includes(&self, lease: &Lease) -> bool {
        let matches =
            |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        self.state.is_none_or(|state| state == lease.state)
            && matches(&self.work, &lease.work_id)
            && matches(&self.holder, &lease.actor_id)
    }
}

/// Reads a state from the command line.
pub(crate) fn state(name: &str) -> Result<LeaseState, LeaseError> {
    LeaseState::parse(name)
}

/// Every wanted lease, in the order of their tokens.
pub(crate) fn list(state: &LeaseReducerState, wanted: &Wanted, out: &mut impl Write) -> io::Result<()> {
    let mut leases = state.leases();
    leases.retain(|lease| wanted.includes(lease));
    leases.sort_by_key(|lease| lease.fencing_token);
    let rows: Vec<[String; 7]> = leases.iter().map(|lease| row(lease)).collect();
    table(
        [
            "STATE",
            "WORK",
            "HOLDER",
            "ISSUED (UTC)",
            "FOR",
            "RENEWED",
            "TOKEN",
        ],
        &rows,
        out,
    )?;
    writeln!(out, "{} of {} leases", leases.len(), state.len())
}

fn row(lease: &Lease) -> [String; 7] {
    let end = lease.terminated_at.unwrap_or(lease.expires_at);
    let why = lease
        .revocation_reason
        .as_deref()
        .or(lease.release_reason.map(lease::ReleaseReason::as_str));
    [
        why.map_or(lease.state.to_string(), |why| format!("{} ({why})", lease.state)),
        lease.work_id.clone(),
        lease.actor_id.clone(),
        moment(lease.issued_at),
        span(end.saturating_sub(lease.issued_at)),
        lease.renewal_count.to_string(),
        lease.fencing_token.to_string(),
    ]
}

/// Who holds what, holder by holder.
pub(crate) fn holders(
    state: &LeaseReducerState,
    now: &Tick,
    wall: u64,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut holders: BTreeMap<&str, Vec<&Lease>> = BTreeMap::new();
    for lease in state.active_leases() {
        holders.entry(&lease.actor_id).or_default().push(lease);
    }
    let mut rows = Vec::new();
    for (holder, mut leases) in holders {
        leases.sort_by_key(|lease| lease.fencing_token);
        for lease in leases {
            let left = lease.remaining_at_tick_or_wall(now, wall);
            let left = if lease.is_expired_at_tick_or_wall(now, wall) {
                "its time is up".to_owned()
            } else {
                span(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX))
            };
            rows.push([
                holder.to_owned(),
                lease.work_id.clone(),
                left,
                lease.fencing_token.to_string(),
            ]);
        }
    }
    if rows.is_empty() {
        return writeln!(out, "nobody holds anything");
    }
    table(["HOLDER", "WORK", "TIME LEFT", "TOKEN"], &rows, out)
}

/// Columns as wide as their widest cell; the last one is not padded.
fn table<const N: usize>(head: [&str; N], rows: &[[String; N]], out: &mut impl Write) -> io::Result<()> {
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(printable(cell).chars().count());
        }
    }
    line(&head.map(str::to_owned), &widths, out)?;
    rows.iter().try_for_each(|row| line(row, &widths, out))
}

fn line<const N: usize>(cells: &[String; N], widths: &[usize; N], out: &mut impl Write) -> io::Result<()> {
    let padded: Vec<_> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{:<width$}", printable(cell)))
        .collect();
    writeln!(out, "{}", padded.join("  ").trim_end())
}

/// An id may hold anything; a terminal should not obey it, nor show the letters in another order.
pub(crate) fn printable(text: &str) -> String {
    let turns = |letter| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|letter| {
            if letter.is_control() || turns(letter) {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}
