//! Row h: memory. Resident bytes of a million live objects of 64 bytes, and how much shrinking gives back.

use std::fs;
use std::hint::black_box;

use lease::Pool;

use super::Payload;

const LIVE: u32 = 1_000_000;
const PAGE: f64 = 4096.0;

/// What was measured.
#[derive(Debug)]
pub(crate) struct Resident {
    per_object: f64,
    returned: f64,
}

/// Bytes of this process that are in memory.
fn resident() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split_whitespace().nth(1).expect("the second field");
    pages.parse::<f64>().expect("a number") * PAGE
}

/// To be called before anything else has used memory.
pub(crate) fn measure() -> Resident {
    let mut pool = Pool::new();
    let mut leases = Vec::with_capacity(LIVE as usize);
    // The list of leases itself is not the pool's.
    leases.resize_with(LIVE as usize, || None);
    for lease in &mut leases {
        black_box(lease);
    }
    let before = resident();
    for (lease, n) in leases.iter_mut().zip(0_u64..) {
        *lease = Some(pool.acquire(black_box::<Payload>([n; 8])));
    }
    let full = resident();
    leases.clear();
    let released = pool.stats().bytes;
    let returned = pool.shrink_to_fit();
    #[allow(clippy::cast_precision_loss, reason = "some 70 MB")]
    Resident {
        per_object: (full - before) / f64::from(LIVE),
        returned: returned as f64 / released as f64,
    }
}

/// Prints the row; returns how many targets were missed.
pub(crate) fn print(resident: &Resident) -> usize {
    let verdict = |ok| if ok { "ok" } else { "miss" };
    let (lean, shrinks) = (resident.per_object <= 76.0, resident.returned >= 0.90);
    println!(
        "h resident bytes per live 64-byte object: {:.1}, target 76.0: {}",
        resident.per_object,
        verdict(lean)
    );
    println!(
        "h returned by shrinking: {:.1} %, target 90.0 %: {}",
        resident.returned * 100.0,
        verdict(shrinks)
    );
    usize::from(!lean) + usize::from(!shrinks)
}
