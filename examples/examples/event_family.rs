//! A family of events of one's own, with a reducer that turns them into the state of a shop.
//!
//! The wire form is Protocol Buffers, so other programs can read the payloads by schema.

use std::collections::BTreeMap;

use lease::{EventError, EventRecord, LeaseEvent, ReducerContext, TypedReducer, helpers, replay};

#[derive(LeaseEvent, Debug, PartialEq)]
#[event(namespace = "order")]
enum OrderEvent {
    #[event(kind = "placed", tag = 1)]
    Placed(#[event(tag = 1)] String, #[event(tag = 2)] u64),
    #[event(kind = "shipped", tag = 2)]
    Shipped(#[event(tag = 1)] String),
}

/// What the events add up to: the orders that wait and their prices, and what was earned.
#[derive(Default)]
struct Shop {
    waiting: BTreeMap<String, u64>,
    earned: u64,
}

struct Refused(String);

impl From<EventError> for Refused {
    fn from(error: EventError) -> Self {
        Self(error.to_string())
    }
}

impl TypedReducer for Shop {
    type Event = OrderEvent;
    type Error = Refused;
    const NAME: &'static str = "shop";

    fn apply_event(&mut self, event: OrderEvent, _: &EventRecord, _: &ReducerContext) -> Result<(), Refused> {
        match event {
            OrderEvent::Placed(order, cents) => {
                self.waiting.insert(order, cents);
            }
            OrderEvent::Shipped(order) => {
                let cents = self.waiting.remove(&order);
                self.earned += cents.ok_or_else(|| Refused(format!("nobody waits for {order}")))?;
            }
        }
        Ok(())
    }
}

fn main() {
    let events = [
        OrderEvent::Placed("o-1".into(), 250),
        OrderEvent::Placed("o-2".into(), 400),
        OrderEvent::Shipped("o-1".into()),
        OrderEvent::Shipped("o-3".into()),
    ];
    assert_eq!(events[0].event_type(), "order.placed");
    assert_eq!(OrderEvent::decode(&events[0].encode()).as_ref(), Ok(&events[0]));

    // Records of other families may stand in between: they are none of the shop's business.
    let mut records: Vec<_> = events
        .iter()
        .map(|event| EventRecord::of(event, "till-1", "shop"))
        .collect();
    let foreign = helpers::lease_released_payload("lease-1", "COMPLETED");
    records.insert(
        1,
        EventRecord::new("lease.released", "till-1", "actor-1", foreign),
    );

    let shop = replay(Shop::default(), &records);
    assert_eq!((shop.state().earned, shop.state().waiting.len()), (250, 1));
    let refused: Vec<_> = shop.refusals().map(|refusal| refusal.error.0.as_str()).collect();
    assert_eq!(refused, ["nobody waits for o-3"]);
    println!("earned {} cents, refused: {refused:?}", shop.state().earned);
}
