use lease::{Pool, StrongLease};

fn main() {
    let numbers = Pool::new();
    let texts: Pool<String> = Pool::new();
    let number = numbers.acquire(1_u64);
    let found = texts.lock(StrongLease::handle(&number));
}
