//! Where a registrar gets its key from, and puts another in its place: the file beside the ledger, the caller, or nowhere.

use crate::work::registrar::{PublicKey, RegistrarError, Signer};

/// One of these places.
pub(crate) trait KeySource: Send + Sync {
    /// The key, if there is one.
    fn load(&self) -> Result<Option<Signer>, RegistrarError>;

    /// Makes the key of a ledger that has no records; called inside its write section.
    fn create(&self) -> Result<Signer, RegistrarError>;

    /// A ledger has records, but there is no key.
    fn missing(&self) -> RegistrarError;

    /// Puts another key in the old one's place, if that is still there; called inside the ledger's write section.
    fn replace(&self, old: PublicKey, next: &Signer) -> Result<(), RegistrarError>;
}

/// A key that the caller brought, and keeps.
pub(super) struct Brought(pub(super) Signer);

impl KeySource for Brought {
    fn load(&self) -> Result<Option<Signer>, RegistrarError> {
        Ok(Some(self.0.clone()))
    }

    fn create(&self) -> Result<Signer, RegistrarError> {
        Ok(self.0.clone())
    }

    fn missing(&self) -> RegistrarError {
        untrusted(self.0.public_key())
    }

    fn replace(&self, _: PublicKey, _: &Signer) -> Result<(), RegistrarError> {
        Ok(())
    }
}

/// A key that ends with its registrar.
pub(super) struct NewKey;

impl KeySource for NewKey {
    fn load(&self) -> Result<Option<Signer>, RegistrarError> {
        Ok(None)
    }

    fn create(&self) -> Result<Signer, RegistrarError> {
        Ok(Signer::generate())
    }

    fn missing(&self) -> RegistrarError {
        RegistrarError::SignerNeeded
    }

    fn replace(&self, _: PublicKey, _: &Signer) -> Result<(), RegistrarError> {
        Ok(())
    }
}

/// The ledger does not trust this key, or no longer.
pub(super) fn untrusted(key: PublicKey) -> RegistrarError {
    RegistrarError::SignerUntrusted { public_key: key }
}
