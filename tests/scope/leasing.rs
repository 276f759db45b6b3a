//! Leases of the other rooms, held by a scope.

use lease::__private::{Storage, handle};
use lease::{Contract, LeaseOwner};

#[test]
fn borrowed_memory_is_on_record_until_the_scope_ends() {
    let owner = LeaseOwner::global();
    let frame = &[7_u8; 48][..];
    {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        let line = line!() + 1;
        let lent = scope.borrow(frame);
        let tenant = lent.tenant().unwrap();
        assert_eq!(tenant.policy().contract(), Contract::Borrowed);
        assert_eq!(owner.tenant(frame), Some(tenant));
        assert_eq!(
            (tenant.location().file(), tenant.location().line()),
            (file!(), line)
        );
    }
    assert_eq!(owner.tenant(frame), None);
}
