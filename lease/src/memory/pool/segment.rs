//! Segments: the memory that slots live in.
//!
//! A segment is a block aligned to its own size, a power of two from 16 KiB to 2 MiB: a header, then slots of one payload
//! type, control word first. Because of the alignment a lease needs one pointer only: the control word tells the
//! segment's size, masking the slot's address tells the header, and the header tells the pool.
//!
//! The header is written once and then only read, but for the weak counts, which are allocated when the first weak lease
//! is taken in the segment.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::mem::{MaybeUninit, offset_of};
use std::ptr::{self, NonNull};

use super::control_word::{ControlWord, Word};
use super::pages::{PAGE_SHIFT, Page, PageRange, Place};
use super::recycle::Recycling;
use super::shared::Shared;
use crate::memory::strategy::{AllocError, MemoryStrategy, System};
use crate::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The class of the largest segment, 2 MiB.
pub(super) const LARGEST: u8 = 7;

/// The size of a segment in bytes.
#[inline]
pub(super) const fn bytes(class: u8) -> usize {
    1 << (PAGE_SHIFT + class as u32)
}

/// The class of segments of so many bytes.
pub(super) const fn class_of(given: usize) -> Option<u8> {
    let mut class = 0;
    while class <= LARGEST {
        if bytes(class) == given {
            return Some(class);
        }
        class += 1;
    }
    None
}

/// The layout a strategy is asked for.
pub(super) fn layout(class: u8) -> Layout {
    let bytes = bytes(class);
    Layout::from_size_align(bytes, bytes).expect("a power of two up to 2 MiB is a layout")
}

/// A control word with room for a payload.
#[repr(C)]
pub(super) struct Slot<T> {
    word: ControlWord,
    payload: UnsafeCell<MaybeUninit<T>>,
}

/// Where the slots of one payload type are in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotLayout {
    /// Offset of the first slot.
    first: usize,
    /// From one slot to the next.
    stride: usize,
}

impl SlotLayout {
    pub(super) const fn of<T>() -> Self {
        Self {
            first: size_of::<Segment>().next_multiple_of(align_of::<Slot<T>>()),
            stride: size_of::<Slot<T>>(),
        }
    }

    pub(super) const fn stride(self) -> usize {
        self.stride
    }

    /// How many slots a segment of this class has room for.
    pub(super) const fn slots_in(self, class: u8) -> usize {
        bytes(class).saturating_sub(self.first) / self.stride
    }
}

/// Divides what is divisible, with one multiplication.
///
/// An odd number has an inverse modulo two to the power of the word's width, and multiplying by it divides multiples of
/// the number exactly (Granlund and Montgomery, *Division by Invariant Integers using Multiplication*, 1994, section 9).
/// A power of two besides is shifted out, around the end, where it marks the rest as no quotient.
#[derive(Clone, Copy, Debug)]
struct ExactDivisor {
    inverse: usize,
    twos: u32,
}

impl ExactDivisor {
    /// # Panics
    ///
    /// With zero.
    const fn new(divisor: usize) -> Self {
        let twos = divisor.trailing_zeros();
        let odd = divisor >> twos;
        // Right in the lowest three bits; each step doubles how many are right.
        let mut inverse = odd;
        while odd.wrapping_mul(inverse) != 1 {
            inverse = inverse.wrapping_mul(2_usize.wrapping_sub(odd.wrapping_mul(inverse)));
        }
        Self { inverse, twos }
    }

    /// The quotient, if the number is a multiple that starts not below zero; else more than any number divided by the
    /// divisor can be.
    #[inline]
    const fn divide(self, number: usize) -> usize {
        number.wrapping_mul(self.inverse).rotate_right(self.twos)
    }
}

/// A pointer to a slot's control word that may be used to reach the whole segment. Payload type forgotten.
///
/// As a value in a free list it is inert: it may wait for its segment's end there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct SlotPtr(NonNull<ControlWord>);

// SAFETY: the pointer is a number with provenance; what may be done through it is ruled by the control word, which is
// an atomic, and by `T: Send + Sync` bounds on the leases.
unsafe impl Send for SlotPtr {}

impl SlotPtr {
    /// The control word.
    ///
    /// # Safety
    ///
    /// The slot's segment exists for `'a`.
    #[inline]
    pub(super) unsafe fn word<'a>(self) -> &'a ControlWord {
        // SAFETY: control words are initialised with their segment and are only ever used through shared references.
        unsafe { self.0.as_ref() }
    }

