//! A reducer over a family of one's own is handed the enum.

use lease::{EventError, EventRecord, LeaseEvent, Reducer, ReducerContext, TypedReducer, helpers, replay};

#[derive(Debug, LeaseEvent)]
#[event(namespace = "order")]
enum OrderEvent {
    #[event(kind = "placed", tag = 1)]
    Placed {
        #[event(tag = 1)]
        order: String,
        #[event(tag = 2)]
        cents: u64,
    },
    #[event(kind = "shipped", tag = 2)]
    Shipped {
        #[event(tag = 1)]
        order: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Orders {
    open: Vec<(String, u64)>,
    last_sender: String,
    last_sequence: u64,
}

#[derive(Debug, PartialEq)]
enum OrderError {
    Unknown(String),
    Event(EventError),
}

impl From<EventError> for OrderError {
    fn from(error: EventError) -> Self {
        Self::Event(error)
    }
}

impl TypedReducer for Orders {
    type Event = OrderEvent;
    type Error = OrderError;
    const NAME: &'static str = "orders";

    fn apply_event(
        &mut self,
        event: OrderEvent,
        record: &EventRecord,
        context: &ReducerContext,
    ) -> Result<(), OrderError> {
        match event {
            OrderEvent::Placed { order, cents } => self.open.push((order, cents)),
            OrderEvent::Shipped { order } => {
                let place = self.open.iter().position(|(open, _)| *open == order);
                self.open.remove(place.ok_or(OrderError::Unknown(order))?);
            }
        }
        self.last_sender.clone_from(&record.actor_id);
        self.last_sequence = context.sequence;
        Ok(())
    }
}

fn placed(order: &str) -> EventRecord {
    let event = OrderEvent::Placed {
        order: order.into(),
        cents: 250,
    };
    EventRecord::of(&event, "s", "shop")
}

#[test]
fn events_of_the_family_are_handed_over_with_their_record() {
    let mut orders = Orders::default();
    orders.apply(&placed("o-1"), &ReducerContext::new(7)).unwrap();
    assert_eq!(orders.name(), "orders");
    assert_eq!(orders.state().open, [("o-1".to_owned(), 250)]);
    assert_eq!((orders.last_sender.as_str(), orders.last_sequence), ("shop", 7));
    orders.reset();
    assert_eq!(orders, Orders::default());
}

#[test]
fn other_families_are_skipped() {
    let payload = helpers::lease_released_payload("lease-1", "COMPLETED");
    for event_type in ["lease.released", "orders.placed", "order", "Order.placed"] {
        let mut orders = Orders::default();
        let foreign = EventRecord::new(event_type, "s", "shop", payload.clone());
        orders.apply(&foreign, &ReducerContext::new(1)).unwrap();
        assert_eq!(orders, Orders::default());
    }
}

#[test]
fn a_bad_payload_of_the_family_is_refused_and_changes_nothing() {
    let mut wrong_type = placed("o-1");
    wrong_type.event_type = "order.shipped".into();
    let mut malformed = placed("o-1");
    malformed.payload.pop();
    let mut orders = Orders::default();
    for record in [wrong_type, malformed] {
        let error = orders.apply(&record, &ReducerContext::new(1)).unwrap_err();
        assert!(matches!(error, OrderError::Event(_)), "{error:?}");
        assert_eq!(orders, Orders::default());
    }
}

#[test]
fn its_own_refusals_come_through_replay() {
    let shipped = EventRecord::of(&OrderEvent::Shipped { order: "o-2".into() }, "s", "shop");
    let replayed = replay(Orders::default(), [placed("o-1"), shipped]);
    let refusal = replayed.refusals().next().unwrap();
    assert_eq!(refusal.error, OrderError::Unknown("o-2".into()));
    assert_eq!(replayed.state().open.len(), 1);
}
