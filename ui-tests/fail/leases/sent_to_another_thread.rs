use std::rc::Rc;
use std::thread;

use lease::Pool;

fn main() {
    let pool = Pool::new();
    let lease = pool.acquire(Rc::new(1));
    thread::spawn(move || drop(lease));
}
