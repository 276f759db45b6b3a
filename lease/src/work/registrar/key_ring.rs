//! The keys that a ledger trusts, as its own records say.
//!
//! The ring is what those records make of it up to one position: a signature is held against the ring as it stood when
//! its record was written, so what a key signed while it was trusted stays valid after it was retired. A key is retired
//! for ever: whoever finds the record that once added it must not be able to add it again.

use std::collections::{HashMap, HashSet};

use ed25519_dalek::{Signature, VerifyingKey, verify_batch};

#[cfg(test)]
use crate::work::registrar::signer::tally;
use crate::work::registrar::signer::{KeyId, PublicKey};
use crate::work::registrar::signing;
use crate::work::registrar::token::LedgerId;
use crate::work::registrar::{LeaseError, LedgerEvent};

#[derive(Clone, Debug, Default)]
pub(crate) struct KeyRing {
    keys: HashMap<KeyId, VerifyingKey>,
    retired: HashSet<KeyId>,
}

/// A message, and who is said to have signed it: still to be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Signature,
    pub(crate) key: VerifyingKey,
}

impl Statement {
    /// Whether it was signed by whom it says.
    pub(crate) fn is_genuine(&self) -> bool {
        #[cfg(test)]
        tally::count();
        self.key.verify_strict(&self.message, &self.signature).is_ok()
    }

    /// Whether each of many was, which takes less than half as long as to ask them one by one. The one thing that this
    /// might let pass and [`is_genuine`](Self::is_genuine) refuse is a signature bent on purpose by whoever has the key,
    /// who needs no such trick.
    pub(crate) fn are_genuine<'a>(all: impl IntoIterator<Item = &'a Self, IntoIter: Clone>) -> bool {
        #[cfg(test)]
        tally::count();
        let all = all.into_iter();
        let messages: Vec<_> = all.clone().map(|one| one.message.as_slice()).collect();
        let signatures: Vec<_> = all.clone().map(|one| one.signature).collect();
        let keys: Vec<_> = all.map(|one| one.key).collect();
        verify_batch(&messages, &signatures, &keys).is_ok()
    }
}

impl KeyRing {
    /// Trusts a key from now on, unless it was retired, or is none, or one under which anybody can sign.
    fn add(&mut self, key: PublicKey) {
        let id = key.id();
        if let Some(verifying) = usable(key)
            && !self.retired.contains(&id)
        {
            self.keys.insert(id, verifying);
        }
    }

    fn retire(&mut self, key: PublicKey) {
        self.keys.remove(&key.id());
        self.retired.insert(key.id());
    }

    /// The ring with these keys, of which the second were retired.
    pub(crate) fn of(keys: Vec<PublicKey>, retired: Vec<KeyId>) -> Self {
        let mut ring = Self {
            keys: HashMap::new(),
            retired: retired.into_iter().collect(),
        };
        for key in keys {
            ring.add(key);
        }
        ring
    }

    /// The keys that are trusted, and what names those that were retired, each in order.
    pub(crate) fn all(&self) -> (Vec<PublicKey>, Vec<KeyId>) {
        let mut keys: Vec<_> = self.keys.values().map(VerifyingKey::to_bytes).collect();
        keys.sort_unstable();
        let mut retired: Vec<_> = self.retired.iter().copied().collect();
        retired.sort_unstable();
        (keys.into_iter().map(PublicKey::from_bytes).collect(), retired)
    }

    pub(crate) fn trusts(&self, key: PublicKey) -> bool {
        self.keys.contains_key(&key.id())
    }

    pub(crate) fn has_retired(&self, key: PublicKey) -> bool {
        self.retired.contains(&key.id())
    }

    /// The statement that `signature` makes about `message`, if it names a trusted key.
    pub(crate) fn statement(&self, message: Vec<u8>, signature: &[u8]) -> Option<Statement> {
        let (id, signature) = signature.split_first_chunk::<8>()?;
        Some(Statement {
            message,
            signature: Signature::from_slice(signature).ok()?,
            key: *self.keys.get(id)?,
        })
    }

    /// Whether a trusted key signed exactly `message`.
    pub(crate) fn verify(&self, message: Vec<u8>, signature: &[u8]) -> bool {
        self.statement(message, signature)
            .is_some_and(|statement| statement.is_genuine())
    }

    /// Takes a record about keys, if a trusted key vouches for it, and says whether one did. One that `is_believed` needs
    /// nobody who does: a ledger's first, for standing there, and one that this registrar has just signed itself.
    pub(crate) fn apply(&mut self, event: &LedgerEvent, ledger: &LedgerId, is_believed: bool) -> bool {
        match event {
            LedgerEvent::KeyAdded {
                public_key,
                signature,
            } => {
                let is_vouched_for =
                    is_believed || self.verify(signing::key_added(ledger, public_key), signature);
                if is_vouched_for && let Ok(key) = public_key.as_slice().try_into() {
                    self.add(PublicKey::from_bytes(key));
                }
                is_vouched_for
            }
            LedgerEvent::KeyRetired {
                public_key,
                signature,
            } => {
                let is_vouched_for =
                    is_believed || self.verify(signing::key_retired(ledger, public_key), signature);
                if is_vouched_for && let Ok(key) = public_key.as_slice().try_into() {
                    self.retire(PublicKey::from_bytes(key));
                }
                is_vouched_for
            }
            LedgerEvent::RulesRaised { .. } => true,
        }
    }

