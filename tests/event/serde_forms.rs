//! The data forms, feature `serde`: frozen, because others store them.

use lease::ledger::Head;
use lease::{
    ClockId, EventRecord, Lease, LeaseReducer, LeaseState, LeaseSummary, PublicKey, Reducer, ReducerContext,
    Registrar, ReleaseReason, SignedHead, Signer, Tick, helpers,
};
use serde_json::json;

fn lease() -> Lease {
    let payload =
        helpers::lease_issued_payload_with_ticks("lease-1", "work-1", "actor-1", 1, 2, vec![9], 3, 4, 5);
    let record = EventRecord::new("lease.issued", "s", "registrar", payload);
    let record = record.at(0, Some(Tick::new(3, 5, ClockId([7; 16]))));
    let mut reducer = LeaseReducer::new();
    reducer.apply(&record, &ReducerContext::new(1)).unwrap();
    reducer.state().get("lease-1").unwrap().clone()
}

#[test]
fn states_and_reasons_are_their_canonical_names() {
    for state in [
        LeaseState::Active,
        LeaseState::Released,
        LeaseState::Expired,
        LeaseState::Revoked,
    ] {
        assert_eq!(serde_json::to_value(state).unwrap(), json!(state.as_str()));
    }
    for reason in [
        ReleaseReason::Completed,
        ReleaseReason::Aborted,
        ReleaseReason::Voluntary,
    ] {
        assert_eq!(serde_json::to_value(reason).unwrap(), json!(reason.as_str()));
    }
}

#[test]
fn a_lease_goes_out_and_comes_back() {
    let value = serde_json::to_value(lease()).unwrap();
    assert_eq!(value["state"], "ACTIVE");
    assert_eq!(
        value["expires_at_tick"],
        json!({ "value": 4, "rate": 5, "clock": vec![7; 16] })
    );
    assert_eq!(serde_json::from_value::<Lease>(value).unwrap(), lease());
}

#[test]
fn a_summary_says_no_signature() {
    let summary = lease().summary();
    let value = serde_json::to_value(&summary).unwrap();
    assert_eq!(
        value,
        json!({
            "lease_id": "lease-1", "work_id": "work-1", "actor_id": "actor-1", "state": "ACTIVE",
            "issued_at": 1, "expires_at": 2, "renewal_count": 0, "fencing_token": 1,
        })
    );
    assert_eq!(serde_json::from_value::<LeaseSummary>(value).unwrap(), summary);
}

#[test]
fn a_head_is_its_sequence_and_its_hash() {
    let head = Head {
        sequence: 7,
        hash: [3; 32],
    };
    let value = serde_json::to_value(head).unwrap();
    assert_eq!(value, json!({ "sequence": 7, "hash": vec![3; 32] }));
    assert_eq!(serde_json::from_value::<Head>(value).unwrap(), head);
}

#[test]
fn a_public_key_is_its_text() {
    let key = Signer::from_bytes(&[7; 32]).public_key();
    let value = serde_json::to_value(key).unwrap();
    assert_eq!(value, json!(key.to_string()));
    assert_eq!(serde_json::from_value::<PublicKey>(value).unwrap(), key);
    let refused = serde_json::from_value::<PublicKey>(json!("07")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`public_key` is not valid: it is not 64 hexadecimal digits"
    );
}

#[test]
fn a_signed_head_is_its_text_and_verified_when_it_is_read() {
    let head = Registrar::in_memory().unwrap().signed_head().unwrap();
    let value = serde_json::to_value(&head).unwrap();
    assert_eq!(value, json!(head.to_string()));
    assert_eq!(serde_json::from_value::<SignedHead>(value).unwrap(), head);
    // The last digit belongs to the signature.
    let mut forged = head.to_string();
    let last = if forged.pop() == Some('0') { '1' } else { '0' };
    forged.push(last);
    let refused = serde_json::from_value::<SignedHead>(json!(forged)).unwrap_err();
    assert!(refused.to_string().contains("was not signed by"), "{refused}");
}
