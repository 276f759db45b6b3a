//! The view's own checkpoints: everything that it knows of the ledger up to its head.
//!
//! ```text
//! retention ‖ ledger id ‖ last tick ‖ rules ‖ refusals ‖ keys ‖ retired keys ‖ the lease reducer's body
//! ```
//!
//! A view resumed from one is the view that a replay from the first record gives, except that it remembers how many
//! records were refused up to there and no longer why. One that forgets ended leases sooner or later than it is asked to is
//! therefore not taken. What hangs on the reader's clock is made anew for it. The
//! checkpoint is believed as the directory is in which it lies: whoever can write there can sign as well. Verifying
//! never starts from one.

use crate::work::follow::newest_checkpoint;
use crate::work::ledger::{Head, Ledger, LedgerError};
use crate::work::reducer::codec::{Body, put_number};
use crate::work::reducer::{self, Checkpoint as _, CheckpointError, Position, Unsealed};
use crate::work::registrar::key_ring::KeyRing;
use crate::work::registrar::projection::{Parts, Projection};
use crate::work::registrar::{LeaseReducer, PublicKey};
use crate::work::tick::{ClockId, Tick};

/// Not the reducer's name: the view has applied only what somebody trusted has signed.
pub(super) const NAME: &str = "lease-registrar-view";

const VERSION: u32 = 2;

impl Projection {
    /// The view at the newest checkpoint that can be taken, or before the first record.
    pub(crate) fn resume(ledger: &dyn Ledger, epoch: u32, retention: u64, now: Tick) -> Self {
        let mut parts = None;
        let (position, _refused) = newest_checkpoint(ledger, NAME, VERSION, |unsealed| {
            parts = Some(decode(unsealed, retention)?);
            Ok(())
        });
        match (position, parts) {
            (Some(Position { sequence, hash }), Some(parts)) => {
                Self::from_parts(epoch, Head { sequence, hash }, parts, now)
            }
            _ => Self::new(epoch, retention),
        }
    }

    /// Has the ledger keep the view as a checkpoint, after the records on which it stands.
    pub(crate) fn save(&self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        let Head { sequence, hash } = self.head();
        let mut body = Vec::new();
        self.encode(&mut body);
        let sealed = reducer::seal(NAME, VERSION, &Position { sequence, hash }, &body);
        ledger.sync()?;
        ledger.save_checkpoint(NAME, sequence, &sealed)
    }

    fn encode(&self, body: &mut Vec<u8>) {
        put_number(body, self.retention());
        body.extend_from_slice(&self.ledger_id());
        match self.last_tick() {
            None => body.push(0),
            Some(tick) => {
                body.push(1);
                put_number(body, tick.value);
                put_number(body, tick.rate);
                body.extend_from_slice(&tick.clock.0);
            }
        }
        put_number(body, self.rules());
        put_number(body, self.refusals().count());
        let (keys, retired) = self.keys().all();
        put_number(body, keys.len() as u64);
        for key in keys {
            body.extend_from_slice(&key.to_bytes());
        }
        put_number(body, retired.len() as u64);
        for id in retired {
            body.extend_from_slice(&id);
        }
        self.snapshot().encode(body);
    }
}

fn decode(unsealed: &Unsealed<'_>, retention: u64) -> Result<Parts, CheckpointError> {
    if unsealed.version != VERSION {
        return Err(CheckpointError::body("it does not say how long leases are kept"));
    }
    let mut body = Body(unsealed.body);
    if body.number()? != retention {
        return Err(CheckpointError::body("it keeps ended leases for another time"));
    }
    let ledger_id = body.array()?;
    let last_tick = match body.byte()? {
        0 => None,
        _ => Some(Tick::new(body.number()?, body.number()?, ClockId(body.array()?))),
    };
    let rules = body.number()?;
    let refused = body.number()?;
    let mut keys = Vec::new();
    for _ in 0..body.count()? {
        keys.push(PublicKey::from_bytes(body.array()?));
    }
    let mut retired = Vec::new();
    for _ in 0..body.count()? {
        retired.push(body.array()?);
    }
    let mut reducer = LeaseReducer::new();
    reducer.decode(LeaseReducer::VERSION, body.0)?;
    Ok(Parts {
        reducer,
        keys: KeyRing::of(keys, retired),
        ledger_id,
        last_tick,
        rules,
        retention,
        refused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::ledger::MemoryLedger;
    use crate::work::registrar::Registrar;
    use crate::work::registrar::projection::FOR_EVER;

    #[test]
    fn a_checkpoint_of_an_older_form_is_not_taken_even_if_it_could_be_read() {
        let ledger = crate::sync::Arc::new(MemoryLedger::new());
        let registrar = Registrar::builder().on(ledger.clone()).unwrap();
        let now = registrar.clock().tick();
        let mut view = Projection::new(1, FOR_EVER);
        view.catch_up(&*ledger, now).unwrap();
        let Head { sequence, hash } = view.head();
        let mut body = Vec::new();
        view.encode(&mut body);
        for (version, resumed) in [(VERSION - 1, 0), (VERSION, sequence)] {
            let sealed = reducer::seal(NAME, version, &Position { sequence, hash }, &body);
            ledger.save_checkpoint(NAME, sequence, &sealed).unwrap();
            let view = Projection::resume(&*ledger, 1, FOR_EVER, now);
            assert_eq!(view.head().sequence, resumed);
        }
    }
}
