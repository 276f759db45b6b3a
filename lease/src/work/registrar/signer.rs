//! Keys: the half that signs, and the half that everybody may know.
//!
//! Ed25519. A signature carries the first bytes of its key's hash, so that a reader knows which of several trusted keys to
//! hold it against. What is signed is in `signing`.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey};

use crate::work::registrar::LeaseError;

/// A private key that signs leases.
///
/// Whoever has it can write any history; keep it where only registrars can read it.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    public: PublicKey,
}

impl Signer {
    /// A new key that nobody else has.
    pub fn generate() -> Self {
        Self::from_bytes(&crate::work::random::bytes())
    }

    /// The key with these 32 secret bytes.
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(secret);
        let public = PublicKey(key.verifying_key().to_bytes());
        Self { key, public }
    }

    /// The 32 secret bytes, to be kept as carefully as the key.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// The other half, which everybody may know.
    pub const fn public_key(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = self.public.id().to_vec();
        signature.extend_from_slice(&self.sign_plainly(message));
        signature
    }

    /// The signature without the key's name, for where the key itself stands beside it.
    pub(crate) fn sign_plainly(&self, message: &[u8]) -> [u8; 64] {
        #[cfg(test)]
        tally::count();
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// The public half of a [`Signer`]: what a ledger trusts. As text it is 64 hexadecimal digits, with the feature `serde` too.
///
/// ```
/// use lease::{PublicKey, Signer};
///
/// let key = Signer::generate().public_key();
/// let told: PublicKey = key.to_string().parse()?;
/// assert_eq!(told, key);
/// # Ok::<(), lease::LeaseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// How a signature names its key: the start of the key's hash.
pub(crate) type KeyId = [u8; 8];

impl PublicKey {
    /// The key with these bytes; whether they are a key shows when something is verified with it.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    pub(crate) fn id(self) -> KeyId {
        let mut id = KeyId::default();
        id.copy_from_slice(&blake3::hash(&self.0).as_bytes()[..8]);
        id
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for PublicKey {
    type Err = LeaseError;

    /// The key that [`Display`](fmt::Display) has written, in digits of either case.
    ///
    /// # Errors
    ///
    /// [`LeaseError::InvalidInput`] for anything but 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, LeaseError> {
        match blake3::Hash::from_hex(text) {
            Ok(bytes) => Ok(Self(bytes.into())),
            Err(_) => Err(LeaseError::invalid_input(
                "public_key",
                "it is not 64 hexadecimal digits",
            )),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// How many signatures this thread has made or verified.
#[cfg(test)]
pub(super) mod tally {
    use std::cell::Cell;

    thread_local! {
        static SO_FAR: Cell<u64> = const { Cell::new(0) };
    }

    pub(in super::super) fn count() {
        SO_FAR.set(so_far() + 1);
    }

    pub(in super::super) fn so_far() -> u64 {
        SO_FAR.get()
    }
}
