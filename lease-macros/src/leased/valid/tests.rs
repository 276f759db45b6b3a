//! One use, all of its errors.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Form, Leased, check};
use crate::diagnostics::Errors;
use crate::leased::args;

/// Judges a use and gives what it became and what was said about it.
fn judged(args: TokenStream, item: TokenStream) -> (Option<Leased>, Vec<String>) {
    let mut errors = Errors::default();
    let entries = args::parse(args, &mut errors);
    let item = syn::parse2(item).expect("an item");
    let leased = check(entries, &item, &mut errors);
    (leased, errors.messages())
}

/// Each expected text has to be in the message of the same place, and there are no more messages.
#[track_caller]
fn assert_errors(args: TokenStream, item: TokenStream, expected: &[&str]) {
    let (_, messages) = judged(args, item);
    assert_eq!(messages.len(), expected.len(), "{messages:#?}");
    for (message, expected) in messages.iter().zip(expected) {
        assert!(
            message.contains(expected),
            "{message:?} does not say {expected:?}"
        );
    }
}

fn a_type() -> TokenStream {
    quote!(
        pub struct Session {
            user: u32,
        }
    )
}

fn a_function() -> TokenStream {
    quote!(
        pub fn open(user: u32) -> Result<SessionLease, Error> {
            body
        }
    )
}

#[test]
fn every_form_is_accepted() {
    let frame = quote!(
        fn send(&self, #[lease] frame: &[u8]) {}
    );
    for (args, item) in [
        (quote!(owned), a_type()),
        (
            quote!(
                owned,
                capacity = 8,
                strategy = a::B,
                strong = S,
                weak = W,
                crate = ::c,
            ),
            a_type(),
        ),
        (
            quote!(owned),
            quote!(
                enum E {
                    A,
                }
            ),
        ),
        (
            quote!(borrowed, crate = crate),
            quote!(
                struct Frame<'a> {
                    #[lease]
                    bytes: &'a [u8],
                }
            ),
        ),
        (quote!(owned), a_function()),
        (
            quote!(scoped, scope = r#in, strategy = &QUOTA),
            quote!(
                unsafe fn f<T>() {}
            ),
        ),
        (quote!(borrowed, owner = self.owner), frame),
        (
            quote!(static, owner = OWNER),
            quote!(
                fn name() -> &'static str {
                    ""
                }
            ),
        ),
        (
            quote!(
                exclusive,
                work("a/{}", self.id),
                ttl = TTL,
                wait = "5s",
                at_most = "1h",
                at_least = "250ms",
                registrar = self.registrar,
                actor = "me",
                claim = c
            ),
            quote!(
                async fn f(&self) -> Result<(), E> {}
            ),
        ),
        (
            quote!(scoped, hold = future),
            quote!(
                fn f() -> BoxFuture<'static, u8> {
                    Box::pin(async move { 1 })
                }
            ),
        ),
        (
            quote!(scoped, hold = call),
            quote!(
                fn f() -> impl Future<Output = u8> {
                    g()
                }
            ),
        ),
    ] {
        let shown = args.to_string();
        let (leased, messages) = judged(args, item);
        assert_eq!(messages, [""; 0], "{shown}");
        assert!(
            leased.is_some_and(|leased| !matches!(leased.form, Form::RefusedFn)),
            "{shown}"
        );
    }
}

#[test]
fn a_use_without_a_contract_hears_of_those_that_fit() {
    let on_types = "one of `owned` or `borrowed` on types";
    assert_errors(quote!(), a_type(), &[on_types]);
    assert_errors(quote!(capacity = 8), a_type(), &[on_types]);
    assert_errors(quote!(capacity), a_type(), &[on_types]);
    assert_errors(
        quote!(),
        a_function(),
        &["`owned`, `borrowed`, `static`, `scoped` or `exclusive` on functions"],
    );
}

