//! `#[leased(static)]`.

use std::cell::Cell;

use lease::{Contract, LeaseOwner, leased};

#[test]
fn returned_memory_is_on_record_once_per_address() {
    static OWNER: std::sync::LazyLock<LeaseOwner> = std::sync::LazyLock::new(LeaseOwner::new);
    static TABLE: [u32; 16] = [7; 16];

    #[leased(static, owner = OWNER)]
    fn table(calls: &Cell<u32>) -> &'static [u32] {
        calls.set(calls.get() + 1);
        if calls.get() == 2 {
            return &TABLE;
        }
        &TABLE[..]
    }

    let calls = Cell::new(0);
    for _ in 0..3 {
        assert_eq!(table(&calls)[0], 7);
    }
    assert_eq!((calls.get(), OWNER.len()), (3, 1));
    let tenant = OWNER.tenant(&raw const TABLE).unwrap();
    assert_eq!(
        (tenant.policy().contract(), tenant.object().size()),
        (Contract::Static, 64)
    );
}

#[test]
fn coercions_that_the_signature_allows_still_happen_in_the_body() {
    #[leased(static)]
    fn shown(early: bool) -> &'static dyn std::fmt::Display {
        if early {
            return &1_u8;
        }
        &"late"
    }
    assert_eq!(format!("{}{}", shown(true), shown(false)), "1late");
}

#[test]
fn an_async_function_is_as_good() {
    #[leased(static)]
    async fn name(early: bool) -> &'static str {
        if early {
            return "early";
        }
        std::future::ready(()).await;
        "late"
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(name(true)), "early");
    assert_eq!(runtime.block_on(name(false)), "late");
    assert!(LeaseOwner::global().tenant("late").is_some());
}
