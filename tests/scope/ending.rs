//! How a scope ends: in reverse order, whatever happens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use lease::__private::{Storage, handle};

/// Writes its name into a list when it is dropped.
struct Named<'a>(&'a Mutex<Vec<&'static str>>, &'static str);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        self.0
            .lock()
            .expect("no test panics with the list in hand")
            .push(self.1);
        assert!(!self.1.starts_with("panics"), "{}", self.1);
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .expect("panics here carry text")
}

#[test]
fn guards_end_in_reverse_order() {
    let ended = Mutex::new(Vec::new());
    {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        scope.keep(Named(&ended, "first"));
        scope.defer(|| ended.lock().unwrap().push("second"));
        scope.keep(Named(&ended, "third"));
        assert!(ended.lock().unwrap().is_empty());
        assert_eq!(scope.report().guards, 3);
    }
    assert_eq!(*ended.lock().unwrap(), ["third", "second", "first"]);
}

#[test]
fn more_guards_than_fit_inline_all_end_in_reverse_order() {
    let ended = Mutex::new(Vec::new());
    {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        for index in 0..1_000 {
            let ended = &ended;
            scope.defer(move || ended.lock().unwrap().push(index));
        }
    }
    assert!(ended.into_inner().unwrap().into_iter().eq((0..1_000).rev()));
}

#[test]
fn an_early_return_ends_the_guards() {
    fn work(ended: &Mutex<Vec<&'static str>>) -> Option<()> {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        scope.keep(Named(ended, "kept"));
        None?;
        unreachable!()
    }
    let ended = Mutex::new(Vec::new());
    assert_eq!(work(&ended), None);
    assert_eq!(*ended.lock().unwrap(), ["kept"]);
}

#[test]
fn a_panic_in_the_block_ends_the_guards() {
    let ended = Mutex::new(Vec::new());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        scope.keep(Named(&ended, "kept"));
        panic!("the block");
    }))
    .unwrap_err();
    assert_eq!(message(&*panic), "the block");
    assert_eq!(*ended.lock().unwrap(), ["kept"]);
}

#[test]
fn panicking_guards_do_not_stop_the_others_and_the_first_panic_goes_on() {
    let ended = Mutex::new(Vec::new());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        scope.keep(Named(&ended, "last"));
        scope.keep(Named(&ended, "panics second"));
        scope.defer(|| panic!("panics first"));
        scope.keep(Named(&ended, "newest"));
    }))
    .unwrap_err();
    assert_eq!(message(&*panic), "panics first");
    assert_eq!(*ended.lock().unwrap(), ["newest", "panics second", "last"]);
}

#[test]
fn a_panicking_guard_does_not_replace_the_panic_of_the_block() {
    let ended = Mutex::new(Vec::new());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        scope.keep(Named(&ended, "last"));
        scope.keep(Named(&ended, "panics"));
        panic!("the block");
    }))
    .unwrap_err();
    assert_eq!(message(&*panic), "the block");
    assert_eq!(*ended.lock().unwrap(), ["panics", "last"]);
}

#[test]
fn a_panic_that_panics_when_dropped_stops_nothing() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            // Without size, because what a bomb throws is leaked, and the leak checker would report it.
            std::panic::panic_any(());
        }
    }
    let ended = Mutex::new(Vec::new());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        scope.keep(Named(&ended, "last"));
        scope.defer(|| std::panic::panic_any(Bomb));
        scope.defer(|| panic!("the first"));
    }))
    .unwrap_err();
    assert_eq!(message(&*panic), "the first");
    assert_eq!(*ended.lock().unwrap(), ["last"]);
}

#[test]
fn nested_scopes_end_from_the_inside_out() {
    let ended = Mutex::new(Vec::new());
    {
        let mut outer = Storage::new();
        let outer = handle(&mut outer);
        outer.keep(Named(&ended, "outer"));
        let number = outer.alloc(1);
        {
            let mut inner = Storage::new();
            let inner = handle(&mut inner);
            inner.keep(Named(&ended, "inner"));
            inner.defer(|| *number += 1);
        }
        assert_eq!(*number, 2);
        assert_eq!(*ended.lock().unwrap(), ["inner"]);
    }
    assert_eq!(*ended.lock().unwrap(), ["inner", "outer"]);
}

#[test]
fn a_value_moved_out_of_its_place_is_replaced_not_dropped_twice() {
    let ended = Mutex::new(Vec::new());
    {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        let kept = scope.keep(Named(&ended, "first"));
        drop(std::mem::replace(kept, Named(&ended, "second")));
        assert_eq!(*ended.lock().unwrap(), ["first"]);
    }
    assert_eq!(*ended.lock().unwrap(), ["first", "second"]);
}

#[test]
fn guards_without_size_end_too() {
    static ENDED: Mutex<u32> = Mutex::new(0);
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            *ENDED.lock().unwrap() += 1;
        }
    }
    {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        scope.keep(Nothing);
        scope.keep([Nothing, Nothing]);
        scope.defer(|| *ENDED.lock().unwrap() += 1);
        assert_eq!(scope.report().chunks, 0);
    }
    assert_eq!(*ENDED.lock().unwrap(), 4);
}