#[test]
fn an_unknown_contract_is_guessed_at() {
    assert_errors(
        quote!(ownd, capacity = 0),
        a_type(),
        &["unknown contract `ownd`: did you mean `owned`?"],
    );
    assert_errors(quote!(Exclusive), a_function(), &["did you mean `exclusive`?"]);
    assert_errors(
        quote!(rented),
        a_type(),
        &["expected `owned` or `borrowed` on types"],
    );
}

#[test]
fn there_is_one_contract_and_it_comes_first() {
    assert_errors(
        quote!(owned, borrowed),
        a_type(),
        &["two contracts, `owned` and `borrowed`"],
    );
    assert_errors(
        quote!(capacity = 8, owned),
        a_type(),
        &["comes first: `#[leased(owned, …)]`"],
    );
    assert_errors(
        quote!(owned, owned, 7),
        a_type(),
        &["expected a contract or an option", "two contracts"],
    );
}

#[test]
fn all_errors_of_one_use_are_told_together() {
    assert_errors(
        quote!(owned, , capacty = 1, capacity = "8", weak = 3, weak = W, strong, ttl = "1s", scope = s, colour = red),
        a_type(),
        &[
            "found `,`",
            "did you mean `capacity`?",
            "option `weak` is given twice",
            "option `strong` needs a value",
            "`ttl` is an option of `exclusive` functions: `owned` types take `capacity`",
            "`scope` is an option of `scoped` functions",
            "unknown option `colour`: `owned` types take `capacity`, `strategy`, `strong`, `weak` or `crate`",
            "`capacity` expects a number, found a string",
            "`weak` expects a name, found a number",
        ],
    );
}

#[test]
fn contracts_know_what_they_stand_on() {
    assert_errors(
        quote!(exclusive),
        a_type(),
        &["`exclusive` is a contract of functions"],
    );
    assert_errors(
        quote!(scoped, scope = s),
        a_type(),
        &["types can be `owned` or `borrowed`"],
    );
    for (item, what) in [
        (quote!(union U { a: u8 }), "a union"),
        (
            quote!(
                trait T {}
            ),
            "a trait",
        ),
        (quote!(impl T for U {}), "an `impl` block"),
        (
            quote!(
                mod m {}
            ),
            "a module",
        ),
        (
            quote!(
                type A = u8;
            ),
            "a type alias",
        ),
        (
            quote!(
                const A: u8 = 1;
            ),
            "a constant",
        ),
        (
            quote!(
                use a::b;
            ),
            "an import",
        ),
        (
            quote!(
                static A: u8 = 1;
            ),
            "track_static(&NAME)",
        ),
    ] {
        assert_errors(quote!(owned, nonsense), item, &[what]);
    }
}

#[test]
fn functions_that_cannot_be_leased_say_why() {
    assert_errors(
        quote!(scoped),
        quote!(
            fn f();
        ),
        &["without a body"],
    );
    assert_errors(
        quote!(scoped),
        quote!(
            const fn f() {}
        ),
        &["`const fn`"],
    );
    assert_errors(
        quote!(owned),
        quote!(
            unsafe fn f() -> L {}
        ),
        &["an `unsafe fn` cannot be `owned`"],
    );
    assert_errors(
        quote!(scoped),
        quote!(
            unsafe extern "C" fn f(x: u8, ...) {}
        ),
        &["variadic"],
    );
    assert_errors(
        quote!(owned),
        quote!(
            #[leased(scoped)]
            fn f() -> L {}
        ),
        &["a second `#[leased]`"],
    );
}

