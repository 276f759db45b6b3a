//! Who commits: one event at a time, acknowledged before the next.

use std::path::Path;
use std::time::{Duration, Instant};

use lease::{Durability, LeaseEvent, Registrar};

use super::plain::{Plain, Row, Synchronous};

/// A user's event, as any service would write.
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
}

/// One side of a row, by what it does for each commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A registrar's event, on disk when it is acknowledged.
    Synced,
    /// The same row by SQLite alone, `synchronous=FULL`, behind a lock on a file.
    Full,
    /// A registrar's signed lease, written when it is acknowledged.
    Buffered,
    /// The same rows by SQLite alone, neither signed nor synced.
    Unsigned,
}

impl Kind {
    pub(crate) const ALL: [(Self, &str); 4] = [
        (Self::Synced, "synced"),
        (Self::Full, "full"),
        (Self::Buffered, "buffered"),
        (Self::Unsigned, "unsigned"),
    ];

    pub(crate) fn name(self) -> &'static str {
        let known = Self::ALL.into_iter().find(|(kind, _)| *kind == self);
        known.expect("all kinds have names").1
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|(_, known)| *known == name);
        known.map(|(kind, _)| kind)
    }

    /// The `number`-th participant on this side.
    pub(crate) fn enter(self, folder: &Path, number: u64) -> Contestant {
        let act: Box<dyn FnMut(u64) + Send> = match self {
            Self::Synced => {
                let registrar = Registrar::open(folder).expect("a new ledger");
                Box::new(move |n| {
                    let placed = OrderEvent::Placed {
                        order: order(number, n),
                        cents: n,
                    };
                    registrar.record(&placed).wait().expect("a commit");
                })
            }
            Self::Buffered => {
                let registrar = Registrar::builder()
                    .durability(Durability::Buffered)
                    .open(folder)
                    .expect("a new ledger");
                Box::new(move |n| {
                    let issued = registrar.issue(order(number, n), Duration::from_hours(1));
                    issued.wait().expect("a commit");
                })
            }
            Self::Full => {
                let mut plain = Plain::open(folder, Synchronous::Full);
                Box::new(move |n| plain.insert(&Row::event(&order(number, n))))
            }
            Self::Unsigned => {
                let mut plain = Plain::open(folder, Synchronous::Normal);
                Box::new(move |n| plain.insert(&Row::issue(&order(number, n))))
            }
        };
        Contestant { act, count: 0 }
    }
}

/// Thirty bytes.
fn order(number: u64, n: u64) -> String {
    format!("order-{number:04}-{n:019}")
}

/// One participant: a process or a thread.
pub(crate) struct Contestant {
    act: Box<dyn FnMut(u64) + Send>,
    count: u64,
}

impl std::fmt::Debug for Contestant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contestant")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Contestant {
    /// Commits for so long; says how many microseconds each commit took.
    pub(crate) fn run(&mut self, duration: Duration) -> Vec<u32> {
        let mut latencies = Vec::with_capacity(65_536);
        let start = Instant::now();
        let mut last = start;
        while last - start < duration {
            (self.act)(self.count);
            self.count += 1;
            let now = Instant::now();
            latencies.push(u32::try_from((now - last).as_micros()).unwrap_or(u32::MAX));
            last = now;
        }
        latencies
    }
}