    /// Room for the payload of the slot.
    #[inline]
    pub(super) fn payload<T>(self) -> NonNull<T> {
        let offset = offset_of!(Slot<T>, payload);
        // SAFETY: the offset is inside the slot, so inside the segment.
        unsafe { self.0.byte_add(offset) }.cast()
    }

    /// The slot of a payload.
    ///
    /// # Safety
    ///
    /// `payload` came from [`Self::payload`] of this `T`.
    #[inline]
    pub(super) unsafe fn of_payload<T>(payload: NonNull<T>) -> Self {
        let offset = offset_of!(Slot<T>, payload);
        // SAFETY: the word lies that far before the payload, in the same segment.
        Self(unsafe { payload.byte_sub(offset) }.cast())
    }

    /// The segment of the slot.
    ///
    /// # Safety
    ///
    /// The slot's segment exists for `'a`, and `class` is the class in its control word.
    #[inline]
    pub(super) unsafe fn segment<'a>(self, class: u8) -> &'a Segment {
        // SAFETY: as the caller says.
        unsafe { self.segment_by_shift(u32::from(class)) }
    }

    /// The segment of the slot, by a word that needs no taking apart.
    ///
    /// # Safety
    ///
    /// The slot's segment exists for `'a`, and `plain` is its control word, and plain.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the class is in the lower half")]
    pub(super) unsafe fn segment_by_plain<'a>(self, plain: Word) -> &'a Segment {
        debug_assert!(plain.is_plain());
        // SAFETY: as the caller says.
        unsafe { self.segment_by_shift(plain.bits() as u32) }
    }

    /// # Safety
    ///
    /// The slot's segment exists for `'a`, and the low six bits of `shift` are the class in its control word.
    #[inline]
    unsafe fn segment_by_shift<'a>(self, shift: u32) -> &'a Segment {
        // Segments are aligned to their size.
        let mask = (!(bytes(0) - 1)).wrapping_shl(shift);
        let header = self.0.cast::<u8>().as_ptr().map_addr(|address| address & mask);
        // SAFETY: the header is in memory, not at address zero.
        let header = unsafe { NonNull::new_unchecked(header) }.cast::<Segment>();
        // SAFETY: headers are initialised with their segment and are only ever used through shared references.
        unsafe { header.as_ref() }
    }

    /// For comparing with other addresses.
    #[inline]
    pub(super) fn addr(self) -> usize {
        self.0.addr().get()
    }
}

/// The header of a segment.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Segment {
    shared: &'static Shared,
    slots: usize,
    layout: SlotLayout,
    pages: PageRange,
    class: u8,
    recycling: Option<Recycling>,
    /// One count per slot, or null while no weak lease was ever taken here.
    weak: AtomicPtr<AtomicU32>,
}

impl Segment {
    /// Makes a segment of `block`, with all slots idle.
    ///
    /// # Safety
    ///
    /// `block` is a block of [`layout`]`(class)` that nobody else uses, and the slots fit into it.
    pub(super) unsafe fn create(
        block: NonNull<u8>,
        class: u8,
        slots: usize,
        layout: SlotLayout,
        pages: PageRange,
        recycling: Option<Recycling>,
        shared: &'static Shared,
    ) -> NonNull<Self> {
        debug_assert!(slots <= layout.slots_in(class));
        let segment = block.cast::<Self>();
        let header = Self {
            shared,
            slots,
            layout,
            pages,
            class,
            recycling,
            weak: AtomicPtr::new(ptr::null_mut()),
        };
        // SAFETY: the block is ours, aligned to at least 16 KiB and larger than the header.
        unsafe { segment.write(header) };
        for index in 0..slots {
            // SAFETY: the slot lies inside the block.
            let slot = unsafe { block.byte_add(layout.first + index * layout.stride) };
            let word = ControlWord::new(class, pages.floor());
            // SAFETY: the block is ours, and slots are aligned to their control words at least.
            unsafe { slot.cast::<ControlWord>().write(word) };
        }
        segment
    }

    /// Ends a segment: gives its page numbers back and frees the weak counts. The caller frees the block.
    ///
    /// # Safety
    ///
    /// Nothing uses the segment any more: every slot is free, and nobody can be looking one up.
    pub(super) unsafe fn destroy(segment: NonNull<Self>) -> (NonNull<u8>, u8) {
        // SAFETY: the segment is initialised and, by the caller, ours alone.
        let header = unsafe { segment.read() };
        let mut floor = header.pages.floor();
        for index in 0..header.slots {
            // SAFETY: the slot exists.
            let slot = unsafe { header.slot_of(segment, index) };
            // SAFETY: the segment's memory is still there.
            let word = unsafe { slot.word() };
            floor = floor.max(word.read().generation().saturating_add(1));
        }
        header.pages.give_back(floor);
        if let Some(counts) = NonNull::new(header.weak.load(Ordering::Relaxed)) {
            // SAFETY: the counts came from `System` with this layout and nothing uses them.
            unsafe { System.deallocate(counts.cast(), header.weak_layout()) };
        }
        (segment.cast(), header.class)
    }

