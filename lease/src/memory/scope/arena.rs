//! The memory of a scope: chunks from a strategy, handed out from front to back and given back together.
//!
//! Invariants:
//! - every pointer into a chunk is derived from the one pointer the strategy returned for it; no reference to a chunk's
//!   bytes is ever made here, so the references that callers make to their own parts alias nothing;
//! - a byte is handed out at most once: `position` only moves forward within a chunk, and chunks only go back in
//!   [`release`](Arena::release), when nobody holds a part of them;
//! - `room` is the number of free bytes that start at `position`.

use std::alloc::Layout;
use std::cell::Cell;
use std::num::NonZero;
use std::ptr::NonNull;

use crate::memory::strategy::{AllocError, AllocReason, MemoryStrategy};

/// The first chunk; each later one is twice as large, up to [`LARGEST_STEP`].
const FIRST_CHUNK: usize = 1 << 10;
/// Where doubling ends: larger chunks save few calls and waste more at the end.
const LARGEST_STEP: usize = 64 << 10;

/// What stands at the start of each chunk.
struct Chunk {
    previous: Option<NonNull<Chunk>>,
    /// As the strategy was asked; it wants the same back.
    layout: Layout,
}

/// A bump arena that borrows its strategy call by call.
pub(super) struct Arena {
    position: Cell<NonNull<u8>>,
    room: Cell<usize>,
    newest: Cell<Option<NonNull<Chunk>>>,
    next_chunk: Cell<usize>,
    chunks: Cell<usize>,
    /// Bytes taken from the strategy.
    reserved: Cell<usize>,
    /// Bytes lost to chunk heads and to the ends of chunks that were left.
    lost: Cell<usize>,
}

// SAFETY: the chunks belong to the arena alone, and freeing them needs nothing of the thread that took them (a strategy
// is `Sync`). What callers put into them is reached only through the references they hold, whose own auto traits speak
// for it; the arena never looks at it.
unsafe impl Send for Arena {}

impl Arena {
    /// An arena without a chunk.
    pub(super) const fn new() -> Self {
        Self {
            position: Cell::new(NonNull::dangling()),
            room: Cell::new(0),
            newest: Cell::new(None),
            next_chunk: Cell::new(FIRST_CHUNK),
            chunks: Cell::new(0),
            reserved: Cell::new(0),
            lost: Cell::new(0),
        }
    }

    /// Memory for `layout`, uninitialised, valid until [`release`](Self::release). Size 0 takes nothing.
    pub(super) fn allocate<S: MemoryStrategy + ?Sized>(
        &self,
        strategy: &S,
        layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        if layout.size() == 0 {
            let align = NonZero::new(layout.align()).expect("an alignment is at least 1");
            return Ok(NonNull::without_provenance(align));
        }
        if let Some(block) = self.bump(layout) {
            return Ok(block);
        }
        self.add_chunk(strategy, layout)?;
        Ok(self.bump(layout).expect("a new chunk holds what it was made for"))
    }

    fn bump(&self, layout: Layout) -> Option<NonNull<u8>> {
        let position = self.position.get();
        let padding = position.addr().get().wrapping_neg() & (layout.align() - 1);
        let rest = self.room.get().checked_sub(padding)?.checked_sub(layout.size())?;
        // SAFETY: `padding + size <= room`, so the result is inside the chunk that `position` points into.
        let block = unsafe { position.add(padding) };
        // SAFETY: as above; at most one past the chunk's end.
        let after = unsafe { block.add(layout.size()) };
        self.position.set(after);
        self.room.set(rest);
        Some(block)
    }

    /// Makes a chunk with room for `first` the newest. Without one, the arena is as it was.
    fn add_chunk<S: MemoryStrategy + ?Sized>(&self, strategy: &S, first: Layout) -> Result<(), AllocError> {
        let head = Layout::new::<Chunk>();
        let (needed, _) = head
            .extend(first)
            .map_err(|_| AllocError::new(first, AllocReason::OutOfMemory))?;
        let (block, layout) = self.request(strategy, needed)?;
        let chunk = block.cast::<Chunk>();
        let written = Chunk {
            previous: self.newest.get(),
            layout,
        };
        // SAFETY: the block is large and aligned enough for a `Chunk` (`needed` begins with one), and ours alone.
        unsafe { chunk.write(written) };
        // SAFETY: the block is at least as long as its head.
        let start = unsafe { block.cast::<u8>().add(head.size()) };

        self.lost.set(self.lost.get() + self.room.get() + head.size());
        self.reserved.set(self.reserved.get() + block.len());
        self.chunks.set(self.chunks.get() + 1);
        self.next_chunk
            .set((layout.size() * 2).clamp(FIRST_CHUNK, LARGEST_STEP));
        self.newest.set(Some(chunk));
        self.position.set(start);
        self.room.set(block.len() - head.size());
        Ok(())
    }

    /// A block of a comfortable size; where that is refused, of exactly the size needed.
    fn request<S: MemoryStrategy + ?Sized>(
        &self,
        strategy: &S,
        needed: Layout,
    ) -> Result<(NonNull<[u8]>, Layout), AllocError> {
        let size = self.next_chunk.get();
        if size > needed.size()
            && let Ok(comfortable) = Layout::from_size_align(size, needed.align())
            && let Ok(block) = strategy.allocate(comfortable)
        {
            return Ok((block, comfortable));
        }
        Ok((strategy.allocate(needed)?, needed))
    }

    /// Gives every chunk back.
    ///
    /// # Safety
    ///
    /// - nothing uses memory of this arena afterwards;
    /// - `strategy` is the one that every call of [`allocate`](Self::allocate) was given.
    pub(super) unsafe fn release<S: MemoryStrategy + ?Sized>(&mut self, strategy: &S) {
        let mut newest = std::mem::replace(self, Self::new()).newest.get();
        while let Some(chunk) = newest {
            // SAFETY: `add_chunk` wrote a head there, and nobody but this list reaches it.
            let Chunk { previous, layout } = unsafe { chunk.read() };
            // SAFETY: the chunk is the start of a live block of this strategy, of this layout, and by the caller's
            // duty nothing uses it any more.
            unsafe { strategy.deallocate(chunk.cast(), layout) };
            newest = previous;
        }
    }

    pub(super) fn chunks(&self) -> usize {
        self.chunks.get()
    }

    pub(super) fn reserved(&self) -> usize {
        self.reserved.get()
    }

    /// Bytes handed out, with the padding between them.
    pub(super) fn used(&self) -> usize {
        self.reserved.get() - self.lost.get() - self.room.get()
    }
}
