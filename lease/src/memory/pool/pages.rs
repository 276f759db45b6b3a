//! The page table: which pool's memory lies behind a page number, and where its slots are.
//!
//! Handles name a place by page number and offset, not by address, so that any 64-bit number can be looked up without
//! touching memory that may not be ours. The table is process-wide and never shrinks; its entries are read without a
//! lock. Two invariants carry the rest:
//!
//! - An entry names a pool as owner only while the pool has that segment, and a pool gives a segment back only when
//!   nobody can be inside a lookup of it. So a reader that finds *its own* pool there may use the segment; a reader that
//!   finds another owner touches nothing but the entry.
//! - A page number that was given back keeps a floor under the generations of its next life. No handle of an earlier
//!   life can match a slot of a later one.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use crate::memory::strategy::{AllocError, AllocReason, MemoryStrategy, System};
use crate::sync::global::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Mutex, Ordering, lock};

/// Pages are 16 KiB: the smallest segment.
pub(super) const PAGE_SHIFT: u32 = 14;
/// Places are multiples of a control word.
const GRANULE_SHIFT: u32 = 3;
const OFFSET_BITS: u32 = PAGE_SHIFT - GRANULE_SHIFT;
/// How many page numbers fit beside the offset into 32 bits.
pub(super) const PAGE_COUNT: u32 = 1 << (32 - OFFSET_BITS);

const CHUNK_SHIFT: u32 = 11;
const CHUNK_LEN: usize = 1 << CHUNK_SHIFT;
const CHUNKS: usize = (PAGE_COUNT as usize) >> CHUNK_SHIFT;

/// Sizes of segments are counted in doublings of a page.
pub(super) const CLASSES: usize = 8;

/// The place of a slot in the process: page number and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// The place of a slot that starts `offset` bytes into the segment whose first page this is.
    #[inline]
    pub(super) fn new(first_page: u32, offset: usize) -> Self {
        debug_assert!(offset.is_multiple_of(1 << GRANULE_SHIFT));
        let granules = u32::try_from(offset >> GRANULE_SHIFT).expect("segments are at most 2 MiB");
        Self((first_page << OFFSET_BITS) + granules)
    }

    #[inline]
    pub(super) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) const fn to_bits(self) -> u32 {
        self.0
    }

    #[inline]
    pub(super) const fn page(self) -> u32 {
        self.0 >> OFFSET_BITS
    }

    #[inline]
    pub(super) const fn offset_in_page(self) -> usize {
        ((self.0 & ((1 << OFFSET_BITS) - 1)) << GRANULE_SHIFT) as usize
    }
}

/// One page number's state. All zero: never given out.
#[derive(Debug)]
pub(super) struct Entry {
    /// Identity of the pool that has the page, or 0.
    owner: AtomicU64,
    start: AtomicPtr<u8>,
    /// Generations below this belong to earlier lives of the number.
    floor: AtomicU32,
    from_first: AtomicI32,
    slots: AtomicU32,
}

/// What a lookup needs to know of a page, so that it need not touch the segment's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// Where the page starts; may be used to reach the whole segment.
    pub(super) start: NonNull<u8>,
    /// How far that is from the segment's first slot, in bytes. Below zero in the first page, after the header.
    pub(super) from_first: isize,
    /// How many slots the segment has.
    pub(super) slots: usize,
}

impl Entry {
    const fn empty() -> Self {
        Self {
            owner: AtomicU64::new(0),
            start: AtomicPtr::new(ptr::null_mut()),
            floor: AtomicU32::new(0),
            from_first: AtomicI32::new(0),
            slots: AtomicU32::new(0),
        }
    }

    /// Identity of the pool that has the page now, or 0. `Acquire` pairs with [`PageRange::assign`].
    #[inline]
    pub(super) fn owner(&self) -> u64 {
        self.owner.load(Ordering::Acquire)
    }

    /// The page as its owner knows it.
    ///
    /// # Safety
    ///
    /// The caller is the pool that [`Self::owner`] just named.
    #[inline]
    pub(super) unsafe fn page(&self) -> Page {
        let start = self.start.load(Ordering::Relaxed);
        Page {
            // SAFETY: a page has a start as long as it has an owner.
            start: unsafe { NonNull::new_unchecked(start) },
            from_first: self.from_first.load(Ordering::Relaxed) as isize,
            slots: self.slots.load(Ordering::Relaxed) as usize,
        }
    }

    /// Whether the generation belongs to an earlier life of the number.
    pub(super) fn has_passed(&self, generation: u32) -> bool {
        let floor = self.floor.load(Ordering::Relaxed);
        // There is no floor above the last generation; a number whose floor is the last one has no next life.
        generation < floor || floor == u32::MAX
    }
}

type Chunk = [Entry; CHUNK_LEN];

static TABLE: [AtomicPtr<Chunk>; CHUNKS] = [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS];

static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers {
    // Page 0 is never given out, so that no handle is all zero.
    next: 1,
    returned: [const { Vec::new() }; CLASSES],
    issued: [0; CLASSES],
});

