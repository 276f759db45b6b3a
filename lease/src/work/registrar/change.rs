//! The registrar's own event family: everything that can happen to a lease.

use lease_macros::LeaseEvent;

/// What happened to a lease: the events of namespace `lease`.
///
/// Wall times are Unix nanoseconds. A `tick_rate_hz` of 0 means "no ticks": the tick numbers beside it are ignored. The
/// clock of the ticks is that of the record's tick.
///
/// ```
/// use lease::{LeaseChange, LeaseEvent, helpers};
///
/// let payload = helpers::lease_expired_payload("lease-1", 2_000_000_000);
/// let change = LeaseChange::decode(&payload)?;
/// assert_eq!(change.event_type(), "lease.expired");
/// assert_eq!(change, LeaseChange::Expired { lease_id: "lease-1".into(), expired_at: 2_000_000_000 });
/// # Ok::<(), lease::EventError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, LeaseEvent)]
#[event(namespace = "lease", reserved(6, 17))]
pub enum LeaseChange {
    /// A work item was leased.
    #[event(kind = "issued", tag = 1, reserved(7, 16..=18))]
    Issued {
        /// The new lease.
        #[event(tag = 1)]
        lease_id: String,
        /// The work item.
        #[event(tag = 2)]
        work_id: String,
        /// Who holds it.
        #[event(tag = 3)]
        actor_id: String,
        /// When it begins.
        #[event(tag = 4)]
        issued_at: u64,
        /// When it ends.
        #[event(tag = 5)]
        expires_at: u64,
        /// The registrar's signature.
        #[event(tag = 6)]
        registrar_signature: Vec<u8>,
        /// When it begins, in ticks.
        #[event(tag = 8)]
        issued_at_tick: u64,
        /// When it ends, in ticks.
        #[event(tag = 9)]
        expires_at_tick: u64,
        /// Ticks per second.
        #[event(tag = 10)]
        tick_rate_hz: u64,
        /// The lease's fencing token; 0 takes the next one.
        #[event(tag = 19)]
        fencing_token: u64,
        /// Until when the work item stays closed unless a person revokes the lease, in ticks; 0 for not at all.
        #[event(tag = 20)]
        closed_until_tick: u64,
    },
    /// A lease was extended.
    #[event(kind = "renewed", tag = 2, reserved(4))]
    Renewed {
        /// The lease.
        #[event(tag = 1)]
        lease_id: String,
        /// Its new end.
        #[event(tag = 2)]
        new_expires_at: u64,
        /// The registrar's signature.
        #[event(tag = 3)]
        registrar_signature: Vec<u8>,
        /// Its new end, in ticks.
        #[event(tag = 5)]
        new_expires_at_tick: u64,
        /// Ticks per second.
        #[event(tag = 6)]
        tick_rate_hz: u64,
    },
    /// A lease was given back by its holder.
    #[event(kind = "released", tag = 3)]
    Released {
        /// The lease.
        #[event(tag = 1)]
        lease_id: String,
        /// The name of a [`ReleaseReason`](crate::ReleaseReason).
        #[event(tag = 2)]
        release_reason: String,
    },
    /// A lease's time was up.
    #[event(kind = "expired", tag = 4)]
    Expired {
        /// The lease.
        #[event(tag = 1)]
        lease_id: String,
        /// When that was noticed.
        #[event(tag = 2)]
        expired_at: u64,
    },
    /// Leases on one work item contradicted each other.
    #[event(kind = "conflict", tag = 5)]
    Conflict {
        /// The work item.
        #[event(tag = 1)]
        work_id: String,
        /// The leases.
        #[event(tag = 2)]
        conflicting_lease_ids: Vec<String>,
        /// How it was resolved.
        #[event(tag = 3)]
        resolution: String,
    },
    /// A lease was taken back by the registrar.
    #[event(kind = "revoked", tag = 16)]
    Revoked {
        /// The lease.
        #[event(tag = 1)]
        lease_id: String,
        /// Why: one of the constants of this type, or a text for people.
        #[event(tag = 2)]
        reason: String,
        /// The registrar's signature.
        #[event(tag = 3)]
        registrar_signature: Vec<u8>,
    },
}

impl LeaseChange {
    /// Reason of a revocation: the holder's process is known to be dead.
    pub const HOLDER_DIED: &'static str = "HOLDER_DIED";
    /// Reason of a revocation: the holder's machine has started anew since.
    pub const HOST_REBOOTED: &'static str = "HOST_REBOOTED";
    /// Reason of a revocation: nobody can tell any more how far the holder's clock has counted.
    pub const CLOCK_LOST: &'static str = "CLOCK_LOST";

    /// The reasons that only a registrar itself gives.
    pub(crate) const OWN_REASONS: [&'static str; 3] =
        [Self::HOLDER_DIED, Self::HOST_REBOOTED, Self::CLOCK_LOST];
}
