//! The reducer that one would write by hand: `prost` for the payloads, a map of leases, a map of who holds which work
//! item, and the checks without which the maps would be wrong.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use lease::EventRecord;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(oneof = "Arm", tags = "1, 2, 3, 4, 16")]
    event: Option<Arm>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Arm {
    #[prost(message, tag = "1")]
    Issued(Issued),
    #[prost(message, tag = "2")]
    Renewed(Renewed),
    #[prost(message, tag = "3")]
    Released(Released),
    #[prost(message, tag = "4")]
    Expired(Expired),
    #[prost(message, tag = "16")]
    Revoked(Revoked),
}

#[derive(Clone, PartialEq, Message)]
struct Issued {
    #[prost(string, tag = "1")]
    lease_id: String,
    #[prost(string, tag = "2")]
    work_id: String,
    #[prost(string, tag = "3")]
    actor_id: String,
    #[prost(uint64, tag = "4")]
    start: u64,
    #[prost(uint64, tag = "5")]
    end: u64,
    #[prost(bytes = "vec", tag = "6")]
    registrar_signature: Vec<u8>,
    #[prost(uint64, tag = "8")]
    start_tick: u64,
    #[prost(uint64, tag = "9")]
    end_tick: u64,
    #[prost(uint64, tag = "10")]
    tick_rate_hz: u64,
    #[prost(uint64, tag = "19")]
    fencing_token: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Renewed {
    #[prost(string, tag = "1")]
    lease_id: String,
    #[prost(uint64, tag = "2")]
    end: u64,
    #[prost(bytes = "vec", tag = "3")]
    registrar_signature: Vec<u8>,
    #[prost(uint64, tag = "5")]
    end_tick: u64,
    #[prost(uint64, tag = "6")]
    tick_rate_hz: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Released {
    #[prost(string, tag = "1")]
    lease_id: String,
    #[prost(string, tag = "2")]
    release_reason: String,
}

#[derive(Clone, PartialEq, Message)]
struct Expired {
    #[prost(string, tag = "1")]
    lease_id: String,
    #[prost(uint64, tag = "2")]
    expired_at: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Revoked {
    #[prost(string, tag = "1")]
    lease_id: String,
    #[prost(string, tag = "2")]
    reason: String,
    #[prost(bytes = "vec", tag = "3")]
    registrar_signature: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Active,
    Released,
    Expired,
    Revoked,
}

#[derive(Debug)]
struct Held {
    state: State,
    lease: Issued,
    renewals: u32,
    reason: Option<String>,
    ended_at: u64,
}

/// All leases by id, and the active one of each work item.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    leases: HashMap<String, Held>,
    active: HashMap<String, String>,
    last_token: u64,
}

#[derive(Debug)]
pub(crate) enum Refused {
    Undecodable,
    WrongType,
    Sender,
    Exists,
    WorkTaken,
    Signature,
    Ends,
    Token,
    Unknown,
    Terminal,
}

impl Peer {
    /// How many leases it knows.
    pub(crate) fn len(&self) -> usize {
        self.leases.len()
    }

    /// Takes a record, or says why not.
    pub(crate) fn apply(&mut self, record: &EventRecord) -> Result<(), Refused> {
        if !record.event_type.starts_with("lease.") {
            return Ok(());
        }
        let envelope = Envelope::decode(record.payload.as_slice()).map_err(|_| Refused::Undecodable)?;
        match (envelope.event, record.event_type.as_str()) {
            (Some(Arm::Issued(issued)), "lease.issued") => self.issue(issued, record),
            (Some(Arm::Renewed(renewed)), "lease.renewed") => self.renew(renewed, record),
            (Some(Arm::Released(released)), "lease.released") => {
                let held = self.active(&released.lease_id)?;
                if held.lease.actor_id != record.actor_id {
                    return Err(Refused::Sender);
                }
                self.end(
                    &released.lease_id,
                    State::Released,
                    Some(released.release_reason),
                    record.wall,
                )
            }
            (Some(Arm::Expired(expired)), "lease.expired") => {
                check_sender(record)?;
                if expired.expired_at < self.active(&expired.lease_id)?.lease.end {
                    return Err(Refused::Ends);
                }
                self.end(&expired.lease_id, State::Expired, None, expired.expired_at)
            }
            (Some(Arm::Revoked(revoked)), "lease.revoked") => {
                check_sender(record)?;
                if revoked.registrar_signature.is_empty() {
                    return Err(Refused::Signature);
                }
                self.end(
                    &revoked.lease_id,
                    State::Revoked,
                    Some(revoked.reason),
                    record.wall,
                )
            }
            _ => Err(Refused::WrongType),
        }
    }

    fn issue(&mut self, mut issued: Issued, record: &EventRecord) -> Result<(), Refused> {
        check_sender(record)?;
        if issued.registrar_signature.is_empty() {
            return Err(Refused::Signature);
        }
        if issued.end <= issued.start || (issued.tick_rate_hz != 0 && issued.end_tick <= issued.start_tick) {
            return Err(Refused::Ends);
        }
        if issued.fencing_token == 0 {
            issued.fencing_token = self.last_token + 1;
        }
        if issued.fencing_token <= self.last_token {
            return Err(Refused::Token);
        }
        let Entry::Vacant(lease) = self.leases.entry(issued.lease_id.clone()) else {
            return Err(Refused::Exists);
        };
        let Entry::Vacant(work) = self.active.entry(issued.work_id.clone()) else {
            return Err(Refused::WorkTaken);
        };
        self.last_token = issued.fencing_token;
        work.insert(issued.lease_id.clone());
        lease.insert(Held {
            state: State::Active,
            lease: issued,
            renewals: 0,
            reason: None,
            ended_at: 0,
        });
        Ok(())
    }

    fn renew(&mut self, renewed: Renewed, record: &EventRecord) -> Result<(), Refused> {
        check_sender(record)?;
        let held = self.active(&renewed.lease_id)?;
        let lease = &mut held.lease;
        if renewed.end <= lease.end
            || renewed.end_tick <= lease.end_tick
            || renewed.tick_rate_hz != lease.tick_rate_hz
            || record.tick.is_none_or(|tick| tick.value >= lease.end_tick)
        {
            return Err(Refused::Ends);
        }
        if renewed.registrar_signature.is_empty() {
            return Err(Refused::Signature);
        }
        lease.end = renewed.end;
        lease.end_tick = renewed.end_tick;
        lease.registrar_signature = renewed.registrar_signature;
        held.renewals += 1;
        Ok(())
    }

    fn active(&mut self, lease_id: &str) -> Result<&mut Held, Refused> {
        let held = self.leases.get_mut(lease_id).ok_or(Refused::Unknown)?;
        if held.state != State::Active {
            return Err(Refused::Terminal);
        }
        Ok(held)
    }

    fn end(&mut self, lease_id: &str, state: State, reason: Option<String>, at: u64) -> Result<(), Refused> {
        let held = self.leases.get_mut(lease_id).ok_or(Refused::Unknown)?;
        if held.state != State::Active {
            return Err(Refused::Terminal);
        }
        held.state = state;
        held.reason = reason;
        held.ended_at = at.min(held.lease.end);
        self.active.remove(&held.lease.work_id);
        Ok(())
    }
}

fn check_sender(record: &EventRecord) -> Result<(), Refused> {
    if record.actor_id == "registrar" {
        Ok(())
    } else {
        Err(Refused::Sender)
    }
}
