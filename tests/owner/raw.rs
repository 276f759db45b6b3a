//! The address layer, for tests in which nobody uses memory after a call that may have freed or moved it.

use std::alloc::Layout;
use std::ptr::NonNull;

use lease::strategy::MemoryStrategy;
use lease::{LeaseOwner, OwnerError, TenantId};

pub(crate) fn terminate<S: MemoryStrategy, T: ?Sized>(
    owner: &LeaseOwner<S>,
    address: *const T,
    tenant: TenantId,
) -> Result<(), OwnerError> {
    // SAFETY: the tests do not use the memory after this has succeeded.
    unsafe { owner.terminate(address, tenant) }
}

pub(crate) fn realloc<S: MemoryStrategy, T: ?Sized>(
    owner: &LeaseOwner<S>,
    address: *const T,
    tenant: TenantId,
    layout: Layout,
) -> Result<NonNull<u8>, OwnerError> {
    // SAFETY: the tests write to no memory that moves, and use the old address only if this fails.
    unsafe { owner.realloc(address, tenant, layout) }
}

pub(crate) fn transfer<S: MemoryStrategy, O: MemoryStrategy, T: ?Sized>(
    from: &LeaseOwner<S>,
    address: *const T,
    tenant: TenantId,
    to: &LeaseOwner<O>,
) -> Result<(), OwnerError> {
    // SAFETY: the tests do not use the memory once either owner has ended.
    unsafe { from.transfer(address, tenant, to) }
}

pub(crate) fn migrate<S: MemoryStrategy, O: MemoryStrategy, T: ?Sized>(
    from: &LeaseOwner<S>,
    address: *const T,
    tenant: TenantId,
    to: &LeaseOwner<O>,
) -> Result<NonNull<u8>, OwnerError> {
    // SAFETY: the tests write to no memory that moves, and use the old address only if this fails.
    unsafe { from.migrate(address, tenant, to) }
}
