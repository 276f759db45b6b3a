//! What is signed: an issue, a renewal, a revocation, a key, a head, a view.
//!
//! Canonical bytes that bind everything the event decides: lease id, work item, actor, both ends, rate,
//! clock, renewal number. Each kind of event has a domain of its own, and every field is preceded by its length, so no
//! two different statements have the same bytes. What signs them is in `signer`.
//!
//! The fencing token is not signed: it is given inside the write section, after signing, and the chain covers it.

use crate::work::event::EventRecord;
use crate::work::ledger::Head;
use crate::work::registrar::token::LedgerId;
use crate::work::registrar::{Lease, LeaseChange};
use crate::work::tick::ClockId;

/// What a signature on a lease binds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) lease_id: &'a str,
    pub(crate) work_id: &'a str,
    pub(crate) actor_id: &'a str,
    pub(crate) expires_at: u64,
    pub(crate) expires_at_tick: u64,
    pub(crate) rate: u64,
    pub(crate) clock: ClockId,
    pub(crate) renewal: u32,
}

impl<'a> Terms<'a> {
    /// The terms that a lease stands on now.
    pub(crate) fn of(lease: &'a Lease) -> Self {
        Self {
            lease_id: &lease.lease_id,
            work_id: &lease.work_id,
            actor_id: &lease.actor_id,
            expires_at: lease.expires_at,
            expires_at_tick: lease.expires_at_tick.map_or(0, |end| end.value),
            rate: lease.expires_at_tick.map_or(0, |end| end.rate),
            clock: lease.expires_at_tick.map_or(ClockId::default(), |end| end.clock),
            renewal: lease.renewal_count,
        }
    }

    /// What is signed when a lease is issued on these terms and the work item is closed until a tick (0: it is not).
    pub(crate) fn issued(&self, issued_at: u64, issued_at_tick: u64, closed_until_tick: u64) -> Vec<u8> {
        self.message("lease 1 issued")
            .number(issued_at)
            .number(issued_at_tick)
            .number(closed_until_tick)
            .bytes
    }

    /// What is signed when a lease is renewed to these terms.
    pub(crate) fn renewed(&self) -> Vec<u8> {
        self.message("lease 1 renewed").bytes
    }

    /// What is signed when a lease that stands on these terms is revoked.
    pub(crate) fn revoked(&self, reason: &str) -> Vec<u8> {
        self.message("lease 1 revoked").text(reason).bytes
    }

    fn message(&self, domain: &str) -> Message {
        Message::new(domain)
            .text(self.lease_id)
            .text(self.work_id)
            .text(self.actor_id)
            .number(self.expires_at)
            .number(self.expires_at_tick)
            .number(self.rate)
            .field(&self.clock.0)
            .number(u64::from(self.renewal))
    }
}

/// What a trusted key signs when it vouches for another, in one ledger.
pub(crate) fn key_added(ledger: &LedgerId, key: &[u8]) -> Vec<u8> {
    Message::new("lease 1 key added").field(ledger).field(key).bytes
}

/// What a trusted key signs when it ends the trust in a key, in one ledger.
pub(crate) fn key_retired(ledger: &LedgerId, key: &[u8]) -> Vec<u8> {
    Message::new("lease 1 key retired").field(ledger).field(key).bytes
}

/// What is signed about where a ledger stands.
pub(crate) fn head(ledger: &LedgerId, head: &Head) -> Vec<u8> {
    Message::new("lease 1 head")
        .field(ledger)
        .number(head.sequence)
        .field(&head.hash)
        .bytes
}

/// What a registrar signs when it keeps its view as a checkpoint: what the view says, and after which record.
pub(crate) fn view(version: u32, ledger: &LedgerId, head: &Head, said: &[u8]) -> Vec<u8> {
    Message::new("lease 1 view")
        .number(u64::from(version))
        .field(ledger)
        .number(head.sequence)
        .field(&head.hash)
        .field(blake3::hash(said).as_bytes())
        .bytes
}

/// Canonical bytes: every field preceded by its length.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(domain: &str) -> Self {
        Self {
            bytes: Vec::with_capacity(256),
        }
        .text(domain)
    }

    fn field(mut self, field: &[u8]) -> Self {
        self.bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(field);
        self
    }

    fn text(self, text: &str) -> Self {
        self.field(text.as_bytes())
    }

    fn number(self, number: u64) -> Self {
        self.field(&number.to_le_bytes())
    }
}

