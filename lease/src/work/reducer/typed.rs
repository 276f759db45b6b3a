//! Reducers of one event family, handed the enum.

use super::{Reducer, ReducerContext};
use crate::work::event::{EventError, EventRecord, LeaseEvent};

/// A [`Reducer`] over one event family: records are decoded, those of other families skipped, and the enum handed over.
/// The type is its own state, and every `TypedReducer` is a `Reducer`.
///
/// ```
/// use lease::{EventError, EventRecord, LeaseEvent, Reducer, ReducerContext, TypedReducer};
///
/// #[derive(LeaseEvent)]
/// #[event(namespace = "till")]
/// enum TillEvent {
///     #[event(kind = "paid", tag = 1)]
///     Paid(#[event(tag = 1)] u64),
/// }
///
/// #[derive(Default)]
/// struct Till { cents: u64 }
///
/// impl TypedReducer for Till {
///     type Event = TillEvent;
///     type Error = EventError;
///     const NAME: &'static str = "till";
///
///     fn apply_event(&mut self, event: TillEvent, _: &EventRecord, _: &ReducerContext) -> Result<(), EventError> {
///         let TillEvent::Paid(cents) = event;
///         self.cents += cents;
///         Ok(())
///     }
/// }
///
/// let mut till = Till::default();
/// till.apply(&EventRecord::of(&TillEvent::Paid(250), "s", "shop"), &ReducerContext::new(1))?;
/// till.apply(&EventRecord::new("door.opened", "s", "shop", []), &ReducerContext::new(2))?;
/// assert_eq!(till.state().cents, 250);
/// # Ok::<(), EventError>(())
/// ```
pub trait TypedReducer: Default {
    /// The family.
    type Event: LeaseEvent;
    /// Why a record is refused.
    type Error: From<EventError>;

    /// See [`Reducer::name`].
    const NAME: &'static str;

    /// Takes one event of the family; `record` is its envelope.
    ///
    /// # Errors
    ///
    /// When the event breaks a rule; `self` must then be as if it had not been.
    fn apply_event(
        &mut self,
        event: Self::Event,
        record: &EventRecord,
        context: &ReducerContext,
    ) -> Result<(), Self::Error>;
}

impl<R: TypedReducer> Reducer for R {
    type State = R;
    type Error = R::Error;

    fn name(&self) -> &'static str {
        R::NAME
    }

    fn apply(&mut self, record: &EventRecord, context: &ReducerContext) -> Result<(), R::Error> {
        match R::Event::from_record(record)? {
            Some(event) => self.apply_event(event, record, context),
            None => Ok(()),
        }
    }

    fn state(&self) -> &R {
        self
    }

    fn state_mut(&mut self) -> &mut R {
        self
    }

    fn reset(&mut self) {
        *self = R::default();
    }
}
