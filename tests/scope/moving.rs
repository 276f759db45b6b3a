//! Futures and threads: the handle and the storage move, what was handed out stays.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use lease::__private::{Storage, handle};

/// Pending once, ready the second time.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn count(ended: Arc<AtomicU32>) -> u32 {
    let mut scope = Storage::new();
    let scope = handle(&mut scope);
    let numbers = scope.alloc_slice(&[1, 2, 3]);
    let kept = scope.keep(Box::new(4));
    scope.defer(move || {
        ended.fetch_add(1, Ordering::Relaxed);
    });
    pause().await;
    let total = scope.alloc(0);
    for number in numbers.iter() {
        *total += number;
        pause().await;
    }
    *total + **kept
}

#[test]
fn a_future_that_holds_the_handle_can_be_spawned() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let ended = Arc::new(AtomicU32::new(0));
    let totals: Vec<u32> = runtime.block_on(async {
        let tasks: Vec<_> = (0..16).map(|_| tokio::spawn(count(Arc::clone(&ended)))).collect();
        let mut totals = Vec::new();
        for task in tasks {
            totals.push(task.await.unwrap());
        }
        totals
    });
    assert_eq!(totals, [10; 16]);
    assert_eq!(ended.load(Ordering::Relaxed), 16);
}

#[test]
fn a_cancelled_future_ends_its_scope() {
    let ended = Arc::new(AtomicU32::new(0));
    {
        let mut future = pin!(count(Arc::clone(&ended)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(ended.load(Ordering::Relaxed), 0);
    }
    assert_eq!(ended.load(Ordering::Relaxed), 1);
}

#[test]
fn a_future_may_end_on_another_thread_than_it_began() {
    let ended = Arc::new(AtomicU32::new(0));
    let mut future = Box::pin(count(Arc::clone(&ended)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    std::thread::spawn(move || drop(future)).join().unwrap();
    assert_eq!(ended.load(Ordering::Relaxed), 1);
}

#[test]
fn the_handle_may_work_on_another_thread() {
    let mut storage = Storage::new();
    let scope = handle(&mut storage);
    let here = scope.alloc(1);
    let there = std::thread::scope(|threads| {
        threads
            .spawn(move || {
                scope.keep(vec![1, 2, 3]);
                scope.alloc(2)
            })
            .join()
            .unwrap()
    });
    std::mem::swap(here, there);
    assert_eq!((*here, *there), (2, 1));
}

#[test]
fn storage_may_move_between_two_handles() {
    let mut storage = Storage::new();
    handle(&mut storage).keep(String::from("kept on"));
    let mut storage = Box::new(storage);
    let scope = handle(&mut storage);
    scope.keep(String::from("kept later"));
    assert_eq!(scope.report().guards, 2);
}
