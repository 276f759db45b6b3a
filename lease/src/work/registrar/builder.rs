//! How a registrar is put together and finds, or founds, its ledger.

use std::time::Duration;

use crate::sync::{Arc, thread};
use crate::work::clock::{Clock, SystemClock};
use crate::work::event::EventRecord;
use crate::work::ledger::{Ledger, Liveness, MemoryLedger, NewRecord};
use crate::work::registrar::checkpoints::{self, Checkpoints};
use crate::work::registrar::command::nanos;
use crate::work::registrar::core::Core;
use crate::work::registrar::decide::first_key;
use crate::work::registrar::handle::Shared;
use crate::work::registrar::key_source::{Brought, KeySource, NewKey, untrusted};
use crate::work::registrar::projection::Projection;
use crate::work::registrar::{LeaseError, Registrar, RegistrarError, Signer, limits, session, writer};
#[cfg(feature = "sqlite")]
use crate::work::{
    ledger::{LedgerError, SqliteLedger},
    registrar::opened,
};

/// When a command is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// When it is on disk: it survives a power cut.
    #[default]
    Synced,
    /// When it is written: every process sees it, and it survives this one, also when that is killed. A power cut may take
    /// it: the last commands that were acknowledged, never one from between others, and fencing tokens still never
    /// repeat.
    ///
    /// What has to be on disk is, here too: [`close`](Registrar::close) syncs everything that was acknowledged before, so
    /// do [`checkpoint`](Registrar::checkpoint), [`signed_head`](Registrar::signed_head), [`seal`](Registrar::seal) and
    /// [`rotate_key`](Registrar::rotate_key), and so does another process that opens the ledger with [`Synced`](Self::Synced),
    /// with its next command.
    Buffered,
}

/// Puts a [`Registrar`] together; see [`Registrar::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it opens a registrar"]
pub struct RegistrarBuilder {
    actor: Option<String>,
    // What is not set is as usual, or as it is where the registrar is there already.
    clock: Option<Arc<dyn Clock>>,
    signer: Option<Signer>,
    durability: Option<Durability>,
    lock_delay: Option<Duration>,
    checkpoint_interval: Option<u64>,
    retain_terminal: Option<Duration>,
}

impl RegistrarBuilder {
    /// Judges by this clock instead of the machine's: a [`ManualClock`](crate::ManualClock) in tests.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Signs with this key instead of the one beside the ledger. A ledger that has records must
    /// [trust](Registrar::trust_key) it.
    pub fn signer(mut self, signer: Signer) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Acts under this name, of 1 to 128 bytes, instead of `host/pid/random`. Whoever shares a name is taken for the same
    /// holder.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Acknowledges at this point.
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Leaves the leases of this process alone for this long after its death, rounded up to milliseconds. Without it
    /// they are taken back as soon as somebody sees that it has died.
    ///
    /// For holders that start other programs, which may be at work a little longer than they live. A child that was
    /// only forked, and never became another program, needs none of this: its parent's leases are not taken back while
    /// it lives.
    pub const fn lock_delay(mut self, delay: Duration) -> Self {
        self.lock_delay = Some(delay);
        self
    }

    /// Writes a checkpoint after so many records, 10,000 unless told otherwise, but never more often than every lease is
    /// worth a record; 0 for none.
    ///
    /// The next registrar that opens the ledger begins there instead of at the first record. A thread of its own writes
    /// it; no command waits for that.
    pub const fn checkpoint_interval(mut self, records: u64) -> Self {
        self.checkpoint_interval = Some(records);
        self
    }

    /// Forgets leases that have ended so long ago; keeps them for ever unless told so. How long ago is told by the wall time
    /// of the records, and looked at whenever one changes a lease, so a lease may outstay its time. It lacks some of it only
    /// where a wall clock ran ahead: a single record from far in the future forgets everything that has ended.
    ///
    /// What is forgotten is no longer among the answers to [`query`](Registrar::query), and takes no memory and no room in
    /// checkpoints. Nothing else changes: the ledger keeps the records, the id is not given again, fencing tokens go on
    /// rising, and a work item that is closed stays closed. What is kept hangs on the records alone: a registrar that is
    /// opened again knows the leases that it knew before.
    ///
    /// Give all registrars of a ledger the same. Each retention has checkpoints of its own: opening with a new one reads the
    /// whole history, once.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use lease::{ManualClock, Registrar, ReleaseReason};
    /// use std::time::Duration;
    ///
    /// let (hour, minute) = (Duration::from_secs(3_600), Duration::from_secs(60));
    /// let clock = ManualClock::new();
    /// let jobs = Registrar::builder().clock(clock.clone()).retain_terminal(hour).in_memory()?;
    /// let lease = jobs.issue("nightly/report", minute).wait()?;
    /// jobs.release(&lease.lease_id, ReleaseReason::Completed).wait()?;
    ///
    /// clock.advance(hour);
    /// jobs.issue("weekly/report", minute).wait()?;
    /// assert!(jobs.query(|state| state.get(&lease.lease_id).is_some())?);
    /// clock.advance(minute);
    /// jobs.issue("monthly/report", minute).wait()?;
    /// assert!(jobs.query(|state| state.get(&lease.lease_id).is_none())?);
    /// # Ok(()) }
    /// ```
    pub const fn retain_terminal(mut self, retention: Duration) -> Self {
        self.retain_terminal = Some(retention);
        self
    }

