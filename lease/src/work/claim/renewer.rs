//! The one thread of a registrar that keeps its claims: it asks for new terms, and notices when none came in time.
//!
//! It never waits for the writer: a renewal is queued and the answer comes as a call. So a ledger that hangs delays
//! nobody's loss. A claim that is held for a day costs an entry in its timetable and no thread; the thread itself ends
//! a moment after the last claim.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::sync::{Arc, Condvar, Mutex, MutexGuard, Weak, lock, thread};
use crate::work::claim::hold::{Callback, Due, Hold};
use crate::work::observe;
use crate::work::registrar::{Lease, LeaseError, Registrar, RegistrarError};
use crate::work::tick::Tick;

/// The longest sleep: what the system sleeps by does not count suspend, the clock does.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How often a renewal that failed is tried again in the time of one term.
const RETRIES: u32 = 20;

pub(crate) struct Renewer {
    timetable: Mutex<Timetable>,
    changed: Condvar,
}

#[derive(Default)]
struct Timetable {
    /// By tick value, then by lease id: who has to be looked at when.
    by_time: BTreeMap<(u64, String), Arc<Hold>>,
    /// The key in `by_time` of every hold.
    times: HashMap<String, u64>,
    is_running: bool,
}

impl Renewer {
    /// The renewer of a registrar and all its handles.
    pub(crate) fn of(registrar: &Registrar) -> Arc<Self> {
        registrar.core().companion(|| {
            let renewer = Arc::new(Self {
                timetable: Mutex::default(),
                changed: Condvar::new(),
            });
            let jumps = Arc::new(Jumps(Arc::downgrade(&renewer)));
            registrar.clock().wake_on_jump(Waker::from(jumps));
            renewer
        })
    }

    /// Keeps a claim from now on.
    ///
    /// # Errors
    ///
    /// When the system has no thread to spare.
    pub(crate) fn keep(self: &Arc<Self>, hold: &Arc<Hold>) -> Result<(), RegistrarError> {
        let mut timetable = lock(&self.timetable);
        if !timetable.is_running {
            let renewer = Arc::clone(self);
            thread::Builder::new()
                .name("lease-renewer".to_owned())
                .spawn(move || renewer.run())
                .map_err(|error| RegistrarError::Thread(Arc::new(error)))?;
            timetable.is_running = true;
        }
        let ending = Arc::downgrade(hold);
        let renewer = Arc::downgrade(self);
        hold.registrar.core().watch(
            &hold.issued.lease_id,
            Arc::new(move || {
                if let (Some(hold), Some(renewer)) = (ending.upgrade(), renewer.upgrade()) {
                    hold.end();
                    renewer.look_at(&hold);
                }
            }),
        );
        timetable.put(Arc::clone(hold));
        drop(timetable);
        self.changed.notify_one();
        let (core, lease_id) = (hold.registrar.core(), &hold.issued.lease_id);
        if !core.is_active(lease_id) {
            // Whoever ended it before it was watched has told nobody.
            core.announce(vec![lease_id.clone()]);
        }
        Ok(())
    }

    /// Keeps it no longer: it was given back.
    pub(crate) fn let_go(&self, hold: &Hold) {
        let removed = lock(&self.timetable).remove(&hold.issued.lease_id);
        drop(removed);
    }

    /// Something about the hold has changed: look at it at once, if it is still kept.
    fn look_at(&self, hold: &Hold) {
        let mut timetable = lock(&self.timetable);
        if let Some(hold) = timetable.remove(&hold.issued.lease_id) {
            timetable.put_at(0, hold);
        }
        drop(timetable);
        self.changed.notify_one();
    }

    fn run(self: Arc<Self>) {
        let mut timetable = lock(&self.timetable);
        loop {
            let Some(first) = timetable.by_time.first_entry() else {
                timetable = self.sleep(timetable, LONGEST_SLEEP);
                if timetable.by_time.is_empty() {
                    break;
                }
                continue;
            };
            let at = first.key().0;
            let hold = Arc::clone(first.get());
            let now = hold.registrar.clock().tick();
            if now.value < at {
                drop(hold);
                let until = Tick { value: at, ..now };
                timetable = self.sleep(timetable, now.until(&until).unwrap_or_default());
                continue;
            }
            timetable.remove(&hold.issued.lease_id);
            match hold.due() {
                Due::Later(tick) => timetable.put_at(tick.value, hold),
                Due::Renew { give_up } => {
                    timetable.put_at(give_up.value, Arc::clone(&hold));
                    drop(timetable);
                    self.renew(&hold);
                    drop(hold);
                    timetable = lock(&self.timetable);
                }
                Due::Lost => {
                    drop(timetable);
                    lose(&hold);
                    drop(hold);
                    timetable = lock(&self.timetable);
                }
            }
        }
        timetable.is_running = false;
    }

