//! The view's own checkpoints: everything that it knows of the ledger up to its head.
//!
//! ```text
//! signature ‖ retention ‖ ledger id ‖ last tick ‖ rules ‖ refusals ‖ keys ‖ retired keys ‖ the lease reducer's body
//! ```
//!
//! A view resumed from one is the view that a replay from the first record gives, except that it remembers how many
//! records were refused up to there and no longer why. One that forgets ended leases sooner or later than it is asked to is
//! therefore not taken. What hangs on the reader's clock is made anew for it.
//!
//! It says which keys are trusted, so it is not believed because it lies there: whoever can write the directory need not
//! have a key. A registrar signs what it saves, and takes only what its own key has signed. Verifying never starts from
//! one.

use crate::work::follow::newest_checkpoint;
use crate::work::ledger::{Head, Ledger, LedgerError};
use crate::work::reducer::codec::{Body, put_number};
use crate::work::reducer::{self, Checkpoint as _, CheckpointError, Position, Unsealed};
use crate::work::registrar::key_ring::KeyRing;
use crate::work::registrar::projection::{FOR_EVER, Parts, Projection};
use crate::work::registrar::{LeaseReducer, PublicKey, Signer, signing};
use crate::work::tick::{ClockId, Tick};

/// Not the reducer's name: the view has applied only what somebody trusted has signed.
const NAME: &str = "lease-registrar-view";

const VERSION: u32 = 3;

/// Of a signature that names its key.
const SIGNATURE: usize = 72;

/// Under which name a ledger keeps the views that forget ended leases after so long. Each retention has its own, or the
/// checkpoints of one would take the room of another's, and nobody find any that he takes.
pub(super) fn kept_as(retention: u64) -> String {
    if retention == FOR_EVER {
        NAME.to_owned()
    } else {
        format!("{NAME}-{retention}")
    }
}

impl Projection {
    /// The view at the newest checkpoint that `key` has signed and that can be taken, or before the first record.
    pub(crate) fn resume(ledger: &dyn Ledger, epoch: u32, retention: u64, key: PublicKey, now: Tick) -> Self {
        let mut parts = None;
        let (position, _refused) =
            newest_checkpoint(ledger, &kept_as(retention), NAME, VERSION, |unsealed| {
                parts = Some(decode(unsealed, retention, key)?);
                Ok(())
            });
        match (position, parts) {
            (Some(Position { sequence, hash }), Some(parts)) => {
                Self::from_parts(epoch, Head { sequence, hash }, parts, now)
            }
            _ => Self::new(epoch, retention),
        }
    }