/// The message and signature of a signed change, given the lease that it is about as it stood before; `None` for
/// changes that carry no signature.
pub(crate) fn signed_part<'a>(
    change: &'a LeaseChange,
    record: &EventRecord,
    before: Option<&Lease>,
) -> Option<(Vec<u8>, &'a [u8])> {
    let clock = record.tick.map_or(ClockId::default(), |tick| tick.clock);
    match change {
        LeaseChange::Issued {
            lease_id,
            work_id,
            actor_id,
            issued_at,
            expires_at,
            registrar_signature,
            issued_at_tick,
            expires_at_tick,
            tick_rate_hz,
            closed_until_tick,
            ..
        } => {
            let terms = Terms {
                lease_id,
                work_id,
                actor_id,
                expires_at: *expires_at,
                expires_at_tick: *expires_at_tick,
                rate: *tick_rate_hz,
                clock,
                renewal: 0,
            };
            let message = terms.issued(*issued_at, *issued_at_tick, *closed_until_tick);
            Some((message, registrar_signature))
        }
        LeaseChange::Renewed {
            lease_id,
            new_expires_at,
            registrar_signature,
            new_expires_at_tick,
            tick_rate_hz,
        } => {
            // A renewal of a lease nobody knows is refused by the reducer, whatever its signature says.
            let before = before?;
            let terms = Terms {
                lease_id,
                work_id: &before.work_id,
                actor_id: &before.actor_id,
                expires_at: *new_expires_at,
                expires_at_tick: *new_expires_at_tick,
                rate: *tick_rate_hz,
                clock,
                renewal: before.renewal_count.saturating_add(1),
            };
            Some((terms.renewed(), registrar_signature))
        }
        LeaseChange::Revoked {
            reason,
            registrar_signature,
            ..
        } => Some((Terms::of(before?).revoked(reason), registrar_signature)),
        LeaseChange::Released { .. } | LeaseChange::Expired { .. } | LeaseChange::Conflict { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::registrar::key_ring::KeyRing;
    use crate::work::registrar::{LedgerEvent, Signer};

    fn terms() -> Terms<'static> {
        Terms {
            lease_id: "lease-1",
            work_id: "work-1",
            actor_id: "actor-1",
            expires_at: 2,
            expires_at_tick: 20,
            rate: 10,
            clock: ClockId([7; 16]),
            renewal: 3,
        }
    }

    fn ring(signer: &Signer) -> KeyRing {
        let mut ring = KeyRing::default();
        let first = LedgerEvent::KeyAdded {
            public_key: signer.public_key().to_bytes().to_vec(),
            signature: Vec::new(),
        };
        assert!(ring.apply(&first, &[0; 32], true));
        ring
    }

    #[test]
    fn a_signature_holds_for_the_terms_it_was_made_for() {
        let signer = Signer::generate();
        let message = terms().renewed();
        assert!(ring(&signer).verify(message.clone(), &signer.sign(&message)));
    }

    #[test]
    fn a_signature_binds_every_term() {
        let signer = Signer::generate();
        let ring = ring(&signer);
        let signature = signer.sign(&terms().renewed());
        let others = [
            Terms {
                lease_id: "lease-2",
                ..terms()
            },
            Terms {
                work_id: "work-2",
                ..terms()
            },
            Terms {
                actor_id: "actor-2",
                ..terms()
            },
            Terms {
                expires_at: 3,
                ..terms()
            },
            Terms {
                expires_at_tick: 21,
                ..terms()
            },
            Terms { rate: 11, ..terms() },
            Terms {
                clock: ClockId([8; 16]),
                ..terms()
            },
            Terms {
                renewal: 4,
                ..terms()
            },
        ];
        for other in others {
            assert!(!ring.verify(other.renewed(), &signature), "{other:?}");
        }
    }

    #[test]
    fn a_signature_of_one_kind_is_worth_nothing_for_another() {
        let signer = Signer::generate();
        let signature = signer.sign(&terms().renewed());
        assert!(!ring(&signer).verify(terms().issued(0, 0, 0), &signature));
        assert!(!ring(&signer).verify(terms().revoked(""), &signature));
    }

    #[test]
    fn fields_cannot_be_shifted_into_each_other() {
        let shifted = Terms {
            lease_id: "lease-1w",
            work_id: "ork-1",
            ..terms()
        };
        assert_ne!(terms().renewed(), shifted.renewed());
    }

    #[test]
    fn a_stranger_s_signature_is_refused_even_under_a_trusted_name() {
        let (signer, stranger) = (Signer::generate(), Signer::generate());
        let message = terms().renewed();
        let mut forged = stranger.sign(&message);
        assert!(!ring(&signer).verify(message.clone(), &forged));
        forged[..8].copy_from_slice(&signer.public_key().id());
        assert!(!ring(&signer).verify(message.clone(), &forged));
    }

    #[test]
    fn signatures_of_any_length_are_judged_not_feared() {
        let signer = Signer::generate();
        let message = terms().renewed();
        let whole = signer.sign(&message);
        for len in 0..whole.len() {
            assert!(!ring(&signer).verify(message.clone(), &whole[..len]));
        }
    }

    #[test]
    fn the_canonical_bytes_are_frozen() {
        let bytes = blake3::hash(&terms().issued(1, 10, 0));
        assert_eq!(bytes.to_hex().as_str(), FROZEN);
    }

    const FROZEN: &str = "5e7a9c6f753e7170eb57f467757996881820256148d14bda524afa5b6146b66b";
}
