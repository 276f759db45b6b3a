//! Waiting for a slot of a bounded pool.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use lease::{AcquireError, Pool};

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_waiting_thread_gets_the_slot_that_is_released() {
    let pool = Pool::builder().capacity(1).build();
    let lease = pool.acquire(1);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| *pool.acquire_blocking(2).unwrap());
        drop(lease);
        assert_eq!(waiter.join().unwrap(), 2);
    });
}

#[test]
fn a_timeout_leaves_the_queue_and_the_pool_as_they_were() {
    let pool = Pool::builder().capacity(1).build();
    let lease = pool.acquire(1);
    let timeout = Duration::from_millis(3);
    let error = pool.acquire_timeout(2, timeout).unwrap_err();
    assert_eq!(error, AcquireError::TimedOut { timeout });
    drop(lease);
    assert_eq!(*pool.acquire(3), 3, "the slot did not go to the one who gave up");
}

#[test]
fn a_timeout_is_not_needed_where_a_slot_is_free() {
    let pool = Pool::builder().capacity(1).build();
    assert_eq!(*pool.acquire_timeout(2, Duration::ZERO).unwrap(), 2);
}

#[test]
fn waiters_are_served_in_the_order_they_came() {
    let pool = Pool::builder().capacity(1).build();
    let mut lease = pool.acquire(0);
    let bells: Vec<_> = (0..4).map(|_| Arc::new(Bell::default())).collect();
    let mut futures: Vec<_> = (1..5).map(|n| Box::pin(pool.acquire_async(n))).collect();
    for (future, bell) in futures.iter_mut().zip(&bells) {
        let waker = Waker::from(Arc::clone(bell));
        assert!(
            future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    for (n, mut future) in futures.into_iter().enumerate() {
        drop(lease);
        let rung: Vec<_> = bells.iter().map(|bell| bell.0.load(Ordering::SeqCst)).collect();
        assert_eq!(
            rung.iter().sum::<usize>(),
            n + 1,
            "one bell for one slot: {rung:?}"
        );
        assert_eq!(rung[n], 1);
        assert!(pool.try_acquire(9).is_err(), "nobody can push in");
        let waker = Waker::from(Arc::clone(&bells[n]));
        let Poll::Ready(Ok(next)) = future.as_mut().poll(&mut Context::from_waker(&waker)) else {
            panic!("waiter {n} was served");
        };
        lease = next;
        assert_eq!(*lease, n + 1);
    }
}

#[test]
fn a_dropped_future_passes_its_slot_on() {
    let pool = Pool::builder().capacity(1).build();
    let lease = pool.acquire(0);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut context = Context::from_waker(&waker);
    let mut first = Box::pin(pool.acquire_async(1));
    let mut second = pin!(pool.acquire_async(2));
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    drop(lease);
    drop(first);
    assert_eq!(bell.0.load(Ordering::SeqCst), 2);
    assert!(matches!(second.poll(&mut context), Poll::Ready(Ok(lease)) if *lease == 2));
}

#[test]
fn close_refuses_those_who_wait() {
    let pool = Pool::builder().capacity(1).build();
    let lease = pool.acquire(0);
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..3)
            .map(|n| {
                scope.spawn({
                    let pool = &pool;
                    move || pool.acquire_blocking(n)
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(5));
        pool.close();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap().unwrap_err(), AcquireError::Closed);
        }
    });
    drop(lease);
}

#[test]
fn capacity_one_serves_two_threads_in_turn() {
    let pool = Pool::builder().capacity(1).build();
    let inside = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for n in 0..5_000 {
                    let lease = pool.acquire_blocking(n).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(lease);
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_wait_on_any_runtime() {
    static POOL: Pool<Mutex<usize>> = Pool::builder().capacity(2).build();
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            tokio::spawn(async move {
                let lease = POOL.acquire_async(Mutex::new(n)).await.unwrap();
                tokio::task::yield_now().await;
                *lease.lock().unwrap()
            })
        })
        .collect();
    let mut sum = 0;
    for task in tasks {
        sum += task.await.unwrap();
    }
    assert_eq!(sum, (0..50).sum());
    assert_eq!(POOL.stats().slots, 2);
}

#[tokio::test]
async fn a_runtimes_timeout_bounds_the_wait() {
    let pool = Pool::builder().capacity(1).build();
    let lease = pool.acquire(1);
    let waiting = tokio::time::timeout(Duration::from_millis(3), pool.acquire_async(2));
    assert!(waiting.await.is_err());
    drop(lease);
    assert_eq!(*pool.acquire(3), 3);
}
