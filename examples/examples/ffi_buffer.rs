//! A buffer on loan to C: on record as borrowed for exactly the call, so that every pointer C hands back can be
//! checked.
//!
//! `qsort` gets a slice and calls back with bare pointers into it. The callback asks the owner table whose memory
//! they are before it reads through them.

use std::cmp::Ordering;
use std::ffi::c_void;
use std::sync::atomic::{self, AtomicUsize};

use lease::{Contract, LeaseOwner, OwnedLease, OwnerError, TenantId, leased};

static COMPARISONS: AtomicUsize = AtomicUsize::new(0);

/// The number behind a pointer from C, if the pointer is to a number in memory that is on loan.
fn lent_number(pointer: *const c_void) -> Option<f64> {
    let tenant = LeaseOwner::global().find(pointer)?;
    let object = tenant.object();
    let offset = pointer.addr() - object.address();
    let fits = object.size() - offset >= size_of::<f64>() && pointer.cast::<f64>().is_aligned();
    if tenant.contract() != Contract::Borrowed || !fits {
        return None;
    }
    // SAFETY: the pointer is aligned and inside memory that `sort` lent as numbers and that outlives the loan; C
    // does not write to it while it compares.
    Some(unsafe { pointer.cast::<f64>().read() })
}

extern "C" fn compare(left: *const c_void, right: *const c_void) -> i32 {
    COMPARISONS.fetch_add(1, atomic::Ordering::Relaxed);
    let ordering = match (lent_number(left), lent_number(right)) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        _ => Ordering::Equal,
    };
    ordering as i32
}

/// Lends the numbers to C until it has sorted them.
#[leased(borrowed)]
fn sort(#[lease] numbers: &mut [f64]) {
    let (start, count) = (numbers.as_mut_ptr().cast(), numbers.len());
    // SAFETY: the slice is `count` numbers of this size, exclusively ours, and `compare` is a total order on them.
    unsafe { libc::qsort(start, count, size_of::<f64>(), Some(compare)) };
}

fn main() -> Result<(), OwnerError> {
    let mut numbers = [2.5, -1.0, 9.75, 0.0];
    sort(&mut numbers);
    assert!(numbers.is_sorted());
    assert!(COMPARISONS.load(atomic::Ordering::Relaxed) >= 3);

    // The loan ended with the call: what C kept is now a pointer to nobody's memory, and is not followed.
    assert_eq!(lent_number(numbers.as_ptr().cast()), None);

    // The other way round: C keeps memory of ours as a `void *` and a number, and nobody can free it twice.
    let owner = LeaseOwner::new();
    let (buffer, tenant) = OwnedLease::into_raw(owner.own_bytes(b"kept by C")?);
    let (pointer, key): (*mut c_void, u64) = (buffer.as_ptr().cast(), tenant.to_bits());
    println!("{owner:?}");
    // SAFETY: the bytes are on record, nine of them, and still ours.
    let written = unsafe { libc::strnlen(pointer.cast(), 9) };
    assert_eq!(written, 9);
    let give_back = |key| {
        // SAFETY: C does not use the buffer after it has given it back.
        unsafe { owner.terminate(pointer, TenantId::from_bits(key)) }
    };
    give_back(key)?;
    assert!(matches!(give_back(key), Err(OwnerError::NotTracked { .. })));
    Ok(())
}
