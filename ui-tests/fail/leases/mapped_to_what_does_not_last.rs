use lease::{MappedLease, Pool, StrongLease};

fn main() {
    let pool = Pool::new();
    let local = 7;
    let lasting: MappedLease<i32> = StrongLease::map(pool.acquire(1), |_| &local);
}
