//! What a scope holds, for people and tools.

use std::fmt;

use super::Scope;

impl Scope<'_, '_> {
    /// What the scope holds now. O(1).
    ///
    /// ```
    /// # let mut scope = lease::__private::Storage::new();
    /// # let scope = lease::__private::handle(&mut scope);
    /// assert_eq!(scope.report().chunks, 0);
    /// scope.alloc(7_u32);
    /// assert_eq!(scope.report().used, 4);
    /// ```
    pub fn report(&self) -> ScopeReport {
        self.storage.report()
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.report()).finish()
    }
}

/// What a scope holds, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ScopeReport {
    /// Bytes handed out, with the padding between them.
    pub used: usize,
    /// Bytes taken from the strategy.
    pub reserved: usize,
    /// How many blocks they came in.
    pub chunks: usize,
    /// Destructors and closures that run when the block ends.
    pub guards: usize,
}
