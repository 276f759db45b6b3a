//! What all handles of a registrar share: its ledger, its clock, its key, its view, its queue.
//!
//! Invariants: the writer thread enters the ledger's write section for every command, and nobody else does, except whoever
//! exchanges the key file; nothing is signed and no foreign code runs inside; the view's lock is never held while waiting
//! for the section.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::mem;

use crate::sync::{Arc, Condvar, Mutex, OnceLock, lock};
use crate::work::clock::Clock;
use crate::work::ledger::{Ledger, LedgerError};
use crate::work::registrar::checkpoints::Checkpoints;
use crate::work::registrar::command::Request;
use crate::work::registrar::key_source::{KeySource, untrusted};
use crate::work::registrar::projection::Projection;
use crate::work::registrar::reply::Reply;
use crate::work::registrar::{
    Completer, Completion, Durability, Lease, LeaseReducer, PublicKey, RegistrarError, Signer,
};
use crate::work::tick::Tick;

pub(crate) struct Core {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    signer: Mutex<Signer>,
    /// Where another key comes from when the ledger no longer trusts that one.
    keys: Box<dyn KeySource>,
    /// Written into every record as its session: which process, see [`session`](super::session).
    pub(crate) session: String,
    /// Who a handle acts as unless it is told otherwise.
    pub(crate) actor: String,
    pub(crate) durability: Durability,
    pub(crate) projection: Mutex<Projection>,
    pub(super) checkpoints: Checkpoints,
    /// How long the view keeps ended leases.
    pub(super) retention: u64,
    pub(super) queue: Mutex<Queue>,
    pub(super) arrived: Condvar,
    endings: Mutex<HashMap<String, Ending>>,
    companion: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// The process that has the writer thread; one that was forked from it has none.
    pid: u32,
}

/// What is called when a lease has ended in the ledger.
type Ending = Arc<dyn Fn() + Send + Sync>;

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) commands: VecDeque<Queued>,
    /// The writer waits for something to do; else it looks here by itself, and need not be woken.
    pub(super) is_idle: bool,
    /// No more commands are taken but those that are owed; the writer does what is queued and ends.
    pub(super) is_closed: bool,
    /// The writer takes nothing more at all.
    pub(super) is_over: bool,
    /// How the writer has ended, once it has.
    pub(super) end: Option<Result<(), RegistrarError>>,
    /// Who waits for that.
    pub(super) closers: Vec<Completer<(), RegistrarError>>,
}

/// A command in the queue.
pub(crate) struct Queued {
    pub(crate) request: Request,
    pub(crate) reply: Box<dyn Reply>,
    /// While the work item is busy: wait until this tick before saying so.
    pub(crate) patience: Option<Tick>,
    /// Whether the answer has to wait for the disk.
    pub(crate) is_durable: bool,
    /// Whether it gives back what is nobody's any more, so that it has to be done even if the ledger fails.
    pub(crate) is_owed: bool,
    /// Its place among those that are worked off together.
    pub(crate) turn: usize,
}

impl Queued {
    /// A command that does not wait for anything but its turn.
    pub(crate) fn new(request: Request, is_durable: bool, reply: Box<dyn Reply>) -> Self {
        Self {
            request,
            reply,
            patience: None,
            is_durable,
            is_owed: false,
            turn: 0,
        }
    }
}

