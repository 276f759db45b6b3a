//! A lease event as it lies in its payload: read in place, and copied only by whoever keeps something of it.
//!
//! Fields are named by their place in the table of their arm, which is that of [`LeaseChange`]; a test holds the two
//! together.

use super::{LeaseChange, LeaseError, limits};
use crate::work::event::{
    self, EventRecord, LeaseEvent as _,
    wire::{Found, Values},
};

/// The change that a record carries, if it is one of ours; copied only once its bytes are within the limits, so that no
/// payload makes more of itself than they allow.
///
/// # Errors
///
/// Those of the reducer, in its order.
pub(super) fn change_of(record: &EventRecord) -> Result<Option<LeaseChange>, LeaseError> {
    let Some(reading) = Reading::of(record)? else {
        return Ok(None);
    };
    limits::check(&reading)?;
    Ok(Some(reading.into()))
}

/// [`LeaseChange`], borrowed.
#[derive(Clone, Debug)]
pub(super) enum Reading<'a> {
    Issued(Issue<'a>),
    Renewed(Renewal<'a>),
    Released {
        lease_id: &'a str,
        reason: &'a str,
    },
    Expired {
        lease_id: &'a str,
        expired_at: u64,
    },
    Revoked {
        lease_id: &'a str,
        reason: &'a str,
        registrar_signature: &'a [u8],
    },
    Conflict(Conflict<'a>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Issue<'a> {
    pub(super) lease_id: &'a str,
    pub(super) work_id: &'a str,
    pub(super) actor_id: &'a str,
    pub(super) issued_at: u64,
    pub(super) expires_at: u64,
    pub(super) registrar_signature: &'a [u8],
    pub(super) issued_at_tick: u64,
    pub(super) expires_at_tick: u64,
    pub(super) tick_rate_hz: u64,
    pub(super) fencing_token: u64,
    pub(super) closed_until_tick: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Renewal<'a> {
    pub(super) lease_id: &'a str,
    pub(super) new_expires_at: u64,
    pub(super) registrar_signature: &'a [u8],
    pub(super) new_expires_at_tick: u64,
    pub(super) tick_rate_hz: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Conflict<'a> {
    pub(super) work_id: &'a str,
    pub(super) resolution: &'a str,
    ids: Values<'a>,
}

impl<'a> Conflict<'a> {
    pub(super) fn ids(&self) -> impl Iterator<Item = &'a str> + Clone {
        // Judged when they were found.
        self.ids
            .clone()
            .map(|id| std::str::from_utf8(id).unwrap_or_default())
    }
}

impl<'a> Reading<'a> {
    /// The event of a record; `None` if it is of another family.
    ///
    /// # Errors
    ///
    /// When the payload is no event of the kind that the record's type names.
    pub(super) fn of(record: &'a EventRecord) -> Result<Option<Self>, LeaseError> {
        let Some(kind) = event::kind_in(LeaseChange::NAMESPACE, &record.event_type) else {
            return Ok(None);
        };
        let read = event::read::<LeaseChange, _>(kind, record, |found| Ok(Self::in_arm(found)));
        Ok(Some(read?))
    }

    #[inline]
    fn in_arm(found: &Found<'a>) -> Self {
        match found.arm().kind {
            "issued" => Self::Issued(Issue {
                lease_id: found.text(0),
                work_id: found.text(1),
                actor_id: found.text(2),
                issued_at: found.number(3),
                expires_at: found.number(4),
                registrar_signature: found.bytes(5),
                issued_at_tick: found.number(6),
                expires_at_tick: found.number(7),
                tick_rate_hz: found.number(8),
                fencing_token: found.number(9),
                closed_until_tick: found.number(10),
            }),
            "renewed" => Self::Renewed(Renewal {
                lease_id: found.text(0),
                new_expires_at: found.number(1),
                registrar_signature: found.bytes(2),
                new_expires_at_tick: found.number(3),
                tick_rate_hz: found.number(4),
            }),
            "released" => Self::Released {
                lease_id: found.text(0),
                reason: found.text(1),
            },
            "expired" => Self::Expired {
                lease_id: found.text(0),
                expired_at: found.number(1),
            },
            "revoked" => Self::Revoked {
                lease_id: found.text(0),
                reason: found.text(1),
                registrar_signature: found.bytes(2),
            },
            // The one kind that is left: there is an arm for every kind that was found.
            _ => Self::Conflict(Conflict {
                work_id: found.text(0),
                resolution: found.text(2),
                ids: found.values(found.arm().fields[1].tag),
            }),
        }
    }
}

impl From<Reading<'_>> for LeaseChange {
    fn from(reading: Reading<'_>) -> Self {
        match reading {
            Reading::Issued(issued) => Self::Issued {
                lease_id: issued.lease_id.into(),
                work_id: issued.work_id.into(),
                actor_id: issued.actor_id.into(),
                issued_at: issued.issued_at,
                expires_at: issued.expires_at,
                registrar_signature: issued.registrar_signature.into(),
                issued_at_tick: issued.issued_at_tick,
                expires_at_tick: issued.expires_at_tick,
                tick_rate_hz: issued.tick_rate_hz,
                fencing_token: issued.fencing_token,
                closed_until_tick: issued.closed_until_tick,
            },
            Reading::Renewed(renewed) => Self::Renewed {
                lease_id: renewed.lease_id.into(),
                new_expires_at: renewed.new_expires_at,
                registrar_signature: renewed.registrar_signature.into(),
                new_expires_at_tick: renewed.new_expires_at_tick,
                tick_rate_hz: renewed.tick_rate_hz,
            },
            Reading::Released { lease_id, reason } => Self::Released {
                lease_id: lease_id.into(),
                release_reason: reason.into(),
            },
            Reading::Expired { lease_id, expired_at } => Self::Expired {
                lease_id: lease_id.into(),
                expired_at,
            },
            Reading::Revoked {
                lease_id,
                reason,
                registrar_signature,
            } => Self::Revoked {
                lease_id: lease_id.into(),
                reason: reason.into(),
                registrar_signature: registrar_signature.into(),
            },
            Reading::Conflict(conflict) => Self::Conflict {
                work_id: conflict.work_id.into(),
                conflicting_lease_ids: conflict.ids().map(Into::into).collect(),
                resolution: conflict.resolution.into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_says_what_the_event_says() {
        let text = |text: &str| text.to_owned();
        let changes = [
            LeaseChange::Issued {
                lease_id: text("l"),
                work_id: text("w"),
                actor_id: text("a"),
                issued_at: 1,
                expires_at: u64::MAX,
                registrar_signature: vec![3; 200],
                issued_at_tick: 4,
                expires_at_tick: 5,
                tick_rate_hz: 6,
                fencing_token: 7,
                closed_until_tick: 8,
            },
            LeaseChange::Renewed {
                lease_id: text("l"),
                new_expires_at: 1,
                registrar_signature: vec![2],
                new_expires_at_tick: 3,
                tick_rate_hz: 4,
            },
            LeaseChange::Released {
                lease_id: text("l"),
                release_reason: text("r"),
            },
            LeaseChange::Expired {
                lease_id: text("l"),
                expired_at: 1,
            },
            LeaseChange::Revoked {
                lease_id: text("l"),
                reason: text("r"),
                registrar_signature: vec![1],
            },
            LeaseChange::Conflict {
                work_id: text("w"),
                conflicting_lease_ids: vec![text("one"), text(""), text("three")],
                resolution: text("r"),
            },
        ];
        assert_eq!(changes.len(), LeaseChange::ARMS.len());
        for change in changes {
            let record = EventRecord::of(&change, "s", "registrar");
            let reading = Reading::of(&record).unwrap().unwrap();
            assert_eq!(LeaseChange::from(reading), change);
        }
    }

    #[test]
    fn what_does_not_stand_there_is_the_default() {
        for arm in LeaseChange::ARMS {
            let payload = crate::work::event::wire::seal(arm.tag, &[]);
            let record = EventRecord::new(format!("lease.{}", arm.kind), "s", "a", payload);
            let reading = Reading::of(&record).unwrap().unwrap();
            assert_eq!(
                LeaseChange::from(reading),
                LeaseChange::decode(&record.payload).unwrap()
            );
        }
    }

    #[test]
    fn what_is_over_a_limit_is_refused_as_the_reducer_refuses_it() {
        use crate::work::reducer::{Reducer as _, ReducerContext};
        use crate::work::registrar::LeaseReducer;
        let conflict = |work_id: &str, ids, resolution: &str| LeaseChange::Conflict {
            work_id: work_id.to_owned(),
            conflicting_lease_ids: vec![String::from("id"); ids],
            resolution: resolution.to_owned(),
        };
        let long = "x".repeat(129);
        for change in [
            conflict("w", 65, ""),
            conflict("w", 16_000, ""),
            conflict(&long, 65, &long),
            conflict("w", 65, &long),
            LeaseChange::Expired {
                lease_id: String::new(),
                expired_at: 1,
            },
        ] {
            let record = EventRecord::of(&change, "s", "registrar");
            let refused = LeaseReducer::new().apply(&record, &ReducerContext::new(1));
            assert_eq!(change_of(&record), Err(refused.unwrap_err()));
        }
        let allowed = conflict("w", 64, "");
        let record = EventRecord::of(&allowed, "s", "registrar");
        assert_eq!(change_of(&record), Ok(Some(allowed)));
        assert_eq!(change_of(&EventRecord::new("note.made", "s", "me", "")), Ok(None));
    }
}
