//! A strategy that hands out the addresses it is told to: an allocator that reuses memory on demand.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Mutex;

use lease::strategy::{
    AllocError, AllocReason, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyId, StrategyStatus,
};

/// A buffer for the life of the program and a finger that points into it.
///
/// What is handed out may overlap what was handed out before, as if somebody had freed it behind the owner's back; the
/// tests write to nothing that does.
#[derive(Debug)]
pub(crate) struct Steered {
    base: NonNull<u8>,
    next: Mutex<Option<usize>>,
    /// How many blocks are out.
    live: Mutex<usize>,
}

pub(crate) const BYTES: usize = 1 << 14;

#[repr(align(4096))]
struct Buffer([UnsafeCell<u8>; BYTES]);

// SAFETY: the bytes are reached through pointers only, by tests that keep to their own buffer.
unsafe impl Sync for Buffer {}

/// Every buffer, so that a leak checker sees that they are meant to stay.
static BUFFERS: Mutex<Vec<&'static Buffer>> = Mutex::new(Vec::new());

// SAFETY: `base` points to a buffer that is never freed, and nothing here reads or writes it.
unsafe impl Send for Steered {}
// SAFETY: as above; the rest is behind locks.
unsafe impl Sync for Steered {}

impl Steered {
    pub(crate) fn new() -> Self {
        let buffer: &'static Buffer = Box::leak(Box::new(Buffer([const { UnsafeCell::new(0) }; BYTES])));
        BUFFERS.lock().unwrap().push(buffer);
        let base = NonNull::from(&buffer.0).cast();
        let (next, live) = (Mutex::new(None), Mutex::new(0));
        Self { base, next, live }
    }

    /// The next block starts at this offset; without it, there is none.
    pub(crate) fn steer(&self, offset: usize) -> &Self {
        *self.next.lock().unwrap() = Some(offset);
        self
    }

    /// A piece of the buffer, to lend or to call static. Nothing is written while it is looked at.
    pub(crate) fn piece(&self, offset: usize, size: usize) -> &'static [UnsafeCell<u8>] {
        assert!(offset + size <= BYTES);
        // SAFETY: the piece is inside the buffer.
        let start = unsafe { self.base.add(offset) };
        // SAFETY: the buffer is initialised, lives for ever, and its bytes may change under a shared reference.
        unsafe { NonNull::slice_from_raw_parts(start.cast(), size).as_ref() }
    }

    pub(crate) fn at(&self, offset: usize) -> *const u8 {
        self.piece(offset, 0).as_ptr().cast()
    }

    pub(crate) fn live(&self) -> usize {
        *self.live.lock().unwrap()
    }
}

// SAFETY: blocks lie in a buffer that is never freed or moved, at aligned offsets. They overlap when a test says so;
// such a test uses at most one of them.
unsafe impl MemoryStrategy for Steered {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let none = AllocError::new(layout, AllocReason::OutOfMemory);
        let offset = self.next.lock().unwrap().take().ok_or(none)?;
        if offset % layout.align() != 0 || offset + layout.size() > BYTES {
            return Err(none);
        }
        *self.live.lock().unwrap() += 1;
        // SAFETY: the offset is inside the buffer.
        let start = unsafe { self.base.add(offset) };
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn deallocate(&self, _ptr: NonNull<u8>, _layout: Layout) {
        *self.live.lock().unwrap() -= 1;
    }

    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
        // SAFETY: the caller's duties are the callee's.
        unsafe { self.deallocate(ptr, layout) };
        Ok(())
    }

    fn owns(&self, _ptr: NonNull<u8>) -> Ownership {
        Ownership::Unknown
    }

    fn status(&self) -> StrategyStatus {
        StrategyStatus::ACTIVE
    }

    fn validate(&self) -> Result<(), StrategyFault> {
        Ok(())
    }

    fn identity(&self) -> StrategyId {
        StrategyId::of(self)
    }
}
