//! A checkpoint is a shortcut: taken if it is right, passed over with its reason if it is not, and never a wrong state.

use lease::ledger::{Ledger, LedgerError, MemoryLedger, NewRecord};
use lease::{
    Checkpoint, CheckpointError, EventError, EventRecord, LeaseEvent, LeaseReducer, Reducer, ReducerContext,
    Replayer, TypedReducer,
};
use lease_tests::faulty::FaultyLedger;

use crate::support::{Issue, record, released};

#[derive(LeaseEvent)]
#[event(namespace = "till")]
enum TillEvent {
    #[event(kind = "paid", tag = 1)]
    Paid(#[event(tag = 1)] u64),
}

/// Adds up payments, and refuses the thirteenth cent. `V` is the version of its checkpoints.
#[derive(Clone, Debug, Default, PartialEq)]
struct Till<const V: u32> {
    cents: u64,
    payments: u64,
}

#[derive(Debug, PartialEq)]
enum Refused {
    Event(EventError),
    Unlucky,
}

impl From<EventError> for Refused {
    fn from(error: EventError) -> Self {
        Self::Event(error)
    }
}

impl<const V: u32> TypedReducer for Till<V> {
    type Event = TillEvent;
    type Error = Refused;
    const NAME: &'static str = "till";

    fn apply_event(
        &mut self,
        TillEvent::Paid(cents): TillEvent,
        _: &EventRecord,
        _: &ReducerContext,
    ) -> Result<(), Refused> {
        if cents == 13 {
            return Err(Refused::Unlucky);
        }
        self.cents += cents;
        self.payments += 1;
        Ok(())
    }
}

impl<const V: u32> Checkpoint for Till<V> {
    const VERSION: u32 = V;

    fn encode(&self, body: &mut Vec<u8>) {
        body.extend(self.cents.to_le_bytes());
        if V >= 2 {
            body.extend(self.payments.to_le_bytes());
        }
    }

