//! Models for loom: every ordering of a few threads on a pool of one to three slots. Run with `--cfg loom`.
//!
//! These are the real pool, leases and magazines; only the atomics, locks and thread-locals are loom's. What loom cannot
//! see by itself is memory. So the payloads here touch cells of its own, and a use that is not ordered after the write,
//! before the end, before the next payload of the slot ([`memory`]) or before the end of the segment is found.

mod ending;
mod leases;
mod lists;
mod memory;
mod recycling;
mod waiting;

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use loom::cell::UnsafeCell;
use loom::thread::{self as loom_thread, JoinHandle};

use super::magazine::end_thread;
use super::recycle::Recycling;
use super::store::Options;
use super::{Pool, segment};
use crate::memory::strategy::{
    AllocError, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyId, StrategyStatus, System,
};
use crate::sync::global::{AtomicU64, Mutex, Ordering, lock};

/// What a model counts: blocks and payloads.
#[derive(Debug, Default)]
struct Books {
    blocks: AtomicU64,
    payloads: AtomicU64,
    /// The memory of each block, by its address: touched by each use of a payload in it, and taken away at its end.
    ground: Mutex<Vec<(usize, &'static UnsafeCell<()>)>>,
}

// SAFETY: loom checks the accesses.
unsafe impl Sync for Books {}

impl Books {
    /// A use of a payload, if it is in a segment: one that was refused ends elsewhere.
    fn touch(&self, payload: &Payload) {
        let address = ptr::from_ref(payload).addr();
        let is_there = |&&(block, _): &&(usize, _)| (block..block + segment::bytes(0)).contains(&address);
        let memory = lock(&self.ground)
            .iter()
            .find(is_there)
            .map(|&(_, memory)| memory);
        if let Some(memory) = memory {
            memory.with(|_| ());
        }
    }

    fn assert_empty(&self) {
        assert_eq!(self.payloads.load(Ordering::SeqCst), 0, "payloads are left");
        assert_eq!(self.blocks.load(Ordering::SeqCst), 0, "segments are left");
    }
}

#[derive(Clone, Debug)]
struct Counting(&'static Books);

// SAFETY: blocks are the system allocator's; counting them changes nothing about them.
unsafe impl MemoryStrategy for Counting {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.0.blocks.fetch_add(1, Ordering::SeqCst);
        let block = System.allocate(layout)?;
        let memory = Box::leak(Box::default());
        lock(&self.0.ground).push((block.addr().get(), memory));
        Ok(block)
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        self.0.blocks.fetch_sub(1, Ordering::SeqCst);
        let memory = {
            let mut ground = lock(&self.0.ground);
            let at = ground.iter().position(|&(block, _)| block == ptr.addr().get());
            ground.swap_remove(at.expect("it was allocated here")).1
        };
        memory.with_mut(|_| ());
        // SAFETY: the caller's duties are the same.
        unsafe { System.deallocate(ptr, layout) }
    }

    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
        // SAFETY: the caller's duties are the same.
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
        StrategyId::SYSTEM
    }
}

/// A payload whose every use loom checks.
struct Payload {
    value: UnsafeCell<usize>,
    books: &'static Books,
}

// SAFETY: loom checks the accesses.
unsafe impl Sync for Payload {}

impl Payload {
    fn new(books: &'static Books, value: usize) -> Self {
        books.payloads.fetch_add(1, Ordering::SeqCst);
        Self {
            value: UnsafeCell::new(value),
            books,
        }
    }

    fn value(&self) -> usize {
        self.books.touch(self);
        self.value.with(|value| {
            // SAFETY: loom checks the access.
            unsafe { *value }
        })
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.books.touch(self);
        self.value.with_mut(|value| {
            // SAFETY: loom checks the access.
            unsafe { *value = usize::MAX }
        });
        self.books.payloads.fetch_sub(1, Ordering::SeqCst);
    }
}

type ModelPool = Pool<Payload, Counting>;

/// A pool that is open already: its first use is not part of the models.
fn pool(books: &'static Books, capacity: usize, magazine: usize) -> ModelPool {
    let options = Options {
        capacity: Some(capacity),
        magazine,
        shelf: 0,
        class: Some(0),
        recycling: None,
    };
    open(books, options)
}

/// A pool with shelves of one slot each.
fn pool_with_shelves(books: &'static Books, capacity: usize) -> ModelPool {
    let options = Options {
        capacity: Some(capacity),
        magazine: 0,
        shelf: 1,
        class: Some(0),
        recycling: None,
    };
    open(books, options)
}

/// A pool that keeps its payloads.
fn recycling_pool(books: &'static Books, capacity: usize, magazine: usize) -> ModelPool {
    let options = Options {
        capacity: Some(capacity),
        magazine,
        shelf: 0,
        class: Some(0),
        recycling: Some(Recycling::of(|payload: &mut Payload| {
            payload.value.with_mut(|value| {
                // SAFETY: loom checks the access.
                unsafe { *value = 0 }
            });
        })),
    };
    open(books, options)
}

fn open(books: &'static Books, options: Options) -> ModelPool {
    let pool = ModelPool::with_options(options, Counting(books));
    pool.open().expect("memory for a model");
    pool
}

/// Runs a model on fresh books and checks that it leaves nothing behind.
fn model(run: impl Fn(&'static Books) + Send + Sync + 'static) {
    loom::model(move || {
        let books: &'static Books = Box::leak(Box::default());
        run(books);
        end_thread();
        books.assert_empty();
    });
}

mod thread {
    use super::{JoinHandle, end_thread, loom_thread};

    /// A thread whose end, as the pool sees it, is over when it is joined.
    pub(super) fn spawn<R: 'static>(run: impl FnOnce() -> R + 'static) -> JoinHandle<R> {
        loom_thread::spawn(move || {
            let result = run();
            end_thread();
            result
        })
    }
}
