//! What happens to workers under `--chaos`: death without a word, and frozen time.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::failure::Failure;

/// Picks victims: every other strike kills a worker that holds a claim, the others freeze one for twice a claim's time
/// to live. The first two come early, so that no run is over before them.
pub(crate) struct Chaos {
    ttl: Duration,
    next: Instant,
    frozen: Option<(Pid, Instant)>,
    random: u64,
    pub(crate) kills: u64,
    pub(crate) freezes: u64,
}

/// What the supervisor has to know about a strike.
pub(crate) enum Strike {
    /// This process was killed and wants replacing.
    Killed(Pid),
    /// Nothing that the supervisor has to act on.
    Quiet,
}

impl Chaos {
    pub(crate) fn new(ttl: Duration) -> Self {
        let seed = u64::from(std::process::id()) | 1 << 32;
        Self {
            ttl,
            next: Instant::now(),
            frozen: None,
            random: seed,
            kills: 0,
            freezes: 0,
        }
    }

    /// Strikes one of the workers that hold a claim if it is time to, and thaws the one that has been frozen for long
    /// enough.
    pub(crate) fn strike(
        &mut self,
        holders: impl Fn() -> Result<Vec<Pid>, Failure>,
    ) -> Result<Strike, Failure> {
        let now = Instant::now();
        if let Some((pid, until)) = self.frozen
            && now >= until
        {
            self.thaw(pid);
        }
        if now < self.next {
            return Ok(Strike::Quiet);
        }
        let mut victims = holders()?;
        victims.retain(|victim| self.frozen.is_none_or(|(frozen, _)| frozen != *victim));
        if victims.is_empty() {
            // All of them are between two claims; look again.
            return Ok(Strike::Quiet);
        }
        let victim = victims[usize::try_from(self.draw(victims.len() as u64)).unwrap_or(0)];
        self.next = if self.kills + self.freezes < 2 {
            now + self.ttl / 4
        } else {
            now + self.ttl / 2 + Duration::from_millis(self.draw(500))
        };
        if self.frozen.is_none() && self.freezes < self.kills {
            if kill_process(victim, Signal::STOP).is_ok() {
                self.freezes += 1;
                self.frozen = Some((victim, now + 2 * self.ttl));
            }
            return Ok(Strike::Quiet);
        }
        // Stopped first, so that it dies with the claim in its hands.
        if stop(victim) && !holders()?.contains(&victim) {
            let _ = kill_process(victim, Signal::CONT);
            self.next = now;
            return Ok(Strike::Quiet);
        }
        if kill_process(victim, Signal::KILL).is_ok() {
            self.kills += 1;
            return Ok(Strike::Killed(victim));
        }
        Ok(Strike::Quiet)
    }

    /// Lets a frozen worker go on, for instance because the run ends.
    pub(crate) fn thaw_all(&mut self) {
        if let Some((pid, _)) = self.frozen {
            self.thaw(pid);
        }
    }

    fn thaw(&mut self, pid: Pid) {
        // It may have been reaped meanwhile; then there is nobody to thaw.
        let _ = kill_process(pid, Signal::CONT);
        self.frozen = None;
    }

    /// A number below `limit`; the sequence (splitmix64) differs from run to run.
    fn draw(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

/// Stops a worker, and returns when it does nothing more; whether it could be stopped.
fn stop(worker: Pid) -> bool {
    // Its end is left for the supervisor to see.
    let seen = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    kill_process(worker, Signal::STOP).is_ok() && waitid(WaitId::Pid(worker), seen).is_ok()
}