    /// Opens a registrar on a new ledger in memory. Nobody will open it again, so it writes no checkpoints.
    ///
    /// # Errors
    ///
    /// [`LeaseError::InvalidInput`] for an [`actor`](Self::actor) that is no id; [`RegistrarError::Thread`] when the system
    /// has no thread to spare.
    pub fn in_memory(self) -> Result<Registrar, RegistrarError> {
        self.checkpoint_interval(0).on(Arc::new(MemoryLedger::new()))
    }

    /// Opens a registrar on any ledger. Without a [`signer`](Self::signer) it makes a new key, which only a ledger
    /// without records trusts.
    ///
    /// Each call makes a registrar of its own, with a writer of its own: only [`open`](Self::open) shares. For a ledger in a
    /// directory it wants a signer even where [`open`](Self::open) would find the key beside it.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be used; when it has records, [`RegistrarError::SignerNeeded`]
    /// without a signer, and [`RegistrarError::SignerUntrusted`] with one that it does not trust;
    /// [`LeaseError::InvalidInput`] for an [`actor`](Self::actor) that is no id; [`RegistrarError::Thread`] when the system
    /// has no thread to spare.
    pub fn on(self, ledger: Arc<dyn Ledger>) -> Result<Registrar, RegistrarError> {
        self.check_actor()?;
        let shared = self.found(ledger, Box::new(NewKey))?;
        Ok(self.handle(shared))
    }

    /// Opens the ledger at `path` as [`Registrar::open`] does.
    ///
    /// If this process has it open already, this is another handle of the registrar that is there: what is not set here is
    /// as it was opened first, and what is must be the same. Only the [`actor`](Self::actor) is each handle's own. The same
    /// clock is one that counts the same ticks: a clone of a [`ManualClock`](crate::ManualClock), any
    /// [`SystemClock`].
    ///
    /// # Errors
    ///
    /// Those of [`Registrar::open`], [`RegistrarError::OpenedDifferently`], [`RegistrarError::SignerUntrusted`], and
    /// [`LeaseError::InvalidInput`] for an [`actor`](Self::actor) that is no id, before anything is opened.
    #[cfg(feature = "sqlite")]
    pub fn open(self, path: impl AsRef<std::path::Path>) -> Result<Registrar, RegistrarError> {
        self.open_by(path.as_ref(), |path| SqliteLedger::open(path))
    }

    /// Opens the ledger at `path` as [`Registrar::adopt`] does; if this process has it open already, as
    /// [`open`](Self::open) does.
    ///
    /// # Errors
    ///
    /// Those of [`Registrar::adopt`], and of [`open`](Self::open) here.
    #[cfg(feature = "sqlite")]
    pub fn adopt(self, path: impl AsRef<std::path::Path>) -> Result<Registrar, RegistrarError> {
        self.open_by(path.as_ref(), |path| SqliteLedger::adopt(path))
    }

    #[cfg(feature = "sqlite")]
    fn open_by(
        self,
        path: &std::path::Path,
        open: impl FnOnce(&std::path::Path) -> Result<SqliteLedger, LedgerError>,
    ) -> Result<Registrar, RegistrarError> {
        self.check_actor()?;
        let shared = opened::share(path, open, |ledger, key| self.found(ledger, Box::new(key)))?;
        match self.differs_from(&shared.0) {
            Some(setting) => Err(RegistrarError::OpenedDifferently { setting }),
            None => Ok(self.handle(shared)),
        }
    }

    fn check_actor(&self) -> Result<(), LeaseError> {
        let actor = self.actor.as_deref();
        actor.map_or(Ok(()), |actor| limits::check_id("actor_id", actor))
    }