    fn decode(&mut self, version: u32, body: &[u8]) -> Result<(), CheckpointError> {
        // Spoilt before it is judged: what a refused body left here must not be seen.
        self.cents = 777;
        let (cents, rest) = body
            .split_first_chunk()
            .ok_or_else(|| CheckpointError::body("no cents"))?;
        if version >= 2 {
            let payments = rest
                .try_into()
                .map_err(|_| CheckpointError::body("no payments"))?;
            self.payments = u64::from_le_bytes(payments);
        }
        self.cents = u64::from_le_bytes(*cents);
        Ok(())
    }
}

fn pay(ledger: &dyn Ledger, cents: u64) {
    let record = EventRecord::of(&TillEvent::Paid(cents), "s", "shop");
    ledger
        .append(&ledger.head().unwrap(), &[NewRecord::from(record)])
        .unwrap();
}

fn resume(ledger: &dyn Ledger) -> Replayer<Till<2>> {
    Replayer::resume(ledger, Till::default()).unwrap()
}

/// Payments of 1, 2, 3, … cents, with a checkpoint behind each of these.
fn with_checkpoints(ledger: &dyn Ledger, behind: &[u64]) {
    for cents in 1..=behind.last().copied().unwrap_or(0) {
        pay(ledger, cents);
        if behind.contains(&cents) {
            resume(ledger).save(ledger).unwrap();
        }
    }
}

/// Resumes, and shows where it began and what it passed over; the state must be that of a replay of everything.
#[track_caller]
fn resumed(ledger: &dyn Ledger) -> (u64, Vec<(u64, CheckpointError)>) {
    let resumed = resume(ledger);
    let mut genesis = Replayer::new(Till::default());
    genesis.catch_up(ledger).unwrap();
    assert_eq!(resumed.state(), genesis.state());
    assert_eq!(resumed.sequence(), genesis.sequence());
    let refused = resumed
        .refused_checkpoints()
        .iter()
        .map(|refused| (refused.sequence, refused.error.clone()))
        .collect();
    (
        ledger.head().unwrap().sequence - resumed.applied() - resumed.refused(),
        refused,
    )
}

#[test]
fn a_checkpoint_is_kept_only_once_its_records_are_on_disk() {
    let ledger = FaultyLedger::default();
    pay(&ledger, 1);
    ledger.fail_syncs(true);
    assert!(resume(&ledger).save(&ledger).is_err());
    assert_eq!(ledger.checkpoints("till").unwrap(), []);
    ledger.fail_syncs(false);
    resume(&ledger).save(&ledger).unwrap();
    assert_eq!(ledger.checkpoints("till").unwrap(), [ledger.durable()]);
}

#[test]
fn a_replay_goes_on_behind_the_newest_checkpoint() {
    let ledger = MemoryLedger::new();
    assert_eq!(resumed(&ledger), (0, vec![]));
    with_checkpoints(&ledger, &[3, 5, 8]);
    assert_eq!(resumed(&ledger), (8, vec![]));
    pay(&ledger, 100);
    assert_eq!(resumed(&ledger), (8, vec![]));
}

#[test]
fn an_empty_ledger_has_nothing_to_keep() {
    let ledger = MemoryLedger::new();
    resume(&ledger).save(&ledger).unwrap();
    assert_eq!(ledger.checkpoints("till").unwrap(), []);
}

#[test]
fn the_state_that_a_reducer_comes_with_is_forgotten() {
    let ledger = MemoryLedger::new();
    let used = || Till::<2> {
        cents: 5,
        payments: 5,
    };
    assert_eq!(
        Replayer::resume(&ledger, used()).unwrap().state(),
        &Till::default()
    );
    with_checkpoints(&ledger, &[2]);
    assert_eq!(Replayer::resume(&ledger, used()).unwrap().state().cents, 3);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_older_one_and_that_for_the_first_record() {
    let ledger = MemoryLedger::new();
    with_checkpoints(&ledger, &[3, 5, 6]);
    let mut bytes = ledger.load_checkpoint("till", 6).unwrap().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    ledger.save_checkpoint("till", 6, &bytes).unwrap();
    let (start, refused) = resumed(&ledger);
    assert_eq!(start, 5);
    assert!(
        matches!(refused[..], [(6, CheckpointError::Damaged { .. })]),
        "{refused:?}"
    );

    ledger
        .save_checkpoint("till", 5, &bytes[..bytes.len() - 1])
        .unwrap();
    let (start, refused) = resumed(&ledger);
    assert_eq!(start, 0);
    assert!(
        matches!(
            refused[..],
            [
                (6, CheckpointError::Damaged { .. }),
                (5, CheckpointError::Damaged { .. })
            ]
        ),
        "{refused:?}"
    );
}

#[test]
fn every_bit_of_a_checkpoint_counts() {
    let ledger = MemoryLedger::new();
    with_checkpoints(&ledger, &[2, 4]);
    let whole = ledger.load_checkpoint("till", 4).unwrap().unwrap();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        ledger.save_checkpoint("till", 4, &flipped).unwrap();
        assert_eq!(resumed(&ledger).0, 2, "bit {bit}");
    }
    for len in 0..whole.len() {
        ledger.save_checkpoint("till", 4, &whole[..len]).unwrap();
        assert_eq!(resumed(&ledger).0, 2, "cut to {len}");
    }
}

#[test]
fn a_checkpoint_of_another_reducer_is_foreign() {
    let ledger = MemoryLedger::new();
    with_checkpoints(&ledger, &[2]);
    Replayer::resume(&ledger, LeaseReducer::new())
        .unwrap()
        .save(&ledger)
        .unwrap();
    let foreign = ledger.load_checkpoint("lease-registrar", 2).unwrap().unwrap();
    pay(&ledger, 3);
    ledger.save_checkpoint("till", 3, &foreign).unwrap();
    let error = CheckpointError::Foreign {
        found: "lease-registrar".into(),
        expected: "till",
    };
    assert_eq!(resumed(&ledger), (2, vec![(3, error)]));
}

#[test]
fn a_checkpoint_of_a_newer_version_is_refused_and_one_of_an_older_is_read() {
    let ledger = MemoryLedger::new();
    with_checkpoints(&ledger, &[2]);
    let older: Replayer<Till<1>> = Replayer::resume(&ledger, Till::default()).unwrap();
    assert_eq!(
        (older.state().cents, older.applied()),
        (3, 2),
        "from the first record"
    );
    let newer = CheckpointError::NewerVersion {
        found: 2,
        supported: 1,
    };
    assert_eq!(older.refused_checkpoints()[0].error, newer);

    pay(&ledger, 3);
    let mut older = older;
    older.catch_up(&ledger).unwrap();
    older.save(&ledger).unwrap();
    let newer = resume(&ledger);
    assert_eq!(
        (newer.state().cents, newer.applied()),
        (6, 0),
        "an old body says no payments"
    );
}

#[test]
fn a_checkpoint_ahead_of_the_ledger_is_refused() {
    let (long, short) = (MemoryLedger::new(), MemoryLedger::new());
    with_checkpoints(&long, &[5]);
    with_checkpoints(&short, &[3]);
    let ahead = long.load_checkpoint("till", 5).unwrap().unwrap();
    short.save_checkpoint("till", 5, &ahead).unwrap();
    let error = CheckpointError::AheadOfLedger { sequence: 5, head: 3 };
    assert_eq!(resumed(&short), (3, vec![(5, error)]));
}

#[test]
fn a_checkpoint_of_another_history_is_refused() {
    let (one, other) = (MemoryLedger::new(), MemoryLedger::new());
    pay(&other, 50);
    with_checkpoints(&one, &[2, 4]);
    with_checkpoints(&other, &[3]);
    let foreign = one.load_checkpoint("till", 4).unwrap().unwrap();
    other.save_checkpoint("till", 4, &foreign).unwrap();
    let (start, refused) = resumed(&other);
    assert_eq!(refused, [(4, CheckpointError::WrongChain { sequence: 4 })]);
    assert_eq!(start, 0, "the one that this replaced is gone");
}

#[test]
fn a_checkpoint_of_another_history_is_refused_also_where_this_one_went_on() {
    let (one, other) = (MemoryLedger::new(), MemoryLedger::new());
    with_checkpoints(&one, &[2]);
    for cents in [50, 60, 70] {
        pay(&other, cents);
    }
    let foreign = one.load_checkpoint("till", 2).unwrap().unwrap();
    other.save_checkpoint("till", 2, &foreign).unwrap();
    assert_eq!(
        resumed(&other),
        (0, vec![(2, CheckpointError::WrongChain { sequence: 2 })])
    );
}

#[test]
fn a_checkpoint_that_went_for_newer_ones_is_no_fault() {
    let ledger = FaultyLedger::default();
    with_checkpoints(&ledger, &[2, 4]);
    ledger.lose_checkpoint(4);
    assert_eq!(resumed(&ledger), (2, vec![]));
}

#[test]
fn a_body_that_says_no_state_leaves_none_behind() {
    /// Writes half a body, and says it is whole.
    #[derive(Default)]
    struct Liar(Till<2>);
    impl Reducer for Liar {
        type State = Till<2>;
        type Error = Refused;
        fn name(&self) -> &'static str {
            "till"
        }
        fn apply(&mut self, event: &EventRecord, context: &ReducerContext) -> Result<(), Refused> {
            self.0.apply(event, context)
        }
        fn state(&self) -> &Till<2> {
            &self.0
        }
        fn state_mut(&mut self) -> &mut Till<2> {
            &mut self.0
        }
        fn reset(&mut self) {
            self.0.reset();
        }
    }
    impl Checkpoint for Liar {
        const VERSION: u32 = 2;
        fn encode(&self, body: &mut Vec<u8>) {
            body.extend([1, 2, 3]);
        }
        fn decode(&mut self, _: u32, _: &[u8]) -> Result<(), CheckpointError> {
            Err(CheckpointError::body("never"))
        }
    }
    let ledger = MemoryLedger::new();
    with_checkpoints(&ledger, &[2]);
    pay(&ledger, 3);
    Replayer::resume(&ledger, Liar::default())
        .unwrap()
        .save(&ledger)
        .unwrap();
    let error = CheckpointError::body("no cents");
    assert_eq!(resumed(&ledger), (2, vec![(3, error.clone())]));

