//! One use, all of its errors.

use super::{Form, Leased, check};
use crate::diagnostics::Errors;
use crate::leased::args;

const TYPE: &str = "pub struct Session { user: u32 }";
const FUNCTION: &str = "pub fn open(user: u32) -> Result<SessionLease, Error> { body }";

/// Judges a use and gives what it became and what was said about it.
fn judged(args: &str, item: &str) -> (Option<Leased>, Vec<String>) {
    let mut errors = Errors::default();
    let entries = args::parse(args.parse().expect("tokens"), &mut errors);
    let item = syn::parse_str(item).expect("an item");
    let leased = check(entries, &item, &mut errors);
    (leased, errors.messages())
}

/// Each expected text has to be in the message of the same place, and there are no more messages.
#[track_caller]
fn assert_errors(args: &str, item: &str, expected: &[&str]) {
    let (_, messages) = judged(args, item);
    assert_eq!(messages.len(), expected.len(), "{messages:#?}");
    for (message, expected) in messages.iter().zip(expected) {
        assert!(
            message.contains(expected),
            "{message:?} does not say {expected:?}"
        );
    }
}

#[track_caller]
fn assert_accepted(args: &str, item: &str) {
    let (leased, messages) = judged(args, item);
    assert_eq!(messages, [""; 0], "{args}");
    assert!(
        leased.is_some_and(|leased| !matches!(leased.form, Form::RefusedFn)),
        "{args}"
    );
}

#[test]
fn every_form_is_accepted() {
    for (args, item) in [
        ("owned", TYPE),
        (
            "owned, capacity = 8, recycle = E::reset, strategy = a::B, strong = S, weak = W, crate = ::c,",
            TYPE,
        ),
        ("owned", "enum E { A }"),
        (
            "borrowed, crate = crate",
            "struct Frame<'a> { #[lease] bytes: &'a [u8] }",
        ),
        ("owned", FUNCTION),
        ("scoped, scope = r#in, strategy = &QUOTA", "unsafe fn f<T>() {}"),
        (
            "borrowed, owner = self.owner",
            "fn send(&self, #[lease] frame: &[u8]) {}",
        ),
        ("static, owner = OWNER", "fn name() -> &'static str { \"\" }"),
        (
            "scoped, hold = future",
            "fn f() -> BoxFuture<'static, u8> { Box::pin(async move { 1 }) }",
        ),
        (
            "scoped, hold = call",
            "fn f() -> impl Future<Output = u8> { g() }",
        ),
    ] {
        assert_accepted(args, item);
    }
}

#[test]
#[cfg(feature = "work")]
fn every_option_of_exclusive_is_accepted() {
    assert_accepted(
        r#"exclusive, work("a/{}", self.id), ttl = TTL, wait = "5s", at_most = "1h", at_least = "250ms",
           registrar = self.registrar, actor = "me", claim = c"#,
        "async fn f(&self) -> Result<(), E> {}",
    );
}

#[test]
#[cfg(not(feature = "work"))]
fn exclusive_without_the_feature_names_it() {
    assert_errors(
        r#"exclusive, work = "a", ttl = "30s""#,
        "fn f() -> Result<(), E> {}",
        &["needs the feature `work`"],
    );
}

#[test]
fn a_use_without_a_contract_hears_of_those_that_fit() {
    let on_types = "one of `owned` or `borrowed` on types";
    assert_errors("", TYPE, &[on_types]);
    assert_errors("capacity = 8", TYPE, &[on_types]);
    assert_errors("capacity", TYPE, &[on_types]);
    let on_functions = "`owned`, `borrowed`, `static`, `scoped` or `exclusive` on functions";
    assert_errors("", FUNCTION, &[on_functions]);
}

#[test]
fn an_unknown_contract_is_guessed_at() {
    assert_errors(
        "ownd, capacity = 0",
        TYPE,
        &["unknown contract `ownd`: did you mean `owned`?"],
    );
    assert_errors("Exclusive", FUNCTION, &["did you mean `exclusive`?"]);
    assert_errors("rented", TYPE, &["expected `owned` or `borrowed` on types"]);
}

#[test]
fn there_is_one_contract_and_it_comes_first() {
    assert_errors(
        "owned, borrowed",
        TYPE,
        &["two contracts, `owned` and `borrowed`"],
    );
    assert_errors(
        "capacity = 8, owned",
        TYPE,
        &["comes first: `#[leased(owned, …)]`"],
    );
    assert_errors(
        "owned, owned, 7",
        TYPE,
        &["expected a contract or an option", "two contracts"],
    );
}

#[test]
fn all_errors_of_one_use_are_told_together() {
    assert_errors(
        r#"owned, , capacty = 1, capacity = "8", weak = 3, weak = W, strong, ttl = "1s", scope = s, colour = red"#,
        TYPE,
        &[
            "found `,`",
            "did you mean `capacity`?",
            "option `weak` is given twice",
            "option `strong` needs a value",
            "`ttl` is an option of `exclusive` functions: `owned` types take `capacity`",
            "`scope` is an option of `scoped` functions",
            "unknown option `colour`: `owned` types take `capacity`, `recycle`, `strategy`, `strong`, `weak` or `crate`",
            "`capacity` expects a number, found a string",
            "`weak` expects a name, found a number",
        ],
    );
}

