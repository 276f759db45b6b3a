//! The control word: one 64-bit atomic per slot that decides everything about it.
//!
//! | bits | field | meaning |
//! |---|---|---|
//! | 0..3 | class | size of the slot's segment, so that a lease can find its segment by masking; never changes |
//! | 3 | `FREE` | the slot is in a free list; its strong count is 0 |
//! | 4 | `HAS_WEAK` | the slot's entry in the segment's weak counts is in use |
//! | 5 | `ORPHAN` | the pool value is gone; whoever returns the slot counts it down instead |
//! | 6 | `KEPT` | no lease, but the payload is still there, for recycling |
//! | 7..32 | strong | number of strong leases |
//! | 32..64 | generation | how often the slot has been given out; what a handle is compared with |
//!
//! Invariants:
//!
//! - Only the thread that took a slot out of a free list, or that saw the strong count fall to 0 (and the weak count,
//!   where there is one), owns the slot and may store the word plainly. Everyone else only ever adds to a strong count
//!   that is above 0, or sets `HAS_WEAK` while holding a strong lease.
//! - The one exception is [`ControlWord::orphan`], which may meet a word at any time.
//! - A generation is never given out twice for the same slot; a slot that has used up its generations is retired: `FREE`
//!   and `HAS_WEAK` together say so.
//!
//! Every transition of the word is a function of this file; the leases compose them.

use crate::sync::atomic::{AtomicU64, Ordering};

const CLASS_MASK: u64 = 0b111;
const FREE: u64 = 1 << 3;
const HAS_WEAK: u64 = 1 << 4;
const ORPHAN: u64 = 1 << 5;
const KEPT: u64 = 1 << 6;
const STRONG_SHIFT: u32 = 7;
const STRONG_ONE: u64 = 1 << STRONG_SHIFT;
const STRONG_MASK: u64 = ((1 << (GENERATION_SHIFT - STRONG_SHIFT)) - 1) << STRONG_SHIFT;
const GENERATION_SHIFT: u32 = 32;
const GENERATION_ONE: u64 = 1 << GENERATION_SHIFT;
const GENERATION_MASK: u64 = !(GENERATION_ONE - 1);
/// All of a word that is neither generation nor class: zero while one owner holds the slot, without weak leases.
const COUNT_AND_FLAGS: u64 = !(GENERATION_MASK | CLASS_MASK);

/// The most strong leases one payload may have. Half of what the field can count: the other half is headroom for
/// threads that are past the check and not yet stopped by it.
pub(crate) const MAX_STRONG: u32 = 1 << (GENERATION_SHIFT - STRONG_SHIFT - 1);

/// The flags of a slot that will not be given out again; no other free slot has weak leases.
const RETIRED: u64 = FREE | HAS_WEAK;

/// A control word as it was at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    #[inline]
    const fn idle(class: u8, generation: u32) -> Self {
        Self(((generation as u64) << GENERATION_SHIFT) | FREE | class as u64)
    }

    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) const fn class(self) -> u8 {
        (self.0 & CLASS_MASK) as u8
    }

    #[inline]
    pub(super) const fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    #[inline]
    pub(super) const fn strong(self) -> u32 {
        ((self.0 & STRONG_MASK) >> STRONG_SHIFT) as u32
    }

    #[inline]
    pub(super) const fn is_free(self) -> bool {
        self.0 & FREE != 0
    }

    #[inline]
    pub(super) const fn is_kept(self) -> bool {
        self.0 & KEPT != 0
    }

    #[inline]
    pub(super) const fn has_weak(self) -> bool {
        self.0 & HAS_WEAK != 0
    }

    /// Whether the slot is free for good.
    pub(super) const fn is_retired(self) -> bool {
        self.0 & RETIRED == RETIRED
    }

    #[inline]
    pub(super) const fn is_orphan(self) -> bool {
        self.0 & ORPHAN != 0
    }

    /// The word as it would be without weak leases.
    #[inline]
    pub(super) const fn without_weak(self) -> Self {
        Self(self.0 & !HAS_WEAK)
    }

    /// Whether this is the word of one owner, without weak leases and without anything to be done but to free the slot.
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "count and flags are in the lower half"
    )]
    pub(super) const fn is_plain(self) -> bool {
        self.0 as u32 & COUNT_AND_FLAGS as u32 == 0
    }

    /// Whether there is a strong lease, and room for another: both in one comparison.
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the count is the upper part of the lower half"
    )]
    const fn can_be_joined(self) -> bool {
        const ONE: u32 = STRONG_ONE as u32;
        (self.0 as u32).wrapping_sub(ONE) < (MAX_STRONG << STRONG_SHIFT) - ONE
    }

    /// Whether the slot has given this generation out.
    pub(super) const fn has_issued(self, generation: u32) -> bool {
        // A free slot has the generation it will give out next.
        let is_next = self.is_free() && !self.is_retired();
        generation < self.generation() || (generation == self.generation() && !is_next)
    }

    /// The word of the same slot, free again and one generation later; if there is one.
    #[inline]
    const fn next_generation(self) -> Option<Self> {
        match (self.0 & !COUNT_AND_FLAGS).checked_add(GENERATION_ONE | FREE) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

/// What became of an attempt to add a strong lease to a live payload.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// There is one more strong lease.
    Yes,
    /// No strong lease is left to join.
    Dead,
    /// [`MAX_STRONG`] is reached.
    Full,
}

