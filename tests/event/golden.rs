//! The wire form of the registrar's events, frozen: these bytes are in ledgers, and others decode them by schema.

use lease::{LeaseChange, LeaseEvent, helpers};

use crate::support::hex;

const ISSUED: &str =
    "0a2c0a076c656173652d311206776f726b2d311a076163746f722d31208094ebdc032880a8d6b907320401020304";
const ISSUED_WITH_TICKS: &str = "0a360a076c656173652d311206776f726b2d311a076163746f722d31208094ebdc032880a8d6b907320401020304\
     40e80748d00f50c0843d";
const RENEWED: &str = "12130a076c656173652d311080bcc1960b1a020506";
const RENEWED_WITH_TICKS: &str = "121a0a076c656173652d311080bcc1960b1a02050628b81730c0843d";
const RELEASED: &str = "1a140a076c656173652d311209434f4d504c45544544";
const EXPIRED: &str = "220f0a076c656173652d311080a8d6b907";
const CONFLICT: &str =
    "2a2a0a06776f726b2d3112076c656173652d3112076c656173652d321a0e43414e4f4e4943414c5f524f4f54";
/// By hand: key 16 is `8201`, then lease-1, `HOLDER_DIED`, signature 07.
const REVOKED: &str = "8201190a076c656173652d31120b484f4c4445525f444945441a0107";
/// By hand: `ISSUED_WITH_TICKS` with keys 19 (`9801`) and 20 (`a001`) at its end.
const ISSUED_WITH_TOKEN: &str = "0a3d0a076c656173652d311206776f726b2d311a076163746f722d31208094ebdc032880a8d6b907320401020304\
     40e80748d00f50c0843d980109a001c413";

const SECOND: u64 = 1_000_000_000;

fn issued(tick_rate_hz: u64, fencing_token: u64, closed_until_tick: u64) -> LeaseChange {
    LeaseChange::Issued {
        lease_id: "lease-1".into(),
        work_id: "work-1".into(),
        actor_id: "actor-1".into(),
        issued_at: SECOND,
        expires_at: 2 * SECOND,
        registrar_signature: vec![1, 2, 3, 4],
        issued_at_tick: if tick_rate_hz == 0 { 0 } else { 1_000 },
        expires_at_tick: if tick_rate_hz == 0 { 0 } else { 2_000 },
        tick_rate_hz,
        fencing_token,
        closed_until_tick,
    }
}

#[track_caller]
fn is_frozen(change: &LeaseChange, golden: &str) {
    let payload = change.encode();
    assert_eq!(hex(&payload), golden);
    assert_eq!(&LeaseChange::decode(&payload).unwrap(), change);
}

#[test]
fn helpers_write_the_golden_bytes() {
    let signature = || vec![1, 2, 3, 4];
    let plain =
        helpers::lease_issued_payload("lease-1", "work-1", "actor-1", SECOND, 2 * SECOND, signature());
    assert_eq!(hex(&plain), ISSUED);
    let ticks = helpers::lease_issued_payload_with_ticks(
        "lease-1",
        "work-1",
        "actor-1",
        SECOND,
        2 * SECOND,
        signature(),
        1_000,
        2_000,
        1_000_000,
    );
    assert_eq!(hex(&ticks), ISSUED_WITH_TICKS);
    let renewed = helpers::lease_renewed_payload("lease-1", 3 * SECOND, vec![5, 6]);
    assert_eq!(hex(&renewed), RENEWED);
    let renewed =
        helpers::lease_renewed_payload_with_ticks("lease-1", 3 * SECOND, vec![5, 6], 3_000, 1_000_000);
    assert_eq!(hex(&renewed), RENEWED_WITH_TICKS);
    assert_eq!(
        hex(&helpers::lease_released_payload("lease-1", "COMPLETED")),
        RELEASED
    );
    assert_eq!(
        hex(&helpers::lease_expired_payload("lease-1", 2 * SECOND)),
        EXPIRED
    );
    let ids = vec!["lease-1".to_owned(), "lease-2".to_owned()];
    assert_eq!(
        hex(&helpers::lease_conflict_payload("work-1", ids, "CANONICAL_ROOT")),
        CONFLICT
    );
    assert_eq!(
        hex(&helpers::lease_revoked_payload("lease-1", "HOLDER_DIED", vec![7])),
        REVOKED
    );
}

#[test]
fn issued_has_the_golden_bytes() {
    is_frozen(&issued(0, 0, 0), ISSUED);
    is_frozen(&issued(1_000_000, 0, 0), ISSUED_WITH_TICKS);
}

#[test]
fn token_and_closing_come_after_the_ticks() {
    is_frozen(&issued(1_000_000, 9, 2_500), ISSUED_WITH_TOKEN);
}
