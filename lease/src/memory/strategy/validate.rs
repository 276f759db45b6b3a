//! The independent validator: asks a strategy from outside, and gathers every reason.
//!
//! It trusts no single answer: state, books, figures and ownership are asked for one by one. It changes nothing, takes
//! memory only to list reasons, and may be called while other threads use the strategy; its answer is about a moment
//! that has passed.

use std::alloc::Layout;
use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

use super::{AllocReason, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyState};

/// Every reason against something, never empty; a slice, and an error that lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reasons<R>(Vec<R>);

impl<R> Reasons<R> {
    fn none() -> Self {
        Self(Vec::new())
    }

    fn push_if(&mut self, applies: bool, reason: R) {
        if applies {
            self.0.push(reason);
        }
    }

    fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl<R> Deref for Reasons<R> {
    type Target = [R];

    fn deref(&self) -> &[R] {
        &self.0
    }
}

impl<R: fmt::Display> fmt::Display for Reasons<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{reason}")?;
        }
        Ok(())
    }
}

impl<R: fmt::Debug + fmt::Display> Error for Reasons<R> {}

/// Whether a strategy is in order: its state, its own books, and the figures it shows.
///
/// # Errors
///
/// Every fault that was found.
///
/// ```
/// use lease::strategy::{Quota, System, validate_strategy};
///
/// assert!(validate_strategy(&Quota::bytes(1024, System)).is_ok());
/// ```
pub fn validate_strategy<S: MemoryStrategy + ?Sized>(strategy: &S) -> Result<(), Reasons<StrategyFault>> {
    let mut reasons = Reasons::none();
    let health = strategy.status();
    let errors = health.errors;
    reasons.push_if(
        health.state == StrategyState::Error,
        StrategyFault::Unhealthy { errors },
    );
    if let Err(fault) = strategy.validate() {
        let known = reasons.contains(&fault);
        reasons.push_if(!known, fault);
    }
    let stats = strategy.stats();
    let mut compare = |what, left: usize, right: usize| {
        reasons.push_if(
            left > right,
            StrategyFault::Inconsistent {
                what,
                left: left as u64,
                right: right as u64,
            },
        );
    };
    if let (Some(live), Some(peak)) = (stats.live, stats.peak) {
        compare("live bytes and their peak", live.bytes, peak.bytes);
        compare("live blocks and their peak", live.blocks, peak.blocks);
    }
    if let Some(budget) = stats.bytes {
        compare("remaining bytes and their limit", budget.remaining, budget.limit);
    }
    if let Some(budget) = stats.blocks {
        compare("remaining blocks and their limit", budget.remaining, budget.limit);
    }
    reasons.into_result()
}

/// Whether a strategy would serve this layout now, as far as can be told without asking it to.
///
/// # Errors
///
/// Every reason against it.
///
/// ```
/// use std::alloc::Layout;
/// use lease::strategy::{AllocReason, Quota, System, validate_allocation};
///
/// let quota = Quota::new(10, 0, System);
/// let reasons = validate_allocation(&quota, Layout::new::<[u8; 11]>()).unwrap_err();
/// assert_eq!(*reasons, [
///     AllocReason::QuotaBytes { limit: 10, remaining: 10 },
///     AllocReason::QuotaCount { limit: 0 },
/// ]);
/// ```
pub fn validate_allocation<S: MemoryStrategy + ?Sized>(
    strategy: &S,
    layout: Layout,
) -> Result<(), Reasons<AllocReason>> {
    let mut reasons = Reasons::none();
    reasons.push_if(layout.size() == 0, AllocReason::ZeroSize);
    match strategy.status().state {
        StrategyState::Initialized | StrategyState::Active => {}
        StrategyState::Closed => reasons.push_if(true, AllocReason::Closed),
        state @ (StrategyState::Error | StrategyState::Transitioning) => {
            reasons.push_if(true, AllocReason::NotReady { state });
        }
    }
    let stats = strategy.stats();
    if let Some(budget) = stats.bytes {
        let (limit, remaining) = (budget.limit, budget.remaining);
        reasons.push_if(
            layout.size() > remaining,
            AllocReason::QuotaBytes { limit, remaining },
        );
    }
    if let Some(budget) = stats.blocks {
        let limit = budget.limit;
        reasons.push_if(budget.remaining == 0, AllocReason::QuotaCount { limit });
    }
    reasons.into_result()
}

/// Whether a strategy would take this address back now: foreign, interior and already freed addresses are told apart
/// where the strategy can know.
///
/// `Ok` from a strategy that keeps no record of what it handed out ([`Ownership::Unknown`], as
/// [`System`](super::System)) says only that nothing speaks against it.
///
/// # Errors
///
/// Every reason against it.
///
/// ```
/// use std::ptr;
/// use lease::strategy::{FreeError, System, validate_deallocation};
///
/// let reasons = validate_deallocation(&System, ptr::null()).unwrap_err();
/// assert_eq!(*reasons, [FreeError::Null]);
/// ```
pub fn validate_deallocation<S: MemoryStrategy + ?Sized>(
    strategy: &S,
    ptr: *const u8,
) -> Result<(), Reasons<FreeError>> {
    let mut reasons = Reasons::none();
    let Some(ptr) = NonNull::new(ptr.cast_mut()) else {
        reasons.push_if(true, FreeError::Null);
        return reasons.into_result();
    };
    let address = ptr.addr().get();
    match strategy.owns(ptr) {
        Ownership::Live(_) | Ownership::Unknown => {}
        Ownership::Interior(start) => {
            let start = start.addr().get();
            reasons.push_if(true, FreeError::Interior { address, start });
        }
        Ownership::Freed => reasons.push_if(true, FreeError::AlreadyFreed { address }),
        Ownership::Foreign => reasons.push_if(true, FreeError::Foreign { address }),
    }
    reasons.into_result()
}