    /// The view as a checkpoint that this key signs.
    pub(crate) fn seal(&self, signer: &Signer) -> Sealed {
        let head = self.head();
        let mut said = Vec::new();
        self.encode(&mut said);
        let mut body = signer.sign(&signing::view(VERSION, &self.ledger_id(), &head, &said));
        body.append(&mut said);
        let Head { sequence, hash } = head;
        Sealed {
            kept_as: kept_as(self.retention()),
            sequence,
            bytes: reducer::seal(NAME, VERSION, &Position { sequence, hash }, &body),
        }
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

/// A checkpoint of a view.
pub(crate) struct Sealed {
    kept_as: String,
    sequence: u64,
    bytes: Vec<u8>,
}

impl Sealed {
    /// Has the ledger keep it, after the records on which it stands.
    pub(crate) fn save(&self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        ledger.sync()?;
        ledger.save_checkpoint(&self.kept_as, self.sequence, &self.bytes)
    }
}

fn decode(unsealed: &Unsealed<'_>, retention: u64, key: PublicKey) -> Result<Parts, CheckpointError> {
    if unsealed.version != VERSION {
        return Err(CheckpointError::body("it does not say who signed it"));
    }
    let mut body = Body(unsealed.body);
    let signature = body.array::<SIGNATURE>()?;
    let said = body.0;
    if body.number()? != retention {
        return Err(CheckpointError::body("it keeps ended leases for another time"));
    }
    let ledger_id = body.array()?;
    let Position { sequence, hash } = unsealed.position;
    let message = signing::view(VERSION, &ledger_id, &Head { sequence, hash }, said);
    if !KeyRing::of(vec![key], Vec::new()).verify(message, &signature) {
        return Err(CheckpointError::body(
            "it is not signed by the key that would go on from it",
        ));
    }
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
    use crate::sync::Arc;
    use crate::work::ledger::MemoryLedger;
    use crate::work::registrar::Registrar;

    /// A ledger, the view of all of it, and the moment at which it was looked at.
    fn viewed(signer: &Signer) -> (Arc<MemoryLedger>, Projection, Tick) {
        let ledger = Arc::new(MemoryLedger::new());
        let registrar = Registrar::builder()
            .signer(signer.clone())
            .on(ledger.clone())
            .unwrap();
        let now = registrar.clock().tick();
        let mut view = Projection::new(1, FOR_EVER);
        view.catch_up(&*ledger, now).unwrap();
        (ledger, view, now)
    }

    /// What a checkpoint of this view says, and the signature of it.
    fn signed(view: &Projection, signer: &Signer) -> (Vec<u8>, Vec<u8>) {
        let mut said = Vec::new();
        view.encode(&mut said);
        let message = signing::view(VERSION, &view.ledger_id(), &view.head(), &said);
        (signer.sign(&message), said)
    }

    /// Whether a registrar with this key begins at a checkpoint with this body.
    fn is_taken(
        (ledger, view, now): &(Arc<MemoryLedger>, Projection, Tick),
        version: u32,
        body: &[u8],
        key: PublicKey,
    ) -> bool {
        let Head { sequence, hash } = view.head();
        let sealed = reducer::seal(NAME, version, &Position { sequence, hash }, body);
        ledger.save_checkpoint(NAME, sequence, &sealed).unwrap();
        let resumed = Projection::resume(&**ledger, 1, FOR_EVER, key, *now);
        resumed.head() == view.head()
    }

    #[test]
    fn a_checkpoint_of_an_older_form_is_not_taken_even_if_it_could_be_read() {
        let signer = Signer::generate();
        let viewed = viewed(&signer);
        let (signature, said) = signed(&viewed.1, &signer);
        let body = [signature, said].concat();
        for (version, is_expected) in [(VERSION - 1, false), (VERSION, true)] {
            assert_eq!(
                is_taken(&viewed, version, &body, signer.public_key()),
                is_expected
            );
        }
    }

    #[test]
    fn a_checkpoint_is_taken_only_from_the_key_that_goes_on_from_it() {
        let (signer, stranger) = (Signer::generate(), Signer::generate());
        let viewed = viewed(&signer);
        let (signature, said) = signed(&viewed.1, &stranger);
        let mut renamed = signature.clone();
        renamed[..8].copy_from_slice(&signer.public_key().id());
        let (own, _) = signed(&viewed.1, &signer);
        for (signature, is_expected) in [(signature, false), (renamed, false), (own, true)] {
            let body = [signature, said.clone()].concat();
            assert_eq!(
                is_taken(&viewed, VERSION, &body, signer.public_key()),
                is_expected
            );
        }
    }

    #[test]
    fn a_checkpoint_of_another_retention_is_not_taken_under_whatever_name() {
        let signer = Signer::generate();
        let viewed = viewed(&signer);
        let mut other = Projection::new(1, 5);
        other.catch_up(&*viewed.0, viewed.2).unwrap();
        let (signature, said) = signed(&other, &signer);
        let body = [signature, said].concat();
        assert!(!is_taken(&viewed, VERSION, &body, signer.public_key()));
    }

    #[test]
    fn a_signature_is_of_one_view_at_one_place() {
        let signer = Signer::generate();
        let viewed = viewed(&signer);
        let (_, view, _) = &viewed;
        let (_, said) = signed(view, &signer);
        let (id, head) = (view.ledger_id(), view.head());
        let sequence = head.sequence + 1;
        let elsewhere = Head { sequence, ..head };
        let otherwise = Head {
            hash: [7; 32],
            ..head
        };
        for message in [
            signing::view(VERSION - 1, &id, &head, &said),
            signing::view(VERSION, &[7; 32], &head, &said),
            signing::view(VERSION, &id, &elsewhere, &said),
            signing::view(VERSION, &id, &otherwise, &said),
            signing::view(VERSION, &id, &head, &said[1..]),
            signing::head(&id, &head),
        ] {
            let body = [signer.sign(&message), said.clone()].concat();
            assert!(!is_taken(&viewed, VERSION, &body, signer.public_key()));
        }
    }
}
