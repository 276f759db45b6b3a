//! A request scope: scratch memory, pooled buffers and cleanup that end with the request, however it ends.

use std::error::Error;
use std::sync::Mutex;

use lease::{LeaseOwner, Pool, ScopeError, lease_scope};

/// Two requests at a time have a buffer; a third is told so.
static BUFFERS: Pool<Vec<u8>> = Pool::builder().capacity(2).build();

/// Renders the numbers of a request in order, smallest first.
fn render(body: &str, log: &Mutex<Vec<String>>) -> Result<String, Box<dyn Error>> {
    lease_scope!(|scope| {
        scope.defer(|| {
            let mut log = log.lock().expect("the log is whole");
            log.push(format!("done: {body}"));
        });
        scope.borrow(body);
        assert!(LeaseOwner::global().tenant(body.as_ptr()).is_some());

        let buffer = scope.try_lease(&BUFFERS, Vec::new())?;
        let words = scope.alloc_slice_from_iter(body.split(','));
        let numbers = scope.alloc_slice_with(words.len(), |_| 0_i64);
        for (number, word) in numbers.iter_mut().zip(&*words) {
            *number = word.trim().parse()?;
        }
        numbers.sort_unstable();

        for number in numbers {
            let text = scope.alloc_str(if buffer.is_empty() { "" } else { " < " });
            buffer.extend_from_slice(text.as_bytes());
            buffer.extend_from_slice(number.to_string().as_bytes());
        }
        Ok(String::from_utf8_lossy(buffer).into_owned())
    })
}

fn main() {
    let log = Mutex::new(Vec::new());

    let rendered = render("3, 1, 2", &log).expect("a list of numbers");
    assert_eq!(rendered, "1 < 2 < 3");
    println!("{rendered}");

    // `?` leaves the block as the end does: the buffer is back, the closure has run, nothing is on record.
    let refused = render("3, x", &log).expect_err("`x` is no number");
    println!("{refused}");
    assert_eq!(BUFFERS.stats().live, 0);
    assert_eq!(
        *log.lock().expect("the log is whole"),
        ["done: 3, 1, 2", "done: 3, x"]
    );
    assert_eq!(LeaseOwner::global().report().borrowed.tenants, 0);

    // While others hold every buffer, a request is told so.
    let held = [BUFFERS.acquire(Vec::new()), BUFFERS.acquire(Vec::new())];
    let busy = render("1", &log).expect_err("no buffer is left");
    assert!(matches!(busy.downcast_ref(), Some(ScopeError::Acquire(_))));
    println!("{busy}");
    drop(held);
    assert!(render("1", &log).is_ok());
}
