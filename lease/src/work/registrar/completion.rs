//! The answer to a command: a future and a thing to wait for, in one.
//!
//! Invariants: a value that was obtained is handed to exactly one place, the taker or `give_back`; the completer's end
//! always answers, if need be with "closed", so nobody waits for a thread that is gone; neither user code nor a waker
//! runs under the lock.

use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::sync::{Arc, Condvar, Mutex, lock};
use crate::work::registrar::RegistrarError;

/// The answer to a command that a registrar works on: call [`wait`](Self::wait) on a thread or `.await` it on any
/// executor.
///
/// One implementation serves both and no runtime is needed. A command that is still queued when its completion is
/// dropped is withdrawn; what a finished one had obtained is given back.
#[must_use = "a queued command whose completion is dropped is withdrawn: `.wait()` or `.await` it"]
pub struct Completion<T, E = RegistrarError> {
    shared: Arc<Shared<T, E>>,
}

struct Shared<T, E> {
    stage: Mutex<Stage<T, E>>,
    ready: Condvar,
}

enum Stage<T, E> {
    /// Nobody has answered; the waker is the last poller's.
    Pending(Option<Waker>, GiveBack<T>),
    /// Answered, not yet taken.
    Ready(Result<T, E>, GiveBack<T>),
    /// The answer was taken.
    Taken,
    /// Nobody will take it.
    Abandoned(GiveBack<T>),
}

/// What is done with a value that nobody took; `None` drops it.
type GiveBack<T> = Option<Box<dyn FnOnce(T) + Send>>;

fn give_back<T>(how: GiveBack<T>, value: T) {
    match how {
        Some(how) => how(value),
        None => drop(value),
    }
}

impl<T, E: From<RegistrarError>> Completion<T, E> {
    /// A pending answer and the end that gives it. A value that nobody takes is dropped.
    pub(crate) fn pair() -> (Completer<T, E>, Self) {
        Self::with_give_back(None)
    }

    /// The same for values whose drop gives nothing back by itself.
    pub(crate) fn pair_giving_back(how: impl FnOnce(T) + Send + 'static) -> (Completer<T, E>, Self) {
        Self::with_give_back(Some(Box::new(how)))
    }

    /// An answer that is there already.
    pub(crate) fn ready(result: Result<T, E>) -> Self {
        let (completer, completion) = Self::pair();
        completer.complete(result);
        completion
    }

    fn with_give_back(how: GiveBack<T>) -> (Completer<T, E>, Self) {
        let shared = Arc::new(Shared {
            stage: Mutex::new(Stage::Pending(None, how)),
            ready: Condvar::new(),
        });
        (
            Completer {
                shared: Some(Arc::clone(&shared)),
            },
            Self { shared },
        )
    }
}

impl<T, E> Completion<T, E> {
    /// Blocks the thread until the command is done.
    ///
    /// # Errors
    ///
    /// What the command was refused with.
    ///
    /// # Panics
    ///
    /// If it was polled to its end before.
    pub fn wait(self) -> Result<T, E> {
        let mut stage = lock(&self.shared.stage);
        while let Stage::Pending(..) = *stage {
            stage = match self.shared.ready.wait(stage) {
                Ok(stage) => stage,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
        let answered = mem::replace(&mut *stage, Stage::Taken);
        drop(stage);
        match answered {
            Stage::Ready(result, _) => result,
            _ => panic!("a completion was waited for after it had been polled to its end"),
        }
    }
}

impl<T, E> Future for Completion<T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloned out here: a waker is foreign code, and so is its drop.
        let waker = cx.waker().clone();
        let mut stage = lock(&self.shared.stage);
        if let Stage::Pending(last, _) = &mut *stage {
            let old = last.replace(waker);
            drop(stage);
            drop(old);
            return Poll::Pending;
        }
        let answered = mem::replace(&mut *stage, Stage::Taken);
        drop(stage);
        match answered {
            Stage::Ready(result, _) => Poll::Ready(result),
            _ => panic!("a completion was polled after its end"),
        }
    }
}

impl<T, E> Drop for Completion<T, E> {
    fn drop(&mut self) {
        let mut stage = lock(&self.shared.stage);
        match mem::replace(&mut *stage, Stage::Taken) {
            Stage::Pending(waker, how) => {
                *stage = Stage::Abandoned(how);
                drop(stage);
                drop(waker);
            }
            Stage::Ready(Ok(value), how) => {
                drop(stage);
                give_back(how, value);
            }
            Stage::Ready(Err(_), _) | Stage::Taken | Stage::Abandoned(_) => {}
        }
    }
}

