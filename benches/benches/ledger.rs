//! The ledger and the reducer against what one would write by hand.
//!
//! `cargo bench -p lease-benches --bench ledger [ROW…]`: all rows, or those whose names start so. Takes some minutes.

mod ledger_rows;

#[global_allocator]
static ALLOCATOR: ledger_rows::Counting = ledger_rows::Counting;

fn main() {
    ledger_rows::run();
}
