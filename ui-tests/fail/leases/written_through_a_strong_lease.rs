use lease::Pool;

fn main() {
    let pool = Pool::new();
    let mut lease = pool.acquire(vec![1]);
    lease.push(2);
}
