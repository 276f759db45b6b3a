//! `#[leased(borrowed)]`.

use std::sync::Arc;

use lease::{Contract, LeaseOwner, TrackBorrowed, Tracking, leased};

fn is_on_record(memory: &[u8]) -> bool {
    LeaseOwner::global().find(memory.as_ptr()).is_some()
}

#[leased(borrowed)]
fn asks_inside(#[lease] frame: &[u8]) -> bool {
    is_on_record(frame)
}

#[test]
fn marked_memory_is_on_record_for_exactly_the_call() {
    let frame = vec![0_u8; 64];
    assert!(!is_on_record(&frame));
    assert!(asks_inside(&frame));
    assert!(!is_on_record(&frame));
}

#[test]
fn only_marked_memory_is_on_record() {
    #[leased(borrowed)]
    fn first_of_two(#[lease] first: &[u8], second: &[u8]) -> (bool, bool) {
        (is_on_record(first), is_on_record(second))
    }
    assert_eq!(first_of_two(&[1; 16], &[2; 16]), (true, false));
}

#[test]
fn a_mutable_buffer_stays_the_callers_to_write_to() {
    #[leased(borrowed)]
    fn fill(#[lease] buffer: &mut [u8], with: u8) -> bool {
        buffer.fill(with);
        is_on_record(buffer)
    }
    let mut buffer = [0; 32];
    assert!(fill(&mut buffer, 7));
    assert_eq!(buffer, [7; 32]);
    assert!(!is_on_record(&buffer));
}

#[test]
fn the_record_ends_with_a_question_mark_and_with_a_panic() {
    #[leased(borrowed)]
    fn fails(#[lease] frame: &[u8], input: Option<u8>) -> Option<u8> {
        assert!(is_on_record(frame));
        let input = input?;
        assert!(input > 0, "on purpose");
        Some(input)
    }
    let frame = vec![0_u8; 64];
    assert_eq!(fails(&frame, None), None);
    assert!(!is_on_record(&frame));
    assert!(std::panic::catch_unwind(|| fails(&frame, Some(0))).is_err());
    assert!(!is_on_record(&frame));
}

#[test]
fn an_owner_of_ones_own_is_asked_for_by_name() {
    struct Link {
        owner: Arc<LeaseOwner>,
    }
    impl Link {
        #[leased(borrowed, owner = self.owner)]
        fn send(&self, #[lease] frame: &[u8], #[lease] header: &str) -> (usize, usize) {
            (self.owner.len(), frame.len() + header.len())
        }
    }
    let link = Link {
        owner: Arc::new(LeaseOwner::new()),
    };
    assert_eq!(link.send(&[0; 8], "header"), (2, 14));
    assert!(link.owner.is_empty());
}

#[test]
fn a_record_knows_the_place_it_was_made() {
    #[leased(borrowed)]
    fn contract(#[lease] frame: &[u8]) -> Option<Contract> {
        LeaseOwner::global()
            .tenant(frame.as_ptr())
            .map(|tenant| tenant.policy().contract())
    }
    assert_eq!(contract(&[0; 8]), Some(Contract::Borrowed));
}

#[test]
fn an_async_function_keeps_the_record_until_its_future_ends() {
    #[leased(borrowed)]
    async fn send(#[lease] frame: &[u8]) -> usize {
        tokio::task::yield_now().await;
        assert!(is_on_record(frame));
        frame.len()
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let frame = vec![0_u8; 64];
    assert_eq!(runtime.block_on(send(&frame)), 64);
    assert!(!is_on_record(&frame));
    {
        let mut future = Box::pin(send(&frame));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert!(is_on_record(&frame));
    }
    assert!(!is_on_record(&frame), "a dropped future ends its record");
}

#[test]
fn a_plain_function_can_hold_for_its_future_or_for_its_call() {
    #[leased(borrowed, hold = future)]
    fn with_future(#[lease] frame: &[u8]) -> impl Future<Output = bool> {
        async move { is_on_record(frame) }
    }
    #[leased(borrowed, hold = call)]
    fn with_call(#[lease] frame: &[u8]) -> (bool, impl Future<Output = bool>) {
        (is_on_record(frame), async move { is_on_record(frame) })
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let frame = vec![0_u8; 64];
    assert!(runtime.block_on(with_future(&frame)));
    let (during, future) = with_call(&frame);
    assert!(during);
    assert!(!runtime.block_on(future));
}

#[test]
fn marked_fields_are_on_record_while_the_value_is_tracked() {
    #[leased(borrowed)]
    #[derive(Debug)]
    struct Frame<'a, T: Copy> {
        #[lease]
        header: &'a [u8],
        #[lease]
        body: &'a mut [T],
        #[cfg(any())]
        #[lease]
        absent: &'a [u8],
        number: u64,
    }

    let owner = LeaseOwner::new();
    let (header, mut body) = ([0_u8; 16], [0_u32; 256]);
    let frame = Frame {
        header: &header,
        body: &mut body,
        number: 7,
    };
    {
        let tracked = frame.track(&owner);
        assert_eq!(Tracking::tenants(&tracked).count(), 2);
        assert_eq!(tracked.number, 7);
        assert!(owner.find(&raw const tracked.body[255]).is_some());
    }
    assert!(owner.is_empty());
    assert!(format!("{frame:?}").contains("header"));
}

#[test]
fn an_enum_tracks_the_variant_it_is() {
    #[derive(Clone, Copy)]
    #[leased(borrowed)]
    enum Part<'a> {
        Text(u32, #[lease] &'a str),
        Bytes {
            #[lease]
            bytes: &'a [u8],
        },
        End,
    }

    let owner = LeaseOwner::new();
    let sizes = [
        Part::Text(1, "four"),
        Part::Bytes { bytes: &[1, 2, 3] },
        Part::End,
    ]
    .map(|part| {
        let tracked = part.track(&owner);
        if let Part::Text(number, _) = *tracked {
            assert_eq!(number, 1);
        }
        Tracking::tenants(&tracked)
            .map(|tenant| tenant.object().size())
            .sum::<usize>()
    });
    assert_eq!(sizes, [4, 3, 0]);
}
