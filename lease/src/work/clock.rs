//! Where ticks and wall time come from.
//!
//! A tick decides who holds a lease; the wall time beside it is for people who read the history, and decides
//! only what was made without ticks, and how long ended leases are kept.
//! [`SystemClock`] counts on through suspend and is shared by every process of a boot, which is why a lease written by
//! one process can be judged by another. [`ManualClock`] is moved by hand, for tests.

use std::fmt;
use std::task::Waker;
use std::time::{Duration, SystemTime};

use crate::sync::{Arc, Mutex, lock};
use crate::work::tick::{ClockId, Tick};

/// In place of the boot's hash, where the system does not tell it.
const UNKNOWN_BOOT: [u8; 8] = [0; 8];

impl ClockId {
    /// The id of the clock that counts since this boot in this time namespace.
    ///
    /// Its first half depends on the boot alone, so that another boot of this machine can be told from another
    /// namespace of this boot.
    pub fn of(boot: &[u8], namespace: &[u8]) -> Self {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&blake3::hash(boot).as_bytes()[..8]);
        id[8..].copy_from_slice(&blake3::hash(namespace).as_bytes()[..8]);
        Self(id)
    }

    /// Whether the clocks are known to count since different boots of the machine, so that whoever lived by the other
    /// one is gone.
    ///
    /// Not of a clock that does not know its boot.
    pub fn is_other_boot(&self, other: &Self) -> bool {
        let (one, other) = (&self.0[..8], &other.0[..8]);
        one != other && one != UNKNOWN_BOOT && other != UNKNOWN_BOOT
    }
}

/// Gives ticks, which never fall, and wall time, which may do anything.
///
/// The registrar asks while it holds locks of its own, so a clock must answer at once and without calling the registrar
/// or its claims.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Now, on the monotonic clock. Its rate and clock id never change.
    fn tick(&self) -> Tick;

    /// Now, in Unix nanoseconds: for audit, and for how long ended leases are
    /// [kept](crate::RegistrarBuilder::retain_terminal).
    fn wall(&self) -> u64;

    /// Asks to be woken each time the clock jumps ahead instead of running at its rate.
    ///
    /// Threads that sleep until a tick would otherwise sleep through the jump. A clock that only runs ignores this.
    fn wake_on_jump(&self, waker: Waker) {
        drop(waker);
    }
}

/// The machine's boot-time clock, in nanoseconds.
///
/// It counts suspend, as `Instant` does not: a laptop that slept past the end of a lease has lost it. The clock id
/// is made of the boot id and the time namespace; where the system does not tell them, it is random, and other
/// processes then take this one's ticks for those of an unknown clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    id: ClockId,
}

impl SystemClock {
    /// The clock of this boot.
    pub fn new() -> Self {
        Self {
            id: system_clock_id(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn tick(&self) -> Tick {
        #[cfg(target_os = "linux")]
        let clock = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(clock);
        // Both parts are non-negative on a clock that starts at boot.
        let value = now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs();
        Tick::new(value, 1_000_000_000, self.id)
    }

    fn wall(&self) -> u64 {
        SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

fn system_clock_id() -> ClockId {
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").ok();
    // A kernel without time namespaces has one clock for all.
    let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    id_of(boot.as_deref(), namespace.as_os_str().as_encoded_bytes())
}

fn id_of(boot: Option<&[u8]>, namespace: &[u8]) -> ClockId {
    if let Some(boot) = boot {
        return ClockId::of(boot, namespace);
    }
    // Like nobody else's, but not known to be of another boot: a guess would end leases that are held.
    let mut id = [0; 16];
    id[..8].copy_from_slice(&UNKNOWN_BOOT);
    id[8..].copy_from_slice(&crate::work::random::bytes::<8>());
    ClockId(id)
}

/// A clock that stands still until it is moved: for tests that must not sleep.
///
/// Clones share the time. Moving it wakes whoever waits for a tick.
///
/// ```
/// use lease::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let before = clock.tick();
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(before.until(&clock.tick()), Some(Duration::from_secs(5)));
/// ```
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Mutex<Manual>>,
}

struct Manual {
    tick: Tick,
    wall: u64,
    wakers: Vec<Waker>,
}

impl ManualClock {
    /// A clock of its own boot, at tick one second and wall time 2020-01-01.
    pub fn new() -> Self {
        Self::with_id(ClockId::of(&crate::work::random::bytes::<16>(), b"manual"))
    }

    /// The same for a chosen clock id: two of them with ids of different boots play a reboot.
    pub fn with_id(id: ClockId) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Manual {
                tick: Tick::new(1_000_000_000, 1_000_000_000, id),
                wall: 1_577_836_800_000_000_000,
                wakers: Vec::new(),
            })),
        }
    }

