//! What a misuse of the macros looks like to the person who made it.
//!
//! `fail/<topic>/<mistake>.rs` is compiled, and what the compiler says is compared with the `.stderr` beside it. To write
//! these anew: `TRYBUILD=overwrite cargo test -p lease-ui-tests`, then read what it wrote as the person would.

#[test]
fn misuse_is_told_and_honest_use_is_silent() {
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*.rs");
    cases.compile_fail("fail/*/*.rs");
}
