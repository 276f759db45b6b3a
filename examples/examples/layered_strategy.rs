//! A layered strategy: memory with a limit and figures, shared by an owner table, a scope and a collection.

use std::alloc::Layout;
use std::error::Error;

use allocator_api2::vec::Vec;
use lease::strategy::{
    AllocReason, AsAllocator, MemoryStrategy, Quota, System, Tracked, Usage, validate_allocation,
    validate_strategy,
};
use lease::{LeaseOwner, lease_scope};

/// Each layer says what it adds; the whole can stand in a `static`.
static REQUEST_MEMORY: Tracked<Quota<System>> = Tracked::new(Quota::bytes(16 << 10, System));

fn main() -> Result<(), Box<dyn Error>> {
    let owner = LeaseOwner::with_strategy(&REQUEST_MEMORY);
    let region = owner.alloc_owned(Layout::new::<[u64; 1024]>())?;

    // A scope in the same memory; it goes back at the closing brace.
    let total = lease_scope!(strategy = &REQUEST_MEMORY, |scope| {
        let numbers = scope.alloc_slice_from_iter(1..=100_u64);
        numbers.iter().sum::<u64>()
    });
    assert_eq!(total, 5050);

    // A collection that speaks `allocator-api2`, in the same memory too.
    let mut bytes = Vec::new_in(AsAllocator::new(&REQUEST_MEMORY));
    bytes.extend_from_slice(b"in the quota");
    let live = REQUEST_MEMORY.stats().live;
    let expected = Usage {
        bytes: 8192 + bytes.capacity(),
        blocks: 2,
    };
    assert_eq!(live, Some(expected));

    // What does not fit is an error that says why; asking first gives every reason.
    let large = Layout::new::<[u8; 9000]>();
    let refused = REQUEST_MEMORY
        .allocate(large)
        .expect_err("the region and this pass the limit");
    let remaining = (16 << 10) - expected.bytes;
    assert_eq!(
        refused.reason,
        AllocReason::QuotaBytes {
            limit: 16 << 10,
            remaining
        }
    );
    println!("refused: {refused}");
    let reasons = validate_allocation(&REQUEST_MEMORY, large).expect_err("for the same reason");
    assert_eq!(*reasons, [refused.reason]);

    drop(bytes);
    drop(region);
    let stats = REQUEST_MEMORY.stats();
    assert_eq!(stats.live, Some(Usage { bytes: 0, blocks: 0 }));
    assert_eq!(stats.failures.map(|failures| failures.quota_bytes), Some(1));
    validate_strategy(&REQUEST_MEMORY)?;
    if let (Some(peak), Some(sizes)) = (stats.peak, stats.sizes) {
        println!("at most {} bytes at once, in blocks of", peak.bytes);
        for (up_to, count) in sizes.rows() {
            println!("  up to {up_to:>5} bytes: {count}");
        }
    }
    Ok(())
}