    // Without an older one, too, nothing is left of what the body began to say.
    let ledger = MemoryLedger::new();
    pay(&ledger, 5);
    Replayer::resume(&ledger, Liar::default())
        .unwrap()
        .save(&ledger)
        .unwrap();
    assert_eq!(resumed(&ledger), (0, vec![(1, error)]));
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_passed_over() {
    let ledger = FaultyLedger::default();
    with_checkpoints(&ledger, &[2, 4]);
    ledger.fail_checkpoint(4);
    let (start, refused) = resumed(&ledger);
    assert_eq!(start, 2);
    assert!(
        matches!(refused[..], [(4, CheckpointError::Unreadable { .. })]),
        "{refused:?}"
    );
    ledger.fail_listing_checkpoints(true);
    let (start, refused) = resumed(&ledger);
    assert_eq!(start, 0);
    assert!(
        matches!(refused[..], [(0, CheckpointError::Unreadable { .. })]),
        "{refused:?}"
    );
}

#[test]
fn what_is_refused_behind_a_checkpoint_is_noted() {
    let ledger = MemoryLedger::new();
    with_checkpoints(&ledger, &[2]);
    for cents in [13, 4, 13] {
        pay(&ledger, cents);
    }
    let replayer = resume(&ledger);
    let refused: Vec<_> = replayer.refusals().map(|refusal| refusal.sequence).collect();
    assert_eq!((refused, replayer.state().cents), (vec![3, 5], 7));
    assert_eq!(replayer.refusals().next().unwrap().error, Refused::Unlucky);
}

#[test]
fn a_replay_follows_one_ledger_only() {
    let (one, other) = (MemoryLedger::new(), MemoryLedger::new());
    pay(&one, 1);
    with_checkpoints(&other, &[2]);
    let mut replayer = resume(&one);
    assert_eq!(replayer.catch_up(&one).unwrap(), 0);
    pay(&one, 1);
    assert_eq!(replayer.catch_up(&one).unwrap(), 1);
    pay(&other, 3);
    let strayed = replayer.catch_up(&other).unwrap_err();
    assert!(
        matches!(strayed, LedgerError::BadRecord { sequence: 3, .. }),
        "{strayed:?}"
    );
    assert_eq!(replayer.state().cents, 2);
}

#[test]
fn users_families_and_leases_have_their_checkpoints_side_by_side() {
    let ledger = MemoryLedger::new();
    let append = |record: EventRecord| {
        let head = ledger.head().unwrap();
        ledger.append(&head, &[NewRecord::from(record)]).unwrap();
    };
    pay(&ledger, 5);
    append(record(
        "registrar",
        &Issue::by_wall().of("lease-1", "work-1", "actor-1"),
    ));
    let mut leases = Replayer::resume(&ledger, LeaseReducer::new()).unwrap();
    leases.save(&ledger).unwrap();
    resume(&ledger).save(&ledger).unwrap();
    append(record("actor-1", &released("lease-1", "COMPLETED")));
    pay(&ledger, 6);

    leases.catch_up(&ledger).unwrap();
    let again = Replayer::resume(&ledger, LeaseReducer::new()).unwrap();
    assert_eq!((again.state(), again.applied()), (leases.state(), 2));
    assert_eq!(again.state().released_count(), 1);
    assert_eq!(
        (resume(&ledger).state().cents, resume(&ledger).applied()),
        (11, 2)
    );
}
