use lease::{Pool, StrongLease};

struct Shouts<'a>(&'a str);

impl Drop for Shouts<'_> {
    fn drop(&mut self) {
        println!("{}", self.0);
    }
}

fn main() {
    let lease: StrongLease<Shouts<'_>>;
    let pool = Pool::new();
    let text = String::from("gone");
    lease = pool.acquire(Shouts(&text));
}
