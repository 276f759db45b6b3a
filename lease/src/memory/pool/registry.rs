//! The `Shared`s that wait for their next pool, and the identities of pools.

use std::alloc::Layout;

use super::shared::Shared;
use crate::memory::strategy::{AllocError, AllocReason, MemoryStrategy, System};
use crate::sync::{Sequence, global};

/// Those without a pool.
struct Vacant {
    list: Vec<&'static Shared>,
    /// How many exist: the room that the list must have, because putting back cannot fail.
    issued: usize,
}

static VACANT: global::Mutex<Vacant> = global::Mutex::new(Vacant {
    list: Vec::new(),
    issued: 0,
});

static IDS: Sequence = Sequence::new();

/// An identity that no pool has had.
pub(super) fn next_id() -> u64 {
    IDS.next()
}

/// A `Shared` without a pool; made if none waits.
pub(super) fn take() -> Result<&'static Shared, AllocError> {
    let layout = Layout::new::<Shared>();
    let mut vacant = global::lock(&VACANT);
    if let Some(shared) = vacant.list.pop() {
        return Ok(shared);
    }
    let room = vacant.issued + 1;
    if vacant.list.try_reserve(room).is_err() {
        return Err(AllocError::new(layout, AllocReason::OutOfMemory));
    }
    let place = System.allocate(layout)?.cast::<Shared>();
    // SAFETY: the memory was just allocated for it.
    unsafe { place.write(Shared::vacant(vacant.issued)) };
    vacant.issued = room;
    // SAFETY: it is initialised, never freed, and used through shared references only.
    Ok(unsafe { place.as_ref() })
}

/// Takes a `Shared` whose pool has ended.
pub(super) fn put_back(shared: &'static Shared) {
    if cfg!(any(loom, shuttle)) {
        // A model's lock is of no use to the next run of the model.
        return;
    }
    global::lock(&VACANT).list.push(shared);
}
