//! One costly act for everybody who asks for it meanwhile.
//!
//! A caller needs a round that *begins* after its call, because only that one covers what it did before. So rounds are
//! numbered: whoever calls while number `n` runs waits for `n + 1`, which one of those who wait leads for all of them.
//! After a round that failed there is no other until somebody restores them, for a reason that is not known here.

use crate::sync::{Condvar, Mutex, MutexGuard, lock};

/// Rounds of the same act, and why there are no more of them, if there are none.
#[derive(Debug)]
pub(super) struct Rounds<E> {
    state: Mutex<State<E>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<E> {
    /// The number of the last round that began.
    begun: u64,
    /// The number of the last round that ended well.
    ended: u64,
    running: bool,
    /// How many wait: with none, nobody has to be woken.
    waiting: usize,
    failed: Option<E>,
}

impl<E: Clone> Rounds<E> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                begun: 0,
                ended: 0,
                running: false,
                waiting: 0,
                failed: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// Why there are no more rounds.
    pub(super) fn check(&self) -> Result<(), E> {
        lock(&self.state).failed.clone().map_or(Ok(()), Err)
    }

    /// There are no more rounds: something else found the reason. The first reason stays.
    pub(super) fn fail(&self, reason: E) {
        lock(&self.state).failed.get_or_insert(reason);
        self.changed.notify_all();
    }

    /// There are rounds again. Whoever waited for one that failed was told so.
    pub(super) fn restore(&self) {
        lock(&self.state).failed = None;
    }

    /// Returns when a round that began after this call has ended; this caller may have to be the one who acts.
    pub(super) fn join(&self, act: impl Fn() -> Result<(), E>) -> Result<(), E> {
        let mut state = lock(&self.state);
        let needed = state.begun + 1;
        loop {
            if let Some(reason) = &state.failed {
                return Err(reason.clone());
            }
            if state.ended >= needed {
                return Ok(());
            }
            state = if state.running {
                self.wait(state)
            } else {
                self.lead(state, &act)
            };
        }
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State<E>>) -> MutexGuard<'a, State<E>> {
        state.waiting += 1;
        let mut state = match self.changed.wait(state) {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        };
        state.waiting -= 1;
        state
    }

    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<E>>,
        act: &impl Fn() -> Result<(), E>,
    ) -> MutexGuard<'a, State<E>> {
        state.begun += 1;
        state.running = true;
        let number = state.begun;
        drop(state);
        let outcome = act();
        let mut state = lock(&self.state);
        state.running = false;
        match outcome {
            Ok(()) => state.ended = number,
            Err(reason) => {
                state.failed.get_or_insert(reason);
            }
        }
        if state.waiting > 0 {
            self.changed.notify_all();
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        thread,
    };

    /// Under loom every schedule, else as many as come by in so many tries.
    fn model(scenario: impl Fn() + Send + Sync + 'static) {
        #[cfg(loom)]
        loom::model(scenario);
        #[cfg(not(loom))]
        (0..2_000).for_each(|_| scenario());
    }

    /// A disk that makes durable what was written when the sync began.
    #[derive(Default)]
    struct Disk {
        written: AtomicUsize,
        durable: AtomicUsize,
    }

    impl Disk {
        fn sync(&self) {
            let covered = self.written.load(SeqCst);
            thread::yield_now();
            self.durable.fetch_max(covered, SeqCst);
        }
    }

    #[test]
    fn loom_whoever_joins_is_covered_by_the_round_that_returns() {
        model(|| {
            let shared = Arc::new((Rounds::new(), Disk::default()));
            let write = |(rounds, disk): &(Rounds<()>, Disk)| {
                let mine = disk.written.fetch_add(1, SeqCst) + 1;
                rounds
                    .join(|| {
                        disk.sync();
                        Ok(())
                    })
                    .unwrap();
                assert!(disk.durable.load(SeqCst) >= mine);
            };
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || write(&shared))
                })
                .collect();
            write(&shared);
            for other in others {
                other.join().unwrap();
            }
        });
    }

    #[test]
    #[cfg(not(loom))]
    fn those_who_wait_share_one_round() {
        let shared = Arc::new((Rounds::<()>::new(), AtomicUsize::new(0)));
        let queued = Mutex::new(Vec::new());
        let (rounds, acts) = &*shared;
        rounds
            .join(|| {
                acts.fetch_add(1, SeqCst);
                for _ in 0..4 {
                    let shared = Arc::clone(&shared);
                    lock(&queued).push(thread::spawn(move || {
                        let (rounds, acts) = &*shared;
                        rounds.join(|| {
                            acts.fetch_add(1, SeqCst);
                            Ok(())
                        })
                    }));
                }
                // Time for the four to queue up; one that comes later makes a third round, which is allowed.
                thread::sleep(std::time::Duration::from_millis(50));
                Ok(())
            })
            .unwrap();
        for other in lock(&queued).drain(..) {
            other.join().unwrap().unwrap();
        }
        let acts = acts.load(SeqCst);
        assert!((2..=3).contains(&acts), "{acts}");
    }

    #[test]
    fn loom_after_a_failed_round_there_is_no_other_until_it_is_restored() {
        model(|| {
            let rounds = Rounds::new();
            rounds.join(|| Ok(())).unwrap();
            assert_eq!(rounds.join(|| Err("worn out")), Err("worn out"));
            assert_eq!(rounds.join(|| unreachable!("a second try")), Err("worn out"));
            rounds.fail("later");
            assert_eq!(rounds.check(), Err("worn out"));
            rounds.restore();
            rounds.join(|| Ok(())).unwrap();
        });
    }
}