    /// What is set otherwise than the registrar has it.
    #[cfg(feature = "sqlite")]
    fn differs_from(&self, core: &Core) -> Option<&'static str> {
        let clock = |set: &Arc<dyn Clock>| {
            let (set, there) = (set.tick(), core.clock.tick());
            (set.clock, set.rate) == (there.clock, there.rate)
        };
        let signer = |set: &Signer| set.public_key() == core.signer().public_key();
        let durability = |set| set == core.durability;
        let lock_delay = |set| session::name(session::parse(&core.session).0, set) == core.session;
        let interval = |set| set == core.checkpoints.interval;
        let retention = |set| nanos(set) == core.retention;
        let are_same = [
            ("clock", self.clock.as_ref().is_none_or(clock)),
            ("signer", self.signer.as_ref().is_none_or(signer)),
            ("durability", self.durability.is_none_or(durability)),
            ("lock_delay", self.lock_delay.is_none_or(lock_delay)),
            (
                "checkpoint_interval",
                self.checkpoint_interval.is_none_or(interval),
            ),
            ("retain_terminal", self.retain_terminal.is_none_or(retention)),
        ];
        let differing = are_same.into_iter().find(|(_, is_same)| !is_same);
        differing.map(|(setting, _)| setting)
    }

    fn handle(self, shared: Arc<Shared>) -> Registrar {
        let actor = self.actor.unwrap_or_else(|| shared.0.actor.clone());
        Registrar::new(shared, actor.into())
    }

    /// Replays the ledger, after making its first record if it has none, and starts the writer.
    fn found(&self, ledger: Arc<dyn Ledger>, key: Box<dyn KeySource>) -> Result<Arc<Shared>, RegistrarError> {
        let key = match &self.signer {
            Some(signer) => Box::new(Brought(signer.clone())),
            None => key,
        };
        let clock = self.clock.clone().unwrap_or_else(|| Arc::new(SystemClock::new()));
        let actor = default_actor();
        // Where nobody can outlive anybody, the actor tells processes apart as well.
        let session = session::name(
            ledger.incarnation().unwrap_or(&actor),
            self.lock_delay.unwrap_or_default(),
        );
        let signer = signer_of(&*ledger, &*key, &session, &*clock)?;
        let epoch = ledger.epoch()?;
        let mut projection = Projection::resume(
            &*ledger,
            epoch,
            nanos(self.retain_terminal.unwrap_or(Duration::MAX)),
            signer.public_key(),
            clock.tick(),
        );
        let interval = self.checkpoint_interval.unwrap_or(checkpoints::INTERVAL);
        let checkpoints = Checkpoints::new(interval, projection.head().sequence);
        projection.catch_up(&*ledger, clock.tick())?;
        bury_the_dead(&*ledger, &mut projection, &*clock)?;
        if !projection.keys().trusts(signer.public_key()) {
            return Err(untrusted(signer.public_key()));
        }
        let shared = Arc::new(Shared(Arc::new(Core::new(
            ledger,
            clock,
            (signer, key),
            session,
            actor,
            self.durability.unwrap_or_default(),
            (projection, checkpoints),
        ))));
        shared.0.checkpoint_if_due();
        let writer = Arc::clone(&shared.0);
        thread::Builder::new()
            .name("lease-registrar".to_owned())
            .spawn(move || writer::run(&writer))
            .map_err(|error| RegistrarError::Thread(Arc::new(error)))?;
        Ok(shared)
    }
}

/// Removes what is left of processes that have ended and hold nothing: most of them, and nobody else would.
fn bury_the_dead(
    ledger: &dyn Ledger,
    projection: &mut Projection,
    clock: &dyn Clock,
) -> Result<(), RegistrarError> {
    for incarnation in ledger.incarnations()? {
        if let Liveness::Dead(remains) = ledger.liveness(&incarnation) {
            // Only now everything that it ever wrote can be read.
            projection.catch_up(ledger, clock.tick())?;
            let mut holding = projection.state().active_sessions();
            if !holding.any(|session| session::parse(session).0 == incarnation) {
                // What cannot be removed now is in nobody's way.
                let _ = remains.bury();
            }
        }
    }
    Ok(())
}

/// The key to sign with; a ledger without records gets its first one, which says that it trusts this key.
fn signer_of(
    ledger: &dyn Ledger,
    key: &dyn KeySource,
    session: &str,
    clock: &dyn Clock,
) -> Result<Signer, RegistrarError> {
    if let Some(signer) = key.load()?
        && ledger.head()?.sequence > 0
    {
        return Ok(signer);
    }
    // The ledger is new, or somebody is just making it: inside the section it is one or the other.
    let mut section = ledger.enter()?;
    let own = key.load()?;
    let head = ledger.head()?;
    if head.sequence > 0 {
        return own.ok_or_else(|| key.missing());
    }
    let signer = match own {
        Some(signer) => signer,
        None => key.create()?,
    };
    let first = first_key(signer.public_key());
    let record = EventRecord::new(first.event_type, session, first.actor_id, first.payload)
        .at(clock.wall(), Some(clock.tick()));
    section.append(&head, &[NewRecord::from(record)])?;
    drop(section);
    ledger.sync()?;
    Ok(signer)
}

/// `host/pid/random`, short enough for an id.
fn default_actor() -> String {
    const LONGEST_HOST: usize = 64;
    let uname = rustix::system::uname();
    let mut host = uname.nodename().to_string_lossy().into_owned();
    while host.len() > LONGEST_HOST {
        host.pop();
    }
    format!(
        "{host}/{}/{}",
        std::process::id(),
        crate::work::random::hex::<8>()
    )
}
