// What a unique lease writes is read through the pool under the pool's own type.
use lease::{Pool, UniqueLease};

fn main() {
    let pool: Pool<&'static str> = Pool::new();
    let short = String::from("gone");
    let mut unique: UniqueLease<&str> = pool.acquire_unique("for ever");
    *unique = &short;
    let shared = UniqueLease::share(unique);
    let for_ever: &'static str = *pool.iter().next().unwrap();
    drop(shared);
    println!("{for_ever}");
}
