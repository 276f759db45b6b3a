use std::fmt::Debug;
use std::thread;

use lease::{MappedLease, Pool, StrongLease};

fn main() {
    let pool = Pool::new();
    let shown: MappedLease<dyn Debug> = StrongLease::map(pool.acquire(2), |number| number as &dyn Debug);
    thread::spawn(move || drop(shown));
}