#[test]
fn return_types_are_judged_by_what_the_signature_shows() {
    assert_errors(
        quote!(owned),
        quote!(
            fn f() {}
        ),
        &["returns nothing"],
    );
    assert_errors(
        quote!(owned),
        quote!(
            fn f() -> &'static str {}
        ),
        &["not a reference"],
    );
    assert_errors(
        quote!(owned),
        quote!(
            fn f() -> Option<impl Deref> {}
        ),
        &["not `impl …`"],
    );
    assert_errors(
        quote!(static),
        quote!(
            fn f(x: &u8) -> &u8 {}
        ),
        &["write `-> &'static T`"],
    );
    let exclusive = quote!(exclusive, work = "a", ttl = "30s");
    assert_errors(
        exclusive.clone(),
        quote!(
            fn f() {}
        ),
        &["return `Result<T, E>`"],
    );
    assert_errors(
        exclusive,
        quote!(
            fn f() -> impl Future<Output = u8> {}
        ),
        &["hold = future", "without `impl …`"],
    );
}

#[test]
fn futures_make_hold_a_question() {
    let future = quote!(
        fn f() -> impl Future<Output = u8> {
            g()
        }
    );
    assert_errors(quote!(scoped), future.clone(), &["say with `hold = future`"]);
    assert_errors(
        quote!(scoped, hold = future),
        future.clone(),
        &["one `async` block"],
    );
    assert_errors(
        quote!(scoped, hold = never),
        future,
        &["`hold` is `future` or `call`"],
    );
    assert_errors(
        quote!(scoped, hold = future),
        quote!(
            async fn f() {}
        ),
        &["remove `hold`"],
    );
}

#[test]
fn what_is_borrowed_is_marked_and_is_a_reference() {
    assert_errors(
        quote!(borrowed),
        quote!(
            fn f(n: u8, frame: &mut [u8]) {}
        ),
        &["as in `#[lease] frame: &mut [u8]`"],
    );
    assert_errors(
        quote!(borrowed),
        quote!(
            fn f(#[lease] frame: Vec<u8>) {}
        ),
        &["passed by value"],
    );
    assert_errors(
        quote!(borrowed),
        quote!(
            fn f(#[lease] self) {}
        ),
        &["passed by value"],
    );
    assert_errors(
        quote!(borrowed),
        quote!(
            fn f(#[lease] (a, b): &(u8, u8)) {}
        ),
        &["plain name"],
    );
    assert_errors(
        quote!(borrowed),
        quote!(
            fn f(#[lease(x)] a: &u8) {}
        ),
        &["no arguments"],
    );
    assert_errors(
        quote!(scoped),
        quote!(
            fn f(#[lease] a: &u8) {}
        ),
        &["this one is `scoped`"],
    );
}

#[test]
fn exclusive_needs_a_name_for_its_work_and_a_time() {
    let report = quote!(
        fn report(id: u8, claim: u8) -> Result<(), E> {}
    );
    assert_errors(
        quote!(exclusive),
        report.clone(),
        &["work = \"invoice/{id}\"", "ttl = \"30s\""],
    );
    assert_errors(
        quote!(
            exclusive,
            work = 7,
            ttl = "0s",
            wait = 5,
            at_most = "-1s",
            at_least = true,
            claim = claim
        ),
        report.clone(),
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
        quote!(exclusive, work(), ttl = "250ms"),
        report.clone(),
        &["a format string and its arguments", "`ttl` is under one second"],
    );
    assert_errors(
        quote!(exclusive, work = "", ttl = -5),
        report,
        &["needs a name", "is not negative"],
    );
}

#[test]
fn what_is_wrong_still_has_a_form_to_expand_to() {
    for (args, item) in [
        (quote!(owned, capacity = 0, colour = red), a_type()),
        (
            quote!(exclusive, claim = c),
            quote!(
                fn f() -> Result<(), E> {}
            ),
        ),
        (
            quote!(borrowed),
            quote!(
                fn f(frame: &[u8]) {}
            ),
        ),
        (
            quote!(owned),
            quote!(
                unsafe fn f() -> L {}
            ),
        ),
    ] {
        let (leased, messages) = judged(args, item);
        assert!(leased.is_some() && !messages.is_empty());
    }
}
