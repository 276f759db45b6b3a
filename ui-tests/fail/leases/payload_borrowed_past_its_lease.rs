use lease::Pool;

fn main() {
    let pool = Pool::new();
    let lease = pool.acquire(String::from("here"));
    let text: &str = &lease;
    drop(lease);
    println!("{text}");
}
