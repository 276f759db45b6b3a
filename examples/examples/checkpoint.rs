//! A reducer of one's own that does not read the whole history at every start: it goes on from its last checkpoint.

use std::error::Error;
use std::time::Duration;

use lease::{
    Checkpoint, CheckpointError, EventError, EventRecord, LeaseEvent, ReducerContext, Registrar, Replayer,
    TypedReducer,
};

#[derive(LeaseEvent)]
#[event(namespace = "till")]
enum TillEvent {
    #[event(kind = "paid", tag = 1)]
    Paid(#[event(tag = 1)] u64),
}

/// What is in the till.
#[derive(Default)]
struct Till {
    cents: u64,
}

impl TypedReducer for Till {
    type Event = TillEvent;
    type Error = EventError;
    const NAME: &'static str = "till";

    fn apply_event(
        &mut self,
        TillEvent::Paid(cents): TillEvent,
        _: &EventRecord,
        _: &ReducerContext,
    ) -> Result<(), EventError> {
        self.cents += cents;
        Ok(())
    }
}

impl Checkpoint for Till {
    const VERSION: u32 = 1;

    fn encode(&self, body: &mut Vec<u8>) {
        body.extend(self.cents.to_le_bytes());
    }

    fn decode(&mut self, _version: u32, body: &[u8]) -> Result<(), CheckpointError> {
        let cents = body
            .try_into()
            .map_err(|_| CheckpointError::body("it is not 8 bytes long"))?;
        self.cents = u64::from_le_bytes(cents);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // One ledger for everything: leases stand in between, and are none of the till's business.
    let registrar = Registrar::in_memory()?;
    for cents in [250, 100, 75] {
        registrar.record(&TillEvent::Paid(cents)).wait()?;
        registrar
            .issue(format!("till/{cents}"), Duration::from_mins(1))
            .wait()?;
    }
    let till = Replayer::resume(registrar.ledger(), Till::default())?;
    till.save(registrar.ledger())?;

    // Whoever comes later reads on from there. What is damaged, or of another history, would be passed over.
    registrar.record(&TillEvent::Paid(75)).wait()?;
    let till = Replayer::resume(registrar.ledger(), Till::default())?;
    assert!(till.refused_checkpoints().is_empty());
    assert_eq!(till.applied(), 1, "the checkpoint has the rest");
    assert_eq!(till.state().cents, 500);
    println!("{} cents in the till, after one record read", till.state().cents);
    Ok(())
}