    /// Lets `duration` pass on the tick and on the wall.
    pub fn advance(&self, duration: Duration) {
        let wakers = {
            let mut manual = lock(&self.shared);
            manual.tick = manual.tick.saturating_add(duration);
            let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            manual.wall = manual.wall.saturating_add(nanos);
            manual.wakers.clone()
        };
        for waker in wakers {
            waker.wake();
        }
    }

    /// Sets the wall time (Unix nanoseconds), forwards or back; the tick stays where it is.
    pub fn set_wall(&self, wall: u64) {
        lock(&self.shared).wall = wall;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manual = lock(&self.shared);
        f.debug_struct("ManualClock")
            .field("tick", &manual.tick)
            .field("wall", &manual.wall)
            .finish_non_exhaustive()
    }
}

impl Clock for ManualClock {
    fn tick(&self) -> Tick {
        lock(&self.shared).tick
    }

    fn wall(&self) -> u64 {
        lock(&self.shared).wall
    }

    fn wake_on_jump(&self, waker: Waker) {
        lock(&self.shared).wakers.push(waker);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_counts_nanoseconds_and_never_falls() {
        let clock = SystemClock::new();
        let first = clock.tick();
        crate::sync::thread::sleep(Duration::from_millis(5));
        let passed = first.until(&clock.tick()).expect("one clock");
        assert!(passed >= Duration::from_millis(5));
        assert_eq!(first.rate, 1_000_000_000);
    }

    #[test]
    fn two_system_clocks_of_one_boot_can_be_compared() {
        assert!(
            SystemClock::new()
                .tick()
                .is_comparable(&SystemClock::new().tick())
        );
    }

    #[test]
    fn a_clock_id_tells_the_boot_from_the_namespace() {
        let (host, container) = (ClockId::of(b"boot", b"one"), ClockId::of(b"boot", b"two"));
        assert_ne!(host, container);
        assert!(!host.is_other_boot(&container));
        assert!(host.is_other_boot(&ClockId::of(b"later boot", b"one")));
    }

    #[test]
    fn a_clock_of_an_unknown_boot_is_not_taken_for_one_of_another_boot() {
        let (known, unknown) = (id_of(Some(b"boot"), b"one"), id_of(None, b"one"));
        assert_ne!(unknown, id_of(None, b"one"), "two clocks that cannot be compared");
        assert!(!known.is_other_boot(&unknown));
        assert!(!unknown.is_other_boot(&known));
        assert!(known.is_other_boot(&id_of(Some(b"later boot"), b"one")));
        assert!(!known.is_other_boot(&id_of(Some(b"boot"), b"two")));
    }

    #[test]
    fn a_manual_clock_wakes_whoever_waits() {
        struct Count(Mutex<u32>);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                *lock(&self.0) += 1;
            }
        }
        let count = Arc::new(Count(Mutex::new(0)));
        let clock = ManualClock::new();
        clock.wake_on_jump(Waker::from(Arc::clone(&count)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(*lock(&count.0), 1);
    }

    #[test]
    fn the_wall_of_a_manual_clock_steps_back_without_the_tick() {
        let clock = ManualClock::new();
        let tick = clock.tick();
        clock.set_wall(5);
        assert_eq!((clock.wall(), clock.tick()), (5, tick));
    }
}
