//! Who a strategy is.

use std::any::{TypeId, type_name};
use std::{fmt, ptr};

use super::System;

/// Who would have to free a strategy's blocks: two strategies with equal identities may free each other's.
///
/// [`System`](super::System) is always itself. Any other strategy is known by where it lies and what it is (a layer may
/// lie at the same address as the strategy it wraps), and `&S`, `Box<S>` and `Arc<S>` are who `S` is. The identity of a
/// strategy that is not behind one of these holds only until it moves: compare when you need to know, do not keep it.
///
/// ```
/// use std::sync::Arc;
/// use lease::strategy::{MemoryStrategy, Quota, System};
///
/// let quota = Arc::new(Quota::bytes(1024, System));
/// assert_eq!(quota.identity(), Arc::clone(&quota).identity());
/// assert_ne!(quota.identity(), quota.inner().identity());
/// assert_eq!(System.identity(), Box::new(System).identity());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StrategyId {
    address: usize,
    /// The type without its lifetimes. Its name would not do: two versions of a crate have types of one name.
    kind: TypeId,
    name: &'static str,
}

impl StrategyId {
    /// The system allocator's identity.
    pub const SYSTEM: Self = Self {
        address: 0,
        kind: TypeId::of::<System>(),
        name: "System",
    };

    /// The identity of this very value, for an implementation of
    /// [`MemoryStrategy::identity`](super::MemoryStrategy::identity) to return.
    ///
    /// Values of a type without size are all one strategy.
    pub fn of<S>(strategy: &S) -> Self {
        let address = if size_of::<S>() == 0 {
            align_of::<S>()
        } else {
            ptr::from_ref(strategy).addr()
        };
        Self {
            address,
            kind: typeid::of::<S>(),
            name: type_name::<S>(),
        }
    }
}

impl fmt::Debug for StrategyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::SYSTEM {
            return f.write_str("System");
        }
        write!(f, "{} at {:#x}", self.name, self.address)
    }
}
