use std::rc::Rc;

use lease::{MappedLease, Pool, StrongLease};

fn main() {
    let pool = Pool::new();
    let sent: MappedLease<i32> = StrongLease::map(pool.acquire(Rc::new(3)), |number| &**number);
}
