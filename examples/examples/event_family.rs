//! A family of events of one's own, with a reducer that turns them into the state of a shop, and a checkpoint of it.
//!
//! The wire form is Protocol Buffers, so other programs can read the payloads by schema.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use lease::{
    Checkpoint, CheckpointError, EventError, EventRecord, LeaseEvent, ReducerContext, Registrar, Replayer,
    TypedReducer,
};

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

/// One line an order, in the order of their names, under what was earned: equal shops say the same.
impl Checkpoint for Shop {
    const VERSION: u32 = 1;

    fn encode(&self, body: &mut Vec<u8>) {
        body.extend(format!("{}", self.earned).bytes());
        for (order, cents) in &self.waiting {
            body.extend(format!("\n{cents} {order}").bytes());
        }
    }

    fn decode(&mut self, _version: u32, body: &[u8]) -> Result<(), CheckpointError> {
        let unreadable = || CheckpointError::body("a line is no order");
        let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
        let (earned, orders) = text.split_once('\n').unwrap_or((text, ""));
        self.earned = earned.parse().map_err(|_| unreadable())?;
        self.waiting = BTreeMap::new();
        for line in orders.lines() {
            let (cents, order) = line.split_once(' ').ok_or_else(unreadable)?;
            let cents = cents.parse().map_err(|_| unreadable())?;
            self.waiting.insert(order.to_owned(), cents);
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let placed = OrderEvent::Placed("o-1".into(), 250);
    assert_eq!(placed.event_type(), "order.placed");
    assert_eq!(OrderEvent::decode(&placed.encode()).as_ref(), Ok(&placed));

    // One ledger for everything: leases stand in between, and are none of the shop's business.
    let registrar = Registrar::in_memory()?;
    registrar.record(&placed).wait()?;
    registrar.issue("till-1", Duration::from_mins(1)).wait()?;
    registrar.record(&OrderEvent::Placed("o-2".into(), 400)).wait()?;

    let shop = Replayer::resume(registrar.ledger(), Shop::default())?;
    assert_eq!(shop.state().waiting.len(), 2);
    shop.save(registrar.ledger())?;

    // Whoever comes later begins there; what breaks the shop's rules is passed over, and told.
    registrar.record(&OrderEvent::Shipped("o-1".into())).wait()?;
    registrar.record(&OrderEvent::Shipped("o-3".into())).wait()?;
    let shop = Replayer::resume(registrar.ledger(), Shop::default())?;
    assert_eq!((shop.applied(), shop.refused()), (1, 1));
    assert_eq!((shop.state().earned, shop.state().waiting.len()), (250, 1));
    let refused: Vec<_> = shop.refusals().map(|refusal| refusal.error.0.as_str()).collect();
    assert_eq!(refused, ["nobody waits for o-3"]);
    println!("earned {} cents, refused: {refused:?}", shop.state().earned);
    Ok(())
}