/// Why there is no strong lease on a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// The generation is not live, as this word says.
    Gone(Word),
    /// [`MAX_STRONG`] is reached.
    Full,
}

/// What one strong lease less means for the one who gave it up.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StrongRelease {
    /// Others remain.
    Shared,
    /// It was the last, and there are no flags: the payload belongs to the caller alone, and then the slot. With the word
    /// that it left.
    Plain(Word),
    /// It was the last: the payload belongs to the caller alone, and then the slot or its implicit weak lease. With the
    /// word that it left.
    Last(Word),
}

/// What the owner of a slot has to do with it after giving its payload up.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// The slot is free and goes to a free list.
    Free,
    /// Nothing happened: this was the slot's last generation, and it is to be retired.
    UsedUp,
    /// Nothing happened: the pool is gone and the slot is to be counted down; its memory may be gone after that.
    Orphaned,
}

/// What the end of the pool found in a slot.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orphaned {
    /// Nobody uses the slot.
    Idle,
    /// Somebody does, and will count it down.
    InUse,
}

/// The atomic itself; the first field of every slot.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct ControlWord(AtomicU64);

impl ControlWord {
    /// The word of a slot that has not been given out since `generation`.
    pub(super) fn new(class: u8, generation: u32) -> Self {
        Self(AtomicU64::new(Word::idle(class, generation).0))
    }

    /// The word now. `Acquire`, so that a reader who sees a slot free also sees that its last owner is done with it.
    #[inline]
    pub(super) fn read(&self) -> Word {
        Word(self.0.load(Ordering::Acquire))
    }

