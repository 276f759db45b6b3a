use lease::{Pool, StrongLease};

fn main() {
    let pool = Pool::new();
    let lease = pool.acquire(String::from("here"));
    let weak = StrongLease::downgrade(&lease);
    println!("{}", weak.len());
    println!("{}", *weak);
}