impl<T, E> fmt::Debug for Completion<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &*lock(&self.shared.stage) {
            Stage::Pending(..) => "pending",
            Stage::Ready(Ok(_), _) => "done",
            Stage::Ready(Err(_), _) => "refused",
            Stage::Taken | Stage::Abandoned(_) => "taken",
        };
        write!(f, "Completion({stage})")
    }
}

/// The end of a [`Completion`] that answers.
pub(crate) struct Completer<T, E: From<RegistrarError>> {
    shared: Option<Arc<Shared<T, E>>>,
}

impl<T, E: From<RegistrarError>> Completer<T, E> {
    /// Whether the other end was dropped, so that nobody wants the answer.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.shared
            .as_ref()
            .is_some_and(|shared| matches!(*lock(&shared.stage), Stage::Abandoned(_)))
    }

    /// Answers. A value for which nobody is left is given back.
    pub(crate) fn complete(mut self, result: Result<T, E>) {
        if let Some(shared) = self.shared.take() {
            answer(&shared, result);
        }
    }
}

impl<T, E: From<RegistrarError>> Drop for Completer<T, E> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            answer(&shared, Err(RegistrarError::Closed.into()));
        }
    }
}

fn answer<T, E>(shared: &Shared<T, E>, result: Result<T, E>) {
    let mut stage = lock(&shared.stage);
    match mem::replace(&mut *stage, Stage::Taken) {
        Stage::Pending(waker, how) => {
            *stage = Stage::Ready(result, how);
            drop(stage);
            shared.ready.notify_all();
            if let Some(waker) = waker {
                wake(waker);
            }
        }
        Stage::Abandoned(how) => {
            drop(stage);
            if let Ok(value) = result {
                give_back(how, value);
            }
        }
        // Only one completer exists and it answers once.
        Stage::Ready(..) | Stage::Taken => unreachable!("a command was answered twice"),
    }
}

/// Wakes, on a thread that serves others too: a waker that panics has said so on standard error, and harms nobody else.
pub(crate) fn wake(waker: Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::{AtomicU32, Ordering};
    use crate::sync::thread;

    fn counted() -> (Arc<AtomicU32>, impl FnOnce(u32) + Send + 'static) {
        let total = Arc::new(AtomicU32::new(0));
        let sink = Arc::clone(&total);
        (total, move |value| {
            sink.fetch_add(value, Ordering::SeqCst);
        })
    }

    #[test]
    fn a_waiting_thread_gets_the_answer_of_another() {
        let (completer, completion) = Completion::<u32>::pair();
        let answering = thread::spawn(move || completer.complete(Ok(7)));
        assert_eq!(completion.wait().unwrap(), 7);
        answering.join().unwrap();
    }

    #[test]
    fn a_polled_completion_wakes_its_task_once_answered() {
        struct Woken(AtomicU32);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let woken = Arc::new(Woken(AtomicU32::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let (completer, mut completion) = Completion::<u32>::pair();
        assert!(Pin::new(&mut completion).poll(&mut cx).is_pending());
        completer.complete(Ok(7));
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(matches!(
            Pin::new(&mut completion).poll(&mut cx),
            Poll::Ready(Ok(7))
        ));
    }

    #[test]
    fn an_abandoned_completion_gives_back_what_comes_later() {
        let (total, sink) = counted();
        let (completer, completion) = Completion::<u32>::pair_giving_back(sink);
        assert!(!completer.is_abandoned());
        drop(completion);
        assert!(completer.is_abandoned());
        completer.complete(Ok(7));
        assert_eq!(total.load(Ordering::SeqCst), 7);
    }

    #[test]
    fn an_abandoned_completion_gives_back_what_had_come() {
        let (total, sink) = counted();
        let (completer, completion) = Completion::<u32>::pair_giving_back(sink);
        completer.complete(Ok(7));
        drop(completion);
        assert_eq!(total.load(Ordering::SeqCst), 7);
    }

    #[test]
    fn a_taken_value_is_not_given_back() {
        let (total, sink) = counted();
        let (completer, completion) = Completion::<u32>::pair_giving_back(sink);
        completer.complete(Ok(7));
        assert_eq!(completion.wait().unwrap(), 7);
        assert_eq!(total.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_completer_that_dies_answers_closed() {
        let (completer, completion) = Completion::<u32>::pair();
        drop(completer);
        assert!(matches!(completion.wait(), Err(RegistrarError::Closed)));
    }
}