    /// Moves a free slot to a later generation.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn wind_forward(&self, generation: u32) {
        let word = self.read();
        assert!(word.is_free() && word.generation() <= generation);
        self.0
            .store(Word::idle(word.class(), generation).0, Ordering::Release);
    }

    /// Free → one strong lease, by the slot's owner after writing the payload.
    ///
    /// `Release` hands the payload to whoever joins by a lookup (`Acquire` in [`Self::join_generation`]).
    #[inline]
    pub(super) fn publish(&self) {
        let word = self.free_word();
        self.0.store(word.0 - FREE + STRONG_ONE, Ordering::Release);
    }

    /// The same, whether or not the payload was kept.
    #[inline]
    pub(super) fn publish_filled(&self) {
        let word = self.filled_word();
        self.0.store(word.0 + STRONG_ONE, Ordering::Release);
    }

    /// Free → held by one owner without leases, to be shared or returned later.
    #[inline]
    pub(super) fn reserve(&self) {
        let word = self.free_word();
        self.0.store(word.0 - FREE, Ordering::Relaxed);
    }

    /// The same, whether or not the payload was kept.
    #[inline]
    pub(super) fn reserve_filled(&self) {
        let word = self.filled_word();
        self.0.store(word.0, Ordering::Relaxed);
    }

    /// Free → held by one owner, with weak leases already. `Relaxed`: whoever uses one of them got it from the owner.
    pub(super) fn reserve_with_weak(&self) {
        let word = self.free_word();
        self.0.store(word.0 - FREE + HAS_WEAK, Ordering::Relaxed);
    }

    /// The word of a slot that is free, keeps nothing, and belongs to the caller.
    #[inline]
    fn free_word(&self) -> Word {
        let word = Word(self.0.load(Ordering::Relaxed));
        debug_assert_eq!(word.0 & COUNT_AND_FLAGS, FREE, "a free slot without a payload");
        word
    }

    /// What the word of a slot that is free and belongs to the caller is to be, once it is neither free nor kept.
    #[inline]
    fn filled_word(&self) -> Word {
        let word = Word(self.0.load(Ordering::Relaxed));
        debug_assert_eq!(word.0 & COUNT_AND_FLAGS & !KEPT, FREE, "a free slot");
        Word(word.0 & !COUNT_AND_FLAGS)
    }

    /// Held by one owner → one strong lease. An addition, not a store: the pool may be orphaning the slot right now.
    #[inline]
    pub(super) fn share(&self) {
        let before = Word(self.0.fetch_add(STRONG_ONE, Ordering::Release));
        debug_assert_eq!(before.strong(), 0, "only a sole owner shares");
    }

    /// One strong lease more, by the holder of one.
    ///
    /// `Relaxed`: the holder already sees the payload, and whoever gets the new lease gets it from the holder.
    #[inline]
    pub(super) fn join(&self) -> Joined {
        let before = Word(self.0.fetch_add(STRONG_ONE, Ordering::Relaxed));
        if before.strong() < MAX_STRONG {
            Joined::Yes
        } else {
            Joined::Full
        }
    }

    /// One strong lease more, unless there is none to join or no room; by whoever keeps the slot from being returned.
    #[inline]
    pub(super) fn join_if_live(&self) -> Joined {
        let mut seen = Word(self.0.load(Ordering::Relaxed));
        loop {
            if !seen.can_be_joined() {
                return if seen.strong() == 0 {
                    Joined::Dead
                } else {
                    Joined::Full
                };
            }
            // `Acquire` pairs with `publish` and `share`: the payload is visible to the new lease.
            match self.0.compare_exchange_weak(
                seen.0,
                seen.0 + STRONG_ONE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Joined::Yes,
                Err(now) => seen = Word(now),
            }
        }
    }

    /// One strong lease more, if the slot is live in this very generation; by anyone who knows that the segment exists.
    #[inline]
    pub(super) fn join_generation(&self, generation: u32) -> Result<(), Missed> {
        let mut seen = Word(self.0.load(Ordering::Relaxed));
        loop {
            if seen.generation() != generation {
                return Err(Missed::Gone(seen));
            }
            if !seen.can_be_joined() {
                return Err(if seen.strong() == 0 {
                    Missed::Gone(seen)
                } else {
                    Missed::Full
                });
            }
            // `Acquire` pairs with `publish` and `share`: the payload is visible to the new lease.
            match self.0.compare_exchange_weak(
                seen.0,
                seen.0 + STRONG_ONE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => seen = Word(now),
            }
        }
    }

    /// One strong lease less.
    ///
    /// `Release` hands this holder's use of the payload to the last one; `Acquire` lets the last one see them all before
    /// it destroys the payload.
    #[inline]
    pub(super) fn leave(&self) -> StrongRelease {
        let before = Word(self.0.fetch_sub(STRONG_ONE, Ordering::AcqRel));
        debug_assert!(before.strong() > 0, "a lease holds one strong count");
        if before.0 & STRONG_MASK != STRONG_ONE {
            return StrongRelease::Shared;
        }
        let left = Word(before.0 - STRONG_ONE);
        if left.is_plain() {
            StrongRelease::Plain(left)
        } else {
            StrongRelease::Last(left)
        }
    }

    /// Sets `HAS_WEAK`; true for the one caller who set it. By a holder of a strong lease (or the sole owner), after
    /// adding to the weak count.
    ///
    /// `AcqRel`: whoever finds the flag set, also by setting it in vain, finds the count that goes with it, and adds to and
    /// takes from that. (Of this the models see only what a plain load of the count sees: loom orders the steps of all
    /// threads on one atomic as it runs them.)
    pub(super) fn mark_weak(&self) -> bool {
        !Word(self.0.fetch_or(HAS_WEAK, Ordering::AcqRel)).has_weak()
    }

    /// Held by one owner → free in the next generation, unless there is none or the pool is gone. `seen` is the word as the
    /// owner has last seen it, since it became one.
    ///
    /// `Release` pairs with [`Self::read`]: whoever sees the slot free sees its owner done with it.
    ///
    /// False, and nothing happened, where it takes more than that: see [`Self::give_back`].
    ///
    /// A load and a store, not one step: a pool that ends between them has counted the slot as in use, and its mark is
    /// overwritten. The slot is then in the thread's magazine, free and unmarked, which tells
    /// [`Shared::settle`](super::shared::Shared::settle) that it was counted.
    #[inline]
    pub(super) fn give_back_plain(&self, seen: Word) -> bool {
        if !seen.is_plain() {
            return false;
        }
        let Some(after) = seen.next_generation() else {
            return false;
        };
        self.overwrite(after);
        true
    }

    /// Held by one owner, without weak leases and with a payload that was reset → free and kept, in the next generation.
    /// False, and nothing happened, where it takes more than that. `seen` as in [`Self::give_back_plain`].
    ///
    /// `Release` pairs with [`Self::read`]: whoever destroys the payload, where the pool ends or shrinks, sees its reset.
    ///
    /// One step: a pool that ends must either find the slot free, and destroy the payload, or leave it to the caller.
    #[inline]
    pub(super) fn give_back_kept(&self, seen: Word) -> bool {
        if !seen.is_plain() {
            return false;
        }
        let Some(after) = seen.next_generation() else {
            return false;
        };
        self.0
            .compare_exchange(seen.0, after.0 | KEPT, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Held by one owner → free in the next generation, unless there is none or the pool is gone. `seen` as in
    /// [`Self::give_back_plain`].
    pub(super) fn give_back(&self, seen: Word) -> Return {
        if seen.is_orphan() {
            return Return::Orphaned;
        }
        let Some(after) = seen.next_generation() else {
            return Return::UsedUp;
        };
        if !seen.is_kept() {
            self.overwrite(after);
            return Return::Free;
        }
        // One step: a pool that ends must either find the slot free, and destroy the payload, or leave it to the caller.
        let after = after.0 | KEPT;
        match self
            .0
            .compare_exchange(seen.0, after, Ordering::Release, Ordering::Relaxed)
        {
            Ok(_) => Return::Free,
            // Only the end of the pool interferes with an owner.
            Err(_) => Return::Orphaned,
        }
    }

    /// The payload was reset and stays; by the slot's owner, before giving it back.
    pub(super) fn keep(&self) {
        self.0.fetch_or(KEPT, Ordering::Relaxed);
    }

    /// The payload is about to be destroyed; by the slot's owner.
    pub(super) fn unkeep(&self) {
        self.0.fetch_and(!KEPT, Ordering::Relaxed);
    }

    /// Held by one owner → free, and never to be given out again. Under the store's lock, so no pool ends meanwhile.
    pub(super) fn retire(&self) {
        let before = Word(self.0.load(Ordering::Relaxed));
        let retired = before.0 & !COUNT_AND_FLAGS | RETIRED;
        self.0.store(retired, Ordering::Release);
    }

    /// A plain store.
    ///
    /// Loom leaves a store and another thread's read-modify-write unordered, even where the latter has read what the
    /// storing thread wrote before; then it lets a later load see either. C++ does not: nothing comes between a
    /// read-modify-write and what it read. A swap whose answer is ignored says so to loom and adds nothing else.
    #[inline]
    fn overwrite(&self, word: Word) {
        if cfg!(loom) {
            let _ = self.0.swap(word.0, Ordering::Release);
        } else {
            self.0.store(word.0, Ordering::Release);
        }
    }

    /// Marks the slot as outliving its pool. `Relaxed`: what is done because of the answer, to a payload that is kept or to
    /// the segment, is done after another [`Self::read`]; and those who find the mark go to the store's lock, under which
    /// this is.
    pub(super) fn orphan(&self) -> Orphaned {
        if Word(self.0.fetch_or(ORPHAN, Ordering::Relaxed)).is_free() {
            Orphaned::Idle
        } else {
            Orphaned::InUse
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_used_up_slot_is_retired() {
        let word = ControlWord::new(0, u32::MAX);
        word.publish();
        assert!(matches!(word.leave(), StrongRelease::Plain(_)));
        assert_eq!(word.give_back(word.read()), Return::UsedUp);
        assert!(!word.read().is_free(), "nothing happened");
        word.retire();
        assert!(word.read().is_free() && word.read().is_retired());
        assert_eq!(word.join_generation(u32::MAX), Err(Missed::Gone(word.read())));
        assert!(word.read().has_issued(u32::MAX));
    }

    #[test]
    fn each_return_is_a_new_generation_and_keeps_the_class() {
        let word = ControlWord::new(5, 1);
        for generation in 1..100 {
            assert_eq!(word.read().generation(), generation);
            word.publish();
            assert_eq!(word.read().strong(), 1);
            let _ = word.leave();
            assert_eq!(word.give_back(word.read()), Return::Free);
            assert_eq!(word.read().class(), 5);
        }
    }

    #[test]
    fn joining_stops_at_the_limit() {
        let word = ControlWord(AtomicU64::new(
            (u64::from(MAX_STRONG - 1) << STRONG_SHIFT) | (7 << GENERATION_SHIFT),
        ));
        assert_eq!(word.join_if_live(), Joined::Yes);
        assert_eq!(word.join_if_live(), Joined::Full);
        assert_eq!(word.join_generation(7), Err(Missed::Full));
        assert_eq!(word.read().strong(), MAX_STRONG, "a refused join adds nothing");
        assert_eq!(word.join(), Joined::Full);
    }

    #[test]
    fn an_orphaned_slot_is_not_freed() {
        let word = ControlWord::new(0, 1);
        word.publish();
        assert_eq!(word.orphan(), Orphaned::InUse);
        let _ = word.leave();
        assert_eq!(word.give_back(word.read()), Return::Orphaned);
        assert!(!word.read().is_free());
    }
}