    /// Whether there is anything to do to trust this key.
    ///
    /// # Errors
    ///
    /// Why it cannot be trusted.
    pub(crate) fn can_add(&self, key: PublicKey) -> Result<bool, LeaseError> {
        if self.has_retired(key) {
            return Err(refused("it was retired, and that is for ever"));
        }
        if usable(key).is_none() {
            return Err(refused("it is no Ed25519 key, or a weak one"));
        }
        Ok(!self.trusts(key))
    }

    /// Whether there is anything to do to end the trust in this key.
    ///
    /// # Errors
    ///
    /// Why it cannot be retired.
    pub(crate) fn can_retire(&self, key: PublicKey) -> Result<bool, LeaseError> {
        if self.trusts(key) {
            Ok(true)
        } else if self.has_retired(key) {
            Ok(false)
        } else {
            Err(refused("the ledger never trusted it"))
        }
    }
}

pub(crate) fn refused(reason: &str) -> LeaseError {
    LeaseError::invalid_input("public_key", reason)
}

/// Under a weak key one signature fits many messages.
fn usable(key: PublicKey) -> Option<VerifyingKey> {
    let verifying = VerifyingKey::from_bytes(&key.to_bytes()).ok()?;
    (!verifying.is_weak()).then_some(verifying)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::registrar::Signer;

    const LEDGER: LedgerId = [1; 32];

    fn added(key: &Signer, by: Option<&Signer>, ledger: &LedgerId) -> LedgerEvent {
        let public_key = key.public_key().to_bytes().to_vec();
        let signature = by.map_or(Vec::new(), |by| by.sign(&signing::key_added(ledger, &public_key)));
        LedgerEvent::KeyAdded {
            public_key,
            signature,
        }
    }

    fn retired(key: &Signer, by: &Signer) -> LedgerEvent {
        let public_key = key.public_key().to_bytes().to_vec();
        let signature = by.sign(&signing::key_retired(&LEDGER, &public_key));
        LedgerEvent::KeyRetired {
            public_key,
            signature,
        }
    }

    fn founded(by: &Signer) -> KeyRing {
        let mut ring = KeyRing::default();
        assert!(ring.apply(&added(by, None, &LEDGER), &LEDGER, true));
        ring
    }

    #[test]
    fn only_a_trusted_key_vouches_for_another() {
        let (first, second, third) = (Signer::generate(), Signer::generate(), Signer::generate());
        let mut ring = founded(&first);
        assert!(!ring.apply(&added(&second, None, &LEDGER), &LEDGER, false));
        assert!(!ring.apply(&added(&second, Some(&third), &LEDGER), &LEDGER, false));
        assert!(!ring.trusts(second.public_key()));
        assert!(ring.apply(&added(&second, Some(&first), &LEDGER), &LEDGER, false));
        assert!(ring.apply(&added(&third, Some(&second), &LEDGER), &LEDGER, false));
        assert!(ring.trusts(third.public_key()));
    }

    #[test]
    fn what_was_signed_for_another_ledger_counts_for_nothing() {
        let (first, second) = (Signer::generate(), Signer::generate());
        let mut ring = founded(&first);
        assert!(!ring.apply(&added(&second, Some(&first), &[2; 32]), &LEDGER, false));
        assert!(!ring.trusts(second.public_key()));
    }

    #[test]
    fn a_retired_key_signs_nothing_more_and_does_not_come_back() {
        let (first, second) = (Signer::generate(), Signer::generate());
        let mut ring = founded(&first);
        let added = added(&second, Some(&first), &LEDGER);
        assert!(ring.apply(&added, &LEDGER, false));
        assert!(!ring.apply(&retired(&second, &Signer::generate()), &LEDGER, false));
        assert!(ring.trusts(second.public_key()));
        assert!(ring.apply(&retired(&second, &first), &LEDGER, false));
        assert!(!ring.verify(b"m".to_vec(), &second.sign(b"m")));
        ring.apply(&added, &LEDGER, false);
        assert!(
            !ring.trusts(second.public_key()),
            "its old record was shown again"
        );
        assert!(ring.can_add(second.public_key()).is_err());
    }

    #[test]
    fn a_weak_key_is_not_trusted() {
        // The neutral element: any signature with R = 0 and s = 0 would fit any message.
        let mut bytes = [0; 32];
        bytes[0] = 1;
        let ring = KeyRing::default();
        assert!(ring.can_add(PublicKey::from_bytes(bytes)).is_err());
    }
}