#[test]
fn contracts_know_what_they_stand_on() {
    assert_errors("exclusive", TYPE, &["`exclusive` is a contract of functions"]);
    assert_errors("scoped, scope = s", TYPE, &["types can be `owned` or `borrowed`"]);
    for (item, what) in [
        ("union U { a: u8 }", "a union"),
        ("trait T {}", "a trait"),
        ("impl T for U {}", "an `impl` block"),
        ("mod m {}", "a module"),
        ("type A = u8;", "a type alias"),
        ("const A: u8 = 1;", "a constant"),
        ("use a::b;", "an import"),
        ("static A: u8 = 1;", "track_static(&NAME)"),
    ] {
        assert_errors("owned, nonsense", item, &[what]);
    }
}

#[test]
fn a_pool_of_one_type_is_neither_generic_nor_empty() {
    assert_errors(
        "owned",
        "struct A<T>(T);",
        &["every instance of `A<T>` is a type of its own"],
    );
    assert_errors("owned", "enum A<'a> { B(&'a u8) }", &["make"]);
    assert_errors("owned, capacity = 0", TYPE, &["capacity zero"]);
}

#[test]
fn functions_that_cannot_be_leased_say_why() {
    assert_errors("scoped", "fn f();", &["without a body"]);
    assert_errors("scoped", "const fn f() {}", &["`const fn`"]);
    assert_errors(
        "owned",
        "unsafe fn f() -> L {}",
        &["an `unsafe fn` cannot be `owned`"],
    );
    assert_errors("scoped", "unsafe extern \"C\" fn f(x: u8, ...) {}", &["variadic"]);
    assert_errors(
        "owned",
        "#[leased(scoped)] fn f() -> L {}",
        &["a second `#[leased]`"],
    );
}

#[test]
fn return_types_are_judged_by_what_the_signature_shows() {
    assert_errors("owned", "fn f() {}", &["returns nothing"]);
    assert_errors("owned", "fn f() -> &'static str {}", &["not a reference"]);
    assert_errors("owned", "fn f() -> Option<impl Deref> {}", &["not `impl …`"]);
    assert_errors("static", "fn f(x: &u8) -> &u8 {}", &["write `-> &'static T`"]);
}

#[test]
#[cfg(feature = "work")]
fn an_exclusive_function_can_say_that_it_was_not_its_turn() {
    let args = r#"exclusive, work = "a", ttl = "30s""#;
    assert_errors(args, "fn f() {}", &["return `Result<T, E>`"]);
    assert_errors(
        args,
        "fn f() -> impl Future<Output = u8> {}",
        &["hold = future", "without `impl …`"],
    );
}

#[test]
fn futures_make_hold_a_question() {
    let future = "fn f() -> impl Future<Output = u8> { g() }";
    assert_errors("scoped", future, &["say with `hold = future`"]);
    assert_errors("scoped, hold = future", future, &["one `async` block"]);
    assert_errors("scoped, hold = never", future, &["`hold` is `future` or `call`"]);
    assert_errors("scoped, hold = future", "async fn f() {}", &["remove `hold`"]);
}

#[test]
fn what_is_borrowed_is_marked_and_is_a_reference() {
    let unmarked = "fn f(n: u8, frame: &mut [u8]) {}";
    assert_errors("borrowed", unmarked, &["as in `#[lease] frame: &mut [u8]`"]);
    assert_errors(
        "borrowed",
        "fn f(#[lease] frame: Vec<u8>) {}",
        &["passed by value"],
    );
    assert_errors("borrowed", "fn f(#[lease] self) {}", &["passed by value"]);
    assert_errors("borrowed", "fn f(#[lease] (a, b): &(u8, u8)) {}", &["plain name"]);
    assert_errors("borrowed", "fn f(#[lease(x)] a: &u8) {}", &["no arguments"]);
    assert_errors("scoped", "fn f(#[lease] a: &u8) {}", &["this one is `scoped`"]);
}

#[test]
#[cfg(feature = "work")]
fn exclusive_needs_a_name_for_its_work_and_a_time() {
    let report = "fn report(id: u8, claim: u8) -> Result<(), E> {}";
    assert_errors("exclusive", report, &["work = \"invoice/{id}\"", "ttl = \"30s\""]);
    assert_errors(
        r#"exclusive, work = 7, ttl = "0s", wait = 5, at_most = "-1s", at_least = true, claim = claim"#,
        report,
        &[
            "`work` expects a text",
            "`ttl` is zero",
            "`wait`: a bare number has no unit",
            "`at_most`: `-1s` is negative",
            "`at_least` expects a time",
            "would hide the parameter `claim`",
        ],
    );
    assert_errors(
        r#"exclusive, work(), ttl = "250ms""#,
        report,
        &["a format string and its arguments", "`ttl` is under one second"],
    );
    assert_errors(
        r#"exclusive, work = "", ttl = -5"#,
        report,
        &["needs a name", "is not negative"],
    );
}

#[test]
fn what_is_wrong_still_has_a_form_to_expand_to() {
    for (args, item) in [
        ("owned, capacity = 0, colour = red", TYPE),
        ("exclusive, claim = c", "fn f() -> Result<(), E> {}"),
        ("borrowed", "fn f(frame: &[u8]) {}"),
        ("owned", "unsafe fn f() -> L {}"),
    ] {
        let (leased, messages) = judged(args, item);
        assert!(leased.is_some() && !messages.is_empty());
    }
}