    fn sleep<'a>(&self, timetable: MutexGuard<'a, Timetable>, time: Duration) -> MutexGuard<'a, Timetable> {
        match self.changed.wait_timeout(timetable, time.min(LONGEST_SLEEP)) {
            Ok((timetable, _)) => timetable,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }

    /// Queues a renewal. The answer comes on the writer's thread.
    fn renew(self: &Arc<Self>, hold: &Arc<Hold>) {
        let renewer = Arc::downgrade(self);
        let registrar = hold.registrar.clone();
        let (lease_id, ttl, at_most) = (hold.issued.lease_id.clone(), hold.ttl, hold.at_most);
        let hold = Arc::downgrade(hold);
        registrar.renew_with(lease_id, ttl, at_most, move |answer| {
            let answer = answer.map(|outcome| outcome.leases.into_iter().next_back());
            if let (Some(renewer), Some(hold)) = (renewer.upgrade(), hold.upgrade()) {
                renewer.renewed(&hold, answer);
            }
        });
    }

    fn renewed(&self, hold: &Hold, answer: Result<Option<Lease>, RegistrarError>) {
        match answer {
            Ok(Some(lease)) => {
                // Came too late: the holder has been told that the claim is lost, so it is not taken up again. When
                // the claim is dropped, the lease is released.
                let _is_in_time = hold.extend(lease);
            }
            Ok(None) => {}
            Err(RegistrarError::Lease(error)) => {
                match (&*error, hold.registrar.core().lease(&hold.issued.lease_id)) {
                    (LeaseError::RenewalDoesNotExtend { .. }, Some(lease)) => {
                        hold.correct(lease, hold.ttl / RETRIES);
                    }
                    // The rules say that there is nothing left to renew.
                    _ => hold.end(),
                }
            }
            Err(_) => hold.retry_after(hold.ttl / RETRIES),
        }
        self.look_at(hold);
    }
}

impl Timetable {
    fn put(&mut self, hold: Arc<Hold>) {
        // Looked at once, which finds out when to look next.
        self.put_at(0, hold);
    }

    fn put_at(&mut self, at: u64, hold: Arc<Hold>) {
        self.times.insert(hold.issued.lease_id.clone(), at);
        self.by_time.insert((at, hold.issued.lease_id.clone()), hold);
    }

    fn remove(&mut self, lease_id: &str) -> Option<Arc<Hold>> {
        let at = self.times.remove(lease_id)?;
        self.by_time.remove(&(at, lease_id.to_owned()))
    }
}

/// Tells everybody who asked that the claim is lost.
fn lose(hold: &Hold) {
    observe::lost(&hold.issued.work_id, &hold.issued.lease_id);
    hold.wake_all();
    for callback in hold.take_callbacks() {
        run_apart(callback);
    }
}

/// Runs a callback on a thread of its own, so that a slow one delays nobody.
pub(crate) fn run_apart(callback: Callback) {
    let callback = Arc::new(Mutex::new(Some(callback)));
    let theirs = Arc::clone(&callback);
    let spawned = thread::Builder::new()
        .name("lease-lost".to_owned())
        .spawn(move || run_once(&theirs));
    if spawned.is_err() {
        // Without a thread to spare a delay is better than silence.
        run_once(&callback);
    }
}

/// Runs it, maybe on a thread that serves others too: one that panics has said so on standard error.
fn run_once(callback: &Mutex<Option<Callback>>) {
    let callback = lock(callback).take();
    if let Some(callback) = callback {
        let _ = catch_unwind(AssertUnwindSafe(callback));
    }
}

/// Wakes the renewer when a clock was moved by hand.
struct Jumps(Weak<Renewer>);

impl Wake for Jumps {
    fn wake(self: Arc<Self>) {
        if let Some(renewer) = self.0.upgrade() {
            drop(lock(&renewer.timetable));
            renewer.changed.notify_one();
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::work::clock::ManualClock;

    #[track_caller]
    fn eventually(mut is_true: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_true() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never happened");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_thread_ends_after_the_last_claim_and_begins_again_with_the_next() {
        let (clock, ttl) = (ManualClock::new(), Duration::from_secs(30));
        let registrar = Registrar::builder().clock(clock.clone()).in_memory().unwrap();
        let renewer = Renewer::of(&registrar);
        for _ in 0..2 {
            let claim = registrar.try_claim("work", ttl).wait().unwrap();
            clock.advance(ttl / 2);
            eventually(|| claim.lease().renewal_count == 1);
            drop(claim);
            assert!(lock(&renewer.timetable).times.is_empty());
            eventually(|| !lock(&renewer.timetable).is_running);
        }
    }

    #[test]
    fn a_callback_that_panics_harms_nobody_where_it_is_run() {
        run_once(&Mutex::new(Some(Box::new(|| panic!("on purpose")))));
    }
}