impl Core {
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        (signer, keys): (Signer, Box<dyn KeySource>),
        session: String,
        actor: String,
        durability: Durability,
        (projection, checkpoints): (Projection, Checkpoints),
    ) -> Self {
        Self {
            ledger,
            clock,
            signer: Mutex::new(signer),
            keys,
            session,
            actor,
            durability,
            retention: projection.retention(),
            projection: Mutex::new(projection),
            checkpoints,
            queue: Mutex::new(Queue::default()),
            arrived: Condvar::new(),
            endings: Mutex::new(HashMap::new()),
            companion: OnceLock::new(),
            pid: std::process::id(),
        }
    }

    /// Queues a command.
    pub(crate) fn submit(&self, queued: Queued) {
        self.submit_at(queued, VecDeque::len);
    }

    /// Queues what gives `work_id` back: before the first who asks for it, or whoever abandons a claim and asks again
    /// finds himself in the way; behind everything else that was said before.
    pub(crate) fn submit_release(&self, queued: Queued, work_id: &str) {
        self.submit_at(queued, |commands| {
            let asks = |queued: &Queued| queued.request.asks_for(work_id);
            commands.iter().position(asks).unwrap_or(commands.len())
        });
    }

    fn submit_at(&self, queued: Queued, place: impl FnOnce(&VecDeque<Queued>) -> usize) {
        if let Err(error) = self.check_process() {
            queued.reply.answer(Err(error));
            return;
        }
        let mut queue = lock(&self.queue);
        // Whoever is answered while it closes may give back what he gets.
        let is_taken = !queue.is_closed || queued.is_owed && !queue.is_over;
        if !is_taken {
            drop(queue);
            queued.reply.answer(Err(RegistrarError::Closed));
            return;
        }
        let at = place(&queue.commands);
        queue.commands.insert(at, queued);
        let is_idle = mem::take(&mut queue.is_idle);
        drop(queue);
        if is_idle {
            self.arrived.notify_one();
        }
    }

    /// Takes no more commands; answers once everything queued is done and on disk.
    pub(crate) fn close(&self) -> Completion<()> {
        if let Err(error) = self.check_process() {
            return Completion::ready(Err(error));
        }
        let (completer, completion) = Completion::pair();
        let mut queue = lock(&self.queue);
        queue.is_closed = true;
        if let Some(end) = queue.end.clone() {
            drop(queue);
            completer.complete(end);
        } else {
            queue.closers.push(completer);
            drop(queue);
            self.arrived.notify_one();
        }
        completion
    }

    /// The same without anybody who waits.
    pub(crate) fn shut(&self) {
        if self.check_process().is_err() {
            return;
        }
        lock(&self.queue).is_closed = true;
        self.arrived.notify_one();
    }

    /// In a forked child nobody would ever answer, and a lock may be held by a thread that is not there.
    pub(crate) fn check_process(&self) -> Result<(), RegistrarError> {
        let (opened_by, pid) = (self.pid, std::process::id());
        if opened_by == pid {
            Ok(())
        } else {
            Err(LedgerError::Forked { opened_by, pid }.into())
        }
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn is_closed(&self) -> Result<bool, RegistrarError> {
        self.check_process()?;
        Ok(lock(&self.queue).is_closed)
    }

    /// The key to sign with.
    pub(crate) fn signer(&self) -> Signer {
        lock(&self.signer).clone()
    }

    /// The key to sign with on top of this view. If another process has rotated the key, the one it put in its place.
    pub(super) fn trusted_signer(&self, projection: &Projection) -> Result<Signer, RegistrarError> {
        let signer = self.signer();
        if projection.keys().trusts(signer.public_key()) {
            return Ok(signer);
        }
        match self.keys.load()? {
            Some(next) if projection.keys().trusts(next.public_key()) => {
                self.use_signer(&next);
                Ok(next)
            }
            _ => Err(untrusted(signer.public_key())),
        }
    }

    /// Signs with this key from now on, and keeps it where the old one was kept, if that one still lies there.
    pub(crate) fn replace_signer(&self, old: PublicKey, next: &Signer) -> Result<(), RegistrarError> {
        let section = self.ledger.enter()?;
        self.keys.replace(old, next)?;
        drop(section);
        self.use_signer(next);
        Ok(())
    }

    fn use_signer(&self, next: &Signer) {
        *lock(&self.signer) = next.clone();
    }

    /// What was acknowledged so far is on disk, whatever an acknowledgement means here.
    pub(crate) fn sync_ledger(&self) -> Result<(), RegistrarError> {
        let unknown = |error| RegistrarError::OutcomeUnknown(Arc::new(error));
        self.ledger.sync().map_err(unknown)
    }

    /// Reads what others have appended.
    pub(crate) fn catch_up(&self) -> Result<(), RegistrarError> {
        self.check_process()?;
        let ended = lock(&self.projection).catch_up(&*self.ledger, self.clock.tick())?;
        self.announce(ended);
        Ok(())
    }

    /// The state after everything that is in the ledger by now.
    pub(crate) fn fresh(&self) -> Result<Arc<LeaseReducer>, RegistrarError> {
        self.check_process()?;
        let mut projection = lock(&self.projection);
        let ended = projection.catch_up(&*self.ledger, self.clock.tick())?;
        let snapshot = projection.snapshot();
        drop(projection);
        self.announce(ended);
        Ok(snapshot)
    }

    /// A lease as this registrar last saw it.
    pub(crate) fn lease(&self, lease_id: &str) -> Option<Lease> {
        lock(&self.projection).state().get(lease_id).cloned()
    }

    /// Whether a lease is active, as this registrar last saw it.
    pub(crate) fn is_active(&self, lease_id: &str) -> bool {
        lock(&self.projection).state().active_lease(lease_id).is_ok()
    }

    /// Calls `ending` when the lease has ended in the ledger, as soon as this registrar sees it.
    pub(crate) fn watch(&self, lease_id: &str, ending: Ending) {
        lock(&self.endings).insert(lease_id.to_owned(), ending);
    }

    /// Tells those who watch these leases.
    pub(crate) fn announce(&self, ended: Vec<String>) {
        for lease_id in ended {
            let ending = lock(&self.endings).remove(&lease_id);
            if let Some(ending) = ending {
                ending();
            }
        }
    }

    /// The one `T` that a higher floor keeps with this registrar.
    pub(crate) fn companion<T: Any + Send + Sync>(&self, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let companion = self.companion.get_or_init(|| make());
        match Arc::clone(companion).downcast() {
            Ok(companion) => companion,
            Err(_) => unreachable!("one floor keeps one kind of companion"),
        }
    }
}
