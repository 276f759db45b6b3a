//! What a registrar writes about the ledger itself: which keys it trusts, and whose rules are in force.

use lease_macros::LeaseEvent;

/// The events of namespace `ledger`.
///
/// The first key stands in the ledger's first record and is trusted for standing there; every later one is vouched for
/// by a key that was trusted before it. A retired key's earlier signatures stay valid; it is never trusted again.
#[derive(Clone, Debug, PartialEq, Eq, LeaseEvent)]
#[event(namespace = "ledger")]
pub enum LedgerEvent {
    /// A key whose signatures hold from here on.
    #[event(kind = "key_added", tag = 1)]
    KeyAdded {
        /// The public key's 32 bytes.
        #[event(tag = 1)]
        public_key: Vec<u8>,
        /// The signature of a key that was trusted before; empty for the first.
        #[event(tag = 2)]
        signature: Vec<u8>,
    },
    /// A key whose signatures hold no longer from here on.
    #[event(kind = "key_retired", tag = 2)]
    KeyRetired {
        /// The public key's 32 bytes.
        #[event(tag = 1)]
        public_key: Vec<u8>,
        /// The signature of a trusted key, which may be the same one.
        #[event(tag = 2)]
        signature: Vec<u8>,
    },
    /// From here on commands are decided by the rules of this version, which are stricter than those before it. Until
    /// the first such record they are decided by those of version 1. A registrar that knows older rules only reads.
    #[event(kind = "rules_raised", tag = 3)]
    RulesRaised {
        /// The version of the rules.
        #[event(tag = 1)]
        version: u64,
    },
}
