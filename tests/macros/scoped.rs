//! `#[leased(scoped)]`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lease::leased;
use lease::strategy::System;

#[leased(scoped, scope = s)]
fn longest(text: &str) -> Option<usize> {
    let words = s.alloc_slice_from_iter(text.split(' '));
    words.sort_by_key(|word| word.len());
    Some(words.last()?.len()).filter(|&length| length > 0)
}

#[test]
fn the_body_allocates_in_the_scope_it_named() {
    assert_eq!(longest("a checked right"), Some(7));
    assert_eq!(longest(""), None);
}

#[test]
fn the_scope_ends_with_the_call_however_that_ends() {
    #[leased(scoped, scope = s)]
    fn run(ended: &AtomicU32, how: u32) -> Result<u32, String> {
        s.defer(|| {
            ended.fetch_add(1, Ordering::Relaxed);
        });
        match how {
            0 => return Ok(0),
            1 => Err("failed")?,
            2 => panic!("on purpose"),
            _ => {}
        }
        Ok(ended.load(Ordering::Relaxed))
    }
    let ended = AtomicU32::new(0);
    assert_eq!(run(&ended, 0), Ok(0));
    assert_eq!(run(&ended, 1), Err("failed".to_owned()));
    assert!(std::panic::catch_unwind(|| run(&ended, 2)).is_err());
    assert_eq!(run(&ended, 3), Ok(3), "not before the end");
    assert_eq!(ended.load(Ordering::Relaxed), 4);
}

#[test]
fn an_async_body_holds_its_scope_across_await_and_can_be_spawned() {
    #[leased(scoped, scope = s)]
    async fn count(ended: Arc<AtomicU32>, forever: bool) -> usize {
        let later = ended.clone();
        s.defer(move || {
            later.fetch_add(1, Ordering::Relaxed);
        });
        let numbers = s.alloc_slice(&[1, 2, 3]);
        tokio::task::yield_now().await;
        if forever {
            std::future::pending::<()>().await;
        }
        numbers.len()
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let ended = Arc::new(AtomicU32::new(0));
    let counted = runtime.block_on(runtime.spawn(count(ended.clone(), false)));
    assert_eq!((counted.unwrap(), ended.load(Ordering::Relaxed)), (3, 1));

    let stuck = runtime.spawn(count(ended.clone(), true));
    runtime.block_on(async {
        tokio::task::yield_now().await;
        stuck.abort();
        assert!(stuck.await.unwrap_err().is_cancelled());
    });
    assert!(ended.load(Ordering::Relaxed) <= 2);
}

#[test]
fn a_strategy_serves_the_scope() {
    #[leased(scoped, scope = s, strategy = &System)]
    fn number() -> u32 {
        *s.alloc(7)
    }
    assert_eq!(number(), 7);
}

#[test]
fn a_method_of_an_async_trait_holds_its_scope_for_the_future() {
    #[async_trait::async_trait]
    trait Page {
        async fn render(&self, ended: &AtomicU32) -> u32;
    }

    struct Home(u32);

    #[async_trait::async_trait]
    impl Page for Home {
        #[leased(scoped, scope = s)]
        async fn render(&self, ended: &AtomicU32) -> u32 {
            let number = s.alloc(self.0);
            s.defer(|| {
                ended.fetch_add(1, Ordering::Relaxed);
            });
            tokio::task::yield_now().await;
            *number + ended.load(Ordering::Relaxed)
        }
    }

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ended = AtomicU32::new(0);
    assert_eq!(runtime.block_on(Home(7).render(&ended)), 7);
    assert_eq!(ended.load(Ordering::Relaxed), 1);
}

#[test]
fn unsafe_const_generic_and_opaque_signatures_stay_what_they_are() {
    #[leased(scoped, scope = r#type)]
    unsafe fn first<'a, T, const N: usize>(
        mut items: [T; N],
        _: &'a str,
    ) -> impl Iterator<Item = T> + use<'a, T, N>
    where
        T: Copy + Default,
    {
        items[0] = *r#type.alloc(T::default());
        items.into_iter()
    }
    // SAFETY: the function asks for nothing.
    let items = unsafe { first([1, 2, 3], "") };
    assert_eq!(items.collect::<Vec<_>>(), [0, 2, 3]);
}

#[test]
fn a_scope_without_a_name_is_a_scope_all_the_same() {
    #[leased(scoped)]
    fn plain(text: String) -> usize {
        text.len()
    }
    assert_eq!(plain("four".to_owned()), 4);
}

#[test]
#[leased(scoped, scope = s)]
fn a_test_can_have_a_scope() {
    assert_eq!(*s.alloc(7), 7);
}

#[leased(scoped, scope = s)]
#[tokio::test]
async fn an_async_test_can_have_a_scope() {
    tokio::task::yield_now().await;
    assert_eq!(*s.alloc(7), 7);
}

#[tokio::test]
#[leased(scoped, scope = s)]
async fn in_either_order() {
    tokio::task::yield_now().await;
    assert_eq!(*s.alloc(7), 7);
}