/// Which page numbers are to be had.
struct Numbers {
    next: u32,
    /// First pages of ranges that were given back, by class.
    returned: [Vec<PageRange>; CLASSES],
    /// How many ranges of each class exist: the room that `returned` must have, because giving back cannot fail.
    issued: [usize; CLASSES],
}

/// The entry of a page number, if it was ever given out.
#[inline]
pub(super) fn entry(page: u32) -> Option<&'static Entry> {
    let page = page as usize;
    let chunk = NonNull::new(TABLE.get(page >> CHUNK_SHIFT)?.load(Ordering::Acquire))?;
    // SAFETY: chunks are published whole by `reserve` with `Release`, and live as long as the process.
    let chunk = unsafe { chunk.as_ref() };
    chunk.get(page & (CHUNK_LEN - 1))
}

/// Why no range of page numbers could be had.
#[derive(Debug)]
pub(super) enum NoPages {
    /// All numbers are in use.
    Exhausted,
    /// No memory for the table.
    Memory(AllocError),
}

/// Consecutive page numbers for one segment. Dropping it gives nothing back; [`PageRange::give_back`] does.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageRange {
    first: u32,
    class: u8,
    /// Where the generations of the range's next life start.
    floor: u32,
}

impl PageRange {
    /// Takes numbers for a segment of this class.
    pub(super) fn reserve(class: u8) -> Result<Self, NoPages> {
        let pages = 1_u32 << class;
        let index = usize::from(class);
        let mut numbers = lock(&NUMBERS);
        if let Some(range) = numbers.returned[index].pop() {
            return Ok(range);
        }
        let first = numbers.next;
        let end = first
            .checked_add(pages)
            .filter(|&end| end <= PAGE_COUNT)
            .ok_or(NoPages::Exhausted)?;
        for chunk in first >> CHUNK_SHIFT..=(end - 1) >> CHUNK_SHIFT {
            ensure_chunk(chunk as usize).map_err(NoPages::Memory)?;
        }
        let room = numbers.issued[index] + 1;
        if numbers.returned[index].try_reserve(room).is_err() {
            let layout = Layout::new::<Self>();
            return Err(NoPages::Memory(AllocError::new(layout, AllocReason::OutOfMemory)));
        }
        numbers.issued[index] = room;
        numbers.next = end;
        Ok(Self {
            first,
            class,
            floor: 1,
        })
    }

    pub(super) const fn first(self) -> u32 {
        self.first
    }

    pub(super) const fn floor(self) -> u32 {
        self.floor
    }

    fn entries(self) -> impl Iterator<Item = &'static Entry> {
        (self.first..self.first + (1 << self.class)).filter_map(entry)
    }

    /// Enters the pages of a segment whose first page this is, and their owner. `Release` on the owner pairs with
    /// [`Entry::owner`].
    pub(super) fn assign(self, owner: u64, first: Page) {
        let slots = u32::try_from(first.slots).expect("segments are at most 2 MiB");
        for (index, entry) in self.entries().enumerate() {
            let before = index << PAGE_SHIFT;
            let from_first = i32::try_from(first.from_first + before.cast_signed());
            entry.floor.store(self.floor, Ordering::Relaxed);
            entry
                .start
                .store(first.start.as_ptr().wrapping_add(before), Ordering::Relaxed);
            entry
                .from_first
                .store(from_first.expect("segments are at most 2 MiB"), Ordering::Relaxed);
            entry.slots.store(slots, Ordering::Relaxed);
            entry.owner.store(owner, Ordering::Release);
        }
    }

    /// Gives the numbers back; every generation below `floor` has been used in them.
    ///
    /// Numbers whose generations are used up are not given out again.
    pub(super) fn give_back(self, floor: u32) {
        for entry in self.entries() {
            entry.owner.store(0, Ordering::Relaxed);
            entry.start.store(ptr::null_mut(), Ordering::Relaxed);
            entry.floor.store(floor, Ordering::Relaxed);
        }
        if floor < u32::MAX {
            lock(&NUMBERS).returned[usize::from(self.class)].push(Self { floor, ..self });
        }
    }
}

/// Publishes the chunk of entries with this index, if it is not there yet. Called under the lock of [`NUMBERS`].
fn ensure_chunk(index: usize) -> Result<(), AllocError> {
    let slot = &TABLE[index];
    if !slot.load(Ordering::Relaxed).is_null() {
        return Ok(());
    }
    let block = System.allocate(Layout::new::<Chunk>())?.cast::<Chunk>();
    for entry in 0..CHUNK_LEN {
        // SAFETY: the index is inside the array, whose memory was just allocated.
        let place = unsafe { block.cast::<Entry>().add(entry) };
        // SAFETY: the memory is ours alone, large enough and aligned for the array.
        unsafe { place.write(Entry::empty()) };
    }
    slot.store(block.as_ptr(), Ordering::Release);
    Ok(())
}