    #[inline]
    pub(super) const fn shared(&self) -> &'static Shared {
        self.shared
    }

    #[inline]
    pub(super) const fn recycling(&self) -> Option<Recycling> {
        self.recycling
    }

    #[inline]
    pub(super) const fn slots(&self) -> usize {
        self.slots
    }

    /// The slot with this index.
    ///
    /// # Safety
    ///
    /// `segment` points to (a copy of) this header at the start of its segment, and `index < slots`.
    #[inline]
    unsafe fn slot_of(&self, segment: NonNull<Self>, index: usize) -> SlotPtr {
        debug_assert!(index < self.slots);
        let offset = self.layout.first + index * self.layout.stride;
        // SAFETY: the slot lies inside the segment.
        SlotPtr(unsafe { segment.cast::<u8>().byte_add(offset) }.cast())
    }

    /// The slot with this index.
    ///
    /// # Safety
    ///
    /// The segment exists, and `index` is below its number of slots.
    #[inline]
    pub(super) unsafe fn slot(segment: NonNull<Self>, index: usize) -> SlotPtr {
        // SAFETY: the segment exists, so its header is initialised.
        let header = unsafe { segment.as_ref() };
        // SAFETY: as the caller says.
        unsafe { header.slot_of(segment, index) }
    }

    /// All slots of a segment whose payload type is `T`.
    ///
    /// # Safety
    ///
    /// The segment exists while the iterator is used, and has slots of type `T`.
    pub(super) unsafe fn typed_slots<T>(segment: NonNull<Self>) -> impl Iterator<Item = SlotPtr> {
        // `T`'s layout instead of the header's: a constant stride.
        let layout = const { SlotLayout::of::<T>() };
        // SAFETY: the segment exists, so its header is initialised.
        let slots = unsafe { segment.as_ref() }.slots;
        (0..slots).map(move |index| {
            // SAFETY: the segment has so many slots.
            SlotPtr(
                unsafe {
                    segment
                        .cast::<u8>()
                        .byte_add(layout.first + index * layout.stride)
                }
                .cast(),
            )
        })
    }

    /// The slot of payload type `T` that starts so many bytes into a page, if one does.
    ///
    /// # Safety
    ///
    /// The page's segment exists and has slots of type `T`.
    #[inline]
    pub(super) unsafe fn slot_at<T>(page: Page, offset_in_page: usize) -> Option<SlotPtr> {
        // `T`'s layout instead of the header's: a constant divisor.
        let stride = const { ExactDivisor::new(SlotLayout::of::<T>().stride) };
        let from_first = page.from_first.cast_unsigned().wrapping_add(offset_in_page);
        if stride.divide(from_first) >= page.slots {
            return None;
        }
        // SAFETY: a slot starts here, so this is inside the segment.
        let slot = unsafe { page.start.byte_add(offset_in_page) };
        Some(SlotPtr(slot.cast()))
    }

    /// The first page of a segment.
    ///
    /// # Safety
    ///
    /// The segment exists.
    pub(super) unsafe fn first_page(segment: NonNull<Self>) -> Page {
        // SAFETY: the segment exists, so its header is initialised.
        let header = unsafe { segment.as_ref() };
        Page {
            start: segment.cast(),
            from_first: -header.layout.first.cast_signed(),
            slots: header.slots,
        }
    }

    /// The number of weak leases on the slot with this index; `word` is its control word as it was just before. The
    /// leases may be going meanwhile.
    pub(super) fn weak_leases(&self, index: usize, word: Word) -> usize {
        let Some(counts) = NonNull::new(self.weak.load(Ordering::Acquire)) else {
            return 0;
        };
        // SAFETY: there is one count per slot.
        let count = unsafe { counts.add(index) };
        // SAFETY: counts are initialised before they are installed and freed with the segment.
        // `Relaxed`: a figure; nothing else is looked at because of it.
        let count = unsafe { count.as_ref() }.load(Ordering::Relaxed) as usize;
        // While there are strong leases, one of the weak ones is their own.
        if word.has_weak() && word.strong() > 0 {
            count.saturating_sub(1)
        } else {
            count
        }
    }

    /// The size of the segment.
    pub(super) const fn bytes(&self) -> usize {
        bytes(self.class)
    }

    /// Where a slot of this segment is.
    #[inline]
    pub(super) fn place_of(&self, slot: SlotPtr) -> Place {
        Place::new(self.pages.first(), slot.0.addr().get() & (bytes(self.class) - 1))
    }

    fn weak_layout(&self) -> Layout {
        Layout::array::<AtomicU32>(self.slots).expect("counts are smaller than their slots")
    }

    /// The weak count of a slot, if weak counts were ever used here. `T` is the payload type of the slot.
    #[inline]
    pub(super) fn weak_count<T>(&self, slot: SlotPtr) -> Option<&AtomicU32> {
        // `Acquire` pairs with the installation in `ensure_weak_count`.
        let counts = NonNull::new(self.weak.load(Ordering::Acquire))?;
        let layout = const { SlotLayout::of::<T>() };
        let offset = slot.0.addr().get() & (bytes(self.class) - 1);
        let index = (offset - layout.first) / layout.stride;
        debug_assert!(index < self.slots);
        // SAFETY: there is one count per slot.
        let count = unsafe { counts.add(index) };
        // SAFETY: counts are initialised before they are installed, used through shared references only, and freed with
        // the segment.
        Some(unsafe { count.as_ref() })
    }

    /// The weak count of a slot; allocates the segment's counts at first use.
    #[inline]
    pub(super) fn ensure_weak_count<T>(&self, slot: SlotPtr) -> Result<&AtomicU32, AllocError> {
        if self.weak.load(Ordering::Relaxed).is_null() {
            self.install_weak_counts()?;
        }
        Ok(self
            .weak_count::<T>(slot)
            .expect("counts stay once they are installed"))
    }

    #[cold]
    fn install_weak_counts(&self) -> Result<(), AllocError> {
        let layout = self.weak_layout();
        let counts = System.allocate(layout)?.cast::<AtomicU32>();
        for index in 0..self.slots {
            // SAFETY: the index is inside the array that was just allocated.
            let count = unsafe { counts.add(index) };
            // SAFETY: the memory is ours alone.
            unsafe { count.write(AtomicU32::new(0)) };
        }
        let installed = self.weak.compare_exchange(
            ptr::null_mut(),
            counts.as_ptr(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if installed.is_err() {
            // SAFETY: somebody else's counts won; ours were never seen by anyone.
            unsafe { System.deallocate(counts.cast(), layout) };
        }
        Ok(())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Looks at every granule of a block of two pages for slots of `T`, in a segment that has so many of them.
    fn finds_slots_where_they_start_and_nowhere_else<T>(slots: usize) {
        let class = 1;
        let block = System.allocate(layout(class)).expect("32 KiB").cast::<u8>();
        let of = SlotLayout::of::<T>();
        let slots = slots.min(of.slots_in(class));
        let starts: Vec<usize> = (0..slots).map(|index| of.first + index * of.stride).collect();
        let found: Vec<usize> = (0..bytes(class))
            .step_by(align_of::<ControlWord>())
            .filter(|offset| {
                let (before, offset_in_page) = (offset & !(bytes(0) - 1), offset & (bytes(0) - 1));
                let page = Page {
                    // SAFETY: this is inside the block.
                    start: unsafe { block.byte_add(before) },
                    from_first: before.cast_signed() - of.first.cast_signed(),
                    slots,
                };
                // SAFETY: the block is there, and nothing is read from it.
                let slot = unsafe { Segment::slot_at::<T>(page, offset_in_page) };
                assert!(slot.is_none_or(|slot| slot.addr() == block.addr().get() + offset));
                slot.is_some()
            })
            .collect();
        assert_eq!(found, starts, "{} bytes", size_of::<T>());
        // SAFETY: it came from there with this layout.
        unsafe { System.deallocate(block, layout(class)) };
    }

    #[test]
    fn a_lookup_finds_slots_where_they_start_and_nowhere_else() {
        #[repr(align(256))]
        struct Wide([u8; 300]);

        for slots in [0, 1, 7, usize::MAX] {
            finds_slots_where_they_start_and_nowhere_else::<()>(slots);
            finds_slots_where_they_start_and_nowhere_else::<u64>(slots);
            finds_slots_where_they_start_and_nowhere_else::<[u64; 2]>(slots);
            finds_slots_where_they_start_and_nowhere_else::<[u64; 8]>(slots);
            finds_slots_where_they_start_and_nowhere_else::<[u8; 1001]>(slots);
            finds_slots_where_they_start_and_nowhere_else::<Wide>(slots);
        }
        let _ = Wide([0; 300]).0;
    }
}
