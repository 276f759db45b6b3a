//! The pool against its peers, with mimalloc under those that need an allocator. The pool itself does not.
//!
//! `cargo bench -p lease-benches --bench pool_mimalloc`

mod pool_rows;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    pool_rows::run("mimalloc", &pool_rows::Targets::MIMALLOC);
}
