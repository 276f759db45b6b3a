//! Events: what happened, as it is written down.

mod record;

pub use self::record::EventRecord;
