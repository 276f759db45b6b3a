//! The pool against its peers, with the system's allocator under those that need one.
//!
//! `cargo bench -p lease-benches --bench pool`

mod pool_rows;

fn main() {
    pool_rows::run("glibc malloc", &pool_rows::Targets::MALLOC);
}
