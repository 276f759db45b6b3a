//! Waiting for a slot of a bounded pool: first come, first served, on threads and tasks alike.
//!
//! Waiters stand in a queue under the store's lock. A slot that is given back while somebody waits goes straight to the
//! first in the queue; it is never free in between, so nobody can take it from under the waiter. A waiter that gives up,
//! by timeout or because its future is dropped, passes on what it was handed. A waker is user code, so
//! none is cloned, woken or dropped under the lock.

use std::alloc::Layout;
use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

use super::segment::SlotPtr;
use super::shared::Shared;
use crate::memory::strategy::{AllocError, AllocReason};
use crate::sync::thread::{self, Thread};

/// How to wake a waiter.
#[derive(Debug)]
pub(super) enum Wake {
    Thread(Thread),
    Task(Waker),
}

impl Wake {
    /// Wakes the calling thread.
    pub(super) fn this_thread() -> Self {
        Self::Thread(thread::current())
    }

    pub(super) fn wake(self) {
        match self {
            Self::Thread(thread) => thread.unpark(),
            Self::Task(waker) => waker.wake(),
        }
    }
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    number: u64,
    /// Taken by whoever wakes the waiter, and put there again if it goes on waiting.
    wake: Option<Wake>,
    /// What it was handed and has not collected yet.
    pub(super) handed: Option<SlotPtr>,
}

/// Those who wait, in the order they came.
#[derive(Debug)]
pub(super) struct Queue {
    waiters: VecDeque<Waiter>,
    next: u64,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            waiters: VecDeque::new(),
            next: 0,
        }
    }

    /// Joins the end of the queue.
    pub(super) fn join(&mut self, wake: &mut Option<Wake>) -> Result<u64, AllocError> {
        if self.waiters.try_reserve(1).is_err() {
            return Err(AllocError::new(Layout::new::<Waiter>(), AllocReason::OutOfMemory));
        }
        let number = self.next;
        self.next += 1;
        self.waiters.push_back(Waiter {
            number,
            wake: wake.take(),
            handed: None,
        });
        Ok(number)
    }

    /// Numbers rise along the queue.
    fn position(&self, number: u64) -> Option<usize> {
        self.waiters
            .binary_search_by_key(&number, |waiter| waiter.number)
            .ok()
    }

    /// Says how to wake a waiter from now on; the old way comes back, to be dropped without the lock.
    pub(super) fn wait_on(&mut self, number: u64, wake: &mut Option<Wake>) {
        if let Some(at) = self.position(number) {
            mem::swap(&mut self.waiters[at].wake, wake);
        }
    }

    /// Hands a slot to the first who has none, and says how to wake it, unless it is awake; or gives the slot back.
    pub(super) fn hand(&mut self, slot: SlotPtr) -> Result<Option<Wake>, SlotPtr> {
        match self.first_empty_handed() {
            Some(waiter) => {
                waiter.handed = Some(slot);
                Ok(waiter.wake.take())
            }
            None => Err(slot),
        }
    }

    fn first_empty_handed(&mut self) -> Option<&mut Waiter> {
        self.waiters.iter_mut().find(|waiter| waiter.handed.is_none())
    }

    /// Whether somebody has nothing yet.
    pub(super) fn is_wanting(&self) -> bool {
        self.waiters.iter().any(|waiter| waiter.handed.is_none())
    }

    /// How to wake the first who has nothing yet, unless it is awake.
    pub(super) fn wake_first(&mut self) -> Option<Wake> {
        self.first_empty_handed()?.wake.take()
    }

    /// How to wake somebody who is not awake.
    pub(super) fn wake_any(&mut self) -> Option<Wake> {
        self.waiters.iter_mut().find_map(|waiter| waiter.wake.take())
    }

    /// Leaves the queue with what the waiter was handed; stays if that is nothing.
    pub(super) fn collect(&mut self, number: u64) -> Option<Waiter> {
        let at = self.position(number)?;
        self.waiters[at].handed?;
        self.waiters.remove(at)
    }

    /// Leaves the queue.
    pub(super) fn leave(&mut self, number: u64) -> Option<Waiter> {
        self.waiters.remove(self.position(number)?)
    }
}

/// A place in the queue; given up on drop, and what was handed to it passed on.
pub(super) struct Ticket {
    shared: &'static Shared,
    number: Option<u64>,
}

impl Ticket {
    /// For somebody who does not wait yet.
    pub(super) const fn new(shared: &'static Shared) -> Self {
        Self { shared, number: None }
    }

    pub(super) fn number(&mut self) -> &mut Option<u64> {
        &mut self.number
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            self.shared.leave_queue(number);
        }
    }
}
