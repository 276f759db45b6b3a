//! Asking: by start, by interior, as a table, as data.

use std::ptr;

use lease::{Contract, LeaseOwner, LeaseTenant, OwnedLease};

use crate::steered::Steered;

#[test]
fn absence_is_none() {
    let owner = LeaseOwner::new();
    let somewhere = 0_u64;
    assert_eq!(owner.tenant(&raw const somewhere), None);
    assert_eq!(owner.object(&raw const somewhere), None);
    assert_eq!(owner.policy(&raw const somewhere), None);
    assert_eq!(owner.find(ptr::null::<u8>()), None);
    assert_eq!(owner.find(ptr::without_provenance::<u8>(usize::MAX)), None);
}

#[test]
fn a_start_is_found_by_tenant_and_any_byte_by_find() {
    let owner = LeaseOwner::new();
    for size in [1, 63, 64, 65, 1000, 5000, 70_000, 2_000_000] {
        let region = owner
            .alloc_owned(std::alloc::Layout::array::<u8>(size).unwrap())
            .unwrap();
        let id = OwnedLease::tenant_id(&region);
        let start = region.as_ptr();
        let found = |offset: isize| {
            owner
                .find(start.wrapping_offset(offset))
                .map(|tenant| tenant.id())
        };
        let last = isize::try_from(size).unwrap() - 1;
        assert_eq!(owner.tenant(start).unwrap().id(), id);
        assert_eq!([found(0), found(last / 2), found(last)], [Some(id); 3], "{size}");
        assert_eq!([found(-1), found(last + 1)], [None; 2], "{size}");
        assert_eq!(owner.tenant(start.wrapping_add(1)), None);
        assert!(owner.object(start).unwrap().contains(start.wrapping_offset(last)));
        assert!(
            !owner
                .object(start)
                .unwrap()
                .contains(start.wrapping_offset(last + 1))
        );
    }
}

#[test]
fn of_several_the_one_that_says_most_answers() {
    let steered = Steered::new();
    let owner = LeaseOwner::with_strategy(&steered);
    let contract = |offset| {
        owner
            .find(steered.at(offset))
            .map(|tenant: LeaseTenant| tenant.contract())
    };
    let size = |offset| owner.object(steered.at(offset)).map(lease::LeaseObject::size);

    steered.steer(1024);
    let region = owner.alloc_owned(std::alloc::Layout::new::<[u8; 64]>()).unwrap();
    let inside = owner.record(steered.piece(1024, 8));
    assert_eq!((contract(1025), size(1024)), (Some(Contract::Owned), Some(64)));
    drop(region);
    assert_eq!((contract(1025), size(1024)), (Some(Contract::Borrowed), Some(8)));

    let wider = owner.record(steered.piece(1024, 100));
    assert_eq!(size(1024), Some(100));
    owner.track_static(steered.piece(1024, 16)).unwrap();
    assert_eq!(
        (contract(1030), contract(1050), size(1024)),
        (Some(Contract::Static), Some(Contract::Borrowed), Some(16))
    );
    drop((inside, wider));
}

#[test]
fn a_report_is_every_tenant_and_the_sums() {
    static FIXED: [u64; 2] = [0; 2];
    let owner = LeaseOwner::new();
    let (first, second) = (owner.own([0_u8; 100]).unwrap(), owner.own([0_u8; 28]).unwrap());
    owner.track_static(&FIXED).unwrap();
    let lent = owner.borrow(&FIXED[..1]);
    let report = owner.report();
    assert_eq!((report.owned.tenants, report.owned.bytes), (2, 128));
    assert_eq!((report.borrowed.tenants, report.borrowed.bytes), (1, 8));
    assert_eq!((report.statics.tenants, report.statics.bytes), (1, 16));
    assert!(report.tenants.is_sorted_by_key(LeaseTenant::id));
    assert!(
        report
            .tenants
            .iter()
            .all(|tenant| tenant.location().file() == file!())
    );
    assert_eq!(owner.tenants().collect::<Vec<_>>(), report.tenants);
    drop((first, second, lent));
}

#[test]
fn debug_prints_a_table_that_a_person_can_read() {
    static FIXED: [u8; 16] = [0; 16];
    let owner = LeaseOwner::new();
    let region = owner.own([0_u8; 2048]).unwrap();
    let lent = (owner.borrow(&region[..512]), owner.borrow(&region[..512]));
    owner.track_static(&FIXED).unwrap();
    let raw = OwnedLease::into_raw(owner.own(1_u16).unwrap());

    let printed = format!("{owner:?}");
    let lines: Vec<_> = printed.lines().collect();
    let number = owner.report().owner;
    assert_eq!(
        lines[0],
        format!("owner {number}: 2 owned (2.0 KiB), 1 borrowed (512 bytes), 1 static (16 bytes)")
    );
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>(),
        [
            "tenant", "contract", "address", "bytes", "align", "held", "by", "since"
        ]
    );
    let row = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let id = OwnedLease::tenant_id(&region);
    let object = OwnedLease::object(&region);
    let first = row(lines[2]);
    assert!(
        first.starts_with(&format!(
            "{id} owned {:#x} 2048 1 a guard {}:",
            object.address(),
            file!()
        )),
        "{first}"
    );
    assert!(first.ends_with("lent out 2 times"), "{first}");
    assert!(
        row(lines[3]).contains(" borrowed ") && row(lines[3]).contains(" 512 1 2 guards "),
        "{}",
        lines[3]
    );
    assert!(
        row(lines[4]).contains(" static ") && row(lines[4]).contains(" 16 1 the program "),
        "{}",
        lines[4]
    );
    assert!(row(lines[5]).contains(" 2 2 its address "), "{}", lines[5]);
    assert_eq!(lines.len(), 6);
    // One column for each, whatever stands in it.
    let since = lines[1].find("since").unwrap();
    assert!(
        lines[2..].iter().all(|line| line[since..].starts_with(file!())),
        "{printed}"
    );
    drop(lent);
    let _ = raw;
}

#[test]
fn a_guard_says_what_it_holds() {
    let owner = LeaseOwner::new();
    let lease = owner.own([0_u8; 9]).unwrap();
    let printed = format!("{lease:?}");
    assert!(
        printed.contains(&format!("{:?}", OwnedLease::tenant_id(&lease))) && printed.contains("+9"),
        "{printed}"
    );
    let lent = owner.borrow(&*lease);
    assert!(format!("{lent:?}").contains("Borrowed"));
}

#[test]
fn a_report_is_data() {
    let owner = LeaseOwner::new();
    let lease = owner.own([0_u8; 9]).unwrap();
    let json = serde_json::to_value(owner.report()).unwrap();
    assert_eq!(json["owned"]["bytes"], 9);
    let tenant = &json["tenants"][0];
    assert_eq!(tenant["id"], OwnedLease::tenant_id(&lease).to_bits());
    assert_eq!(
        (&tenant["policy"], &tenant["object"]["size"]),
        (&"owned".into(), &9.into())
    );
    assert!(tenant["location"].as_str().unwrap().starts_with(file!()));
}
