//! `lease_scope!`.

use std::sync::Mutex;

use lease::lease_scope;

/// What happened, in order.
#[derive(Default)]
struct Log(Mutex<Vec<&'static str>>);

impl Log {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn read(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

struct Noting<'a>(&'a Log, &'static str);

impl Drop for Noting<'_> {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

#[test]
fn the_value_of_the_block_is_the_value_of_the_macro() {
    let sum: u32 = lease_scope!(|scope| {
        let numbers = scope.alloc_slice(&[1, 2, 3]);
        numbers.iter().sum()
    });
    assert_eq!(sum, 6);
}

#[test]
fn a_block_without_a_value_is_a_statement() {
    let mut seen = 0;
    lease_scope!(|scope| {
        seen += *scope.alloc(1);
    });
    lease_scope!(|_| { seen += 1 });
    assert_eq!(seen, 2);
}

#[test]
fn the_question_mark_leaves_the_function_through_the_end_of_the_scope() {
    fn run(log: &Log, input: Option<u8>) -> Option<u8> {
        let value = lease_scope!(|scope| {
            scope.defer(|| log.note("deferred"));
            input?
        });
        log.note("after");
        Some(value)
    }
    let log = Log::default();
    assert_eq!(run(&log, None), None);
    assert_eq!(log.read(), ["deferred"]);
    assert_eq!(run(&log, Some(1)), Some(1));
    assert_eq!(log.read(), ["deferred", "deferred", "after"]);
}

#[test]
fn return_break_and_continue_keep_their_meaning() {
    fn returns() -> u8 {
        lease_scope!(|scope| {
            if *scope.alloc(true) {
                return 1;
            }
        });
        2
    }
    let mut ended = 0;
    let mut rounds = 0;
    let found = loop {
        lease_scope!(|scope| {
            scope.defer(|| ());
            rounds += 1;
            if rounds < 3 {
                continue;
            }
            break rounds;
        });
    };
    'outer: for _ in 0..3 {
        for inner in 0..3 {
            lease_scope!(|_| {
                if inner == 1 {
                    continue 'outer;
                }
                ended += 1;
            });
        }
    }
    assert_eq!((returns(), found, ended), (1, 3, 3));
}

#[test]
fn locals_of_the_block_drop_before_what_is_kept() {
    let log = Log::default();
    lease_scope!(|scope| {
        let _local = Noting(&log, "local");
        scope.keep(Noting(&log, "kept first"));
        scope.keep(Noting(&log, "kept last"));
    });
    assert_eq!(log.read(), ["local", "kept last", "kept first"]);
}

#[test]
fn temporaries_of_the_last_expression_drop_inside_the_scope() {
    let log = Log::default();
    let length = lease_scope!(|scope| {
        scope.keep(Noting(&log, "kept"));
        Noting(&log, "temporary").1.len()
    });
    assert_eq!(length, 9);
    assert_eq!(log.read(), ["temporary", "kept"]);
}

#[test]
fn scopes_nest_and_the_inner_one_ends_first() {
    let log = Log::default();
    lease_scope!(|outer| {
        outer.defer(|| log.note("outer"));
        let shared = outer.alloc(1);
        lease_scope!(|inner| {
            inner.defer(|| log.note("inner"));
            *shared += *inner.alloc(1);
        });
        assert_eq!(*shared, 2);
    });
    assert_eq!(log.read(), ["inner", "outer"]);
}

#[test]
fn a_panic_ends_the_scope() {
    let log = Log::default();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        lease_scope!(|scope| {
            scope.defer(|| log.note("deferred"));
            panic!("on purpose");
        });
    }));
    assert!(result.is_err());
    assert_eq!(log.read(), ["deferred"]);
}
