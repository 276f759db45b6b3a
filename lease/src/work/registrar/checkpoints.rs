//! When the view's checkpoints are written, and by whom.
//!
//! By a thread that makes a view of its own, from the last checkpoint and what was appended since: the writer's view
//! stays where it is, so nobody waits for a checkpoint, in the section or outside of it. One is due after so many
//! records, but never before there are as many as there are leases: then writing all of them is little beside having
//! read the records. Of all processes for whom one is due, whoever has the ledger's turn writes it; the others go on, and
//! look again after their next commands whether it is there or whether he has died. Who is stopped keeps the turn: when
//! one is due many times over, it is written without.

use crate::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
    is_finished, lock, thread,
};
use crate::work::ledger::{Ledger, LedgerError};
use crate::work::registrar::core::Core;
use crate::work::registrar::projection::Projection;
use crate::work::registrar::{RegistrarError, Signer, resume};
use crate::work::tick::Tick;

/// How many records make a checkpoint worth it, unless told otherwise.
pub(super) const INTERVAL: u64 = 10_000;

/// How many times over one has to be due before whoever has the turn is not waited for: writing one takes no such time.
const OVERDUE: u64 = 16;

/// The checkpoints of one registrar.
pub(crate) struct Checkpoints {
    /// Records between two of them; 0 for none at all.
    pub(super) interval: u64,
    progress: Mutex<Progress>,
    is_over: Arc<AtomicBool>,
}

struct Progress {
    /// Where the last one stands, whoever wrote it, or the one that is being written.
    last: u64,
    writing: Option<thread::JoinHandle<()>>,
}

impl Checkpoints {
    /// `last` is where the newest one stands.
    pub(super) fn new(interval: u64, last: u64) -> Self {
        Self {
            interval,
            progress: Mutex::new(Progress { last, writing: None }),
            is_over: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Whether any are written at all.
    pub(super) const fn are_wanted(&self) -> bool {
        self.interval > 0
    }

    /// Writes no more, and waits for the one that is being written to be given up or done.
    pub(super) fn end(&self) {
        // Nothing but the wish to be done with it depends on when this is seen.
        self.is_over.store(true, Relaxed);
        let writing = lock(&self.progress).writing.take();
        if let Some(writing) = writing {
            // A checkpoint that failed, however, is none.
            let _ = writing.join();
        }
    }
}

impl Core {
    /// Starts a checkpoint if one is due.
    pub(super) fn checkpoint_if_due(&self) {
        let checkpoints = &self.checkpoints;
        if !checkpoints.are_wanted() {
            return;
        }
        let (head, leases) = {
            let projection = lock(&self.projection);
            (projection.head().sequence, projection.state().len() as u64)
        };
        let mut progress = lock(&checkpoints.progress);
        let interval = checkpoints.interval.max(leases);
        let times_due = head.saturating_sub(progress.last) / interval;
        if times_due == 0
            || progress
                .writing
                .as_ref()
                .is_some_and(|writing| !is_finished(writing))
        {
            return;
        }
        let turn = match self.ledger.checkpoint_turn() {
            // Somebody else is writing it.
            Ok(None) if times_due < OVERDUE => return,
            Ok(turn) => turn,
            // What fails is left to the next time.
            Err(_) => {
                progress.last = head;
                return;
            }
        };
        if let Some(newest) = self.newest_checkpoint().filter(|newest| *newest <= head)
            && newest > progress.last
        {
            progress.last = newest;
            return;
        }
        progress.last = head;
        // A key that nobody trusts any more signs none.
        let Ok(writing) = self.writing(Arc::clone(&checkpoints.is_over)) else {
            return;
        };
        // Without a thread to spare there is no checkpoint this time.
        progress.writing = thread::Builder::new()
            .name("lease-state".to_owned())
            .spawn(move || {
                let _ = writing.run();
                drop(turn);
            })
            .ok();
    }

    fn newest_checkpoint(&self) -> Option<u64> {
        let kept_as = resume::kept_as(self.retention);
        let kept = self.ledger.checkpoints(&kept_as).unwrap_or_default();
        kept.first().copied()
    }

    /// Writes a checkpoint of everything that is in the ledger by now.
    pub(super) fn checkpoint_now(&self) -> Result<(), RegistrarError> {
        // Whoever asks gets it, also from a registrar that was closed.
        Ok(self.writing(Arc::default())?.run()?)
    }

    /// Writes the view as it is, signed by a key that was put in another's place: nothing is read, since no checkpoint
    /// bears its signature yet.
    pub(super) fn checkpoint_the_view(&self) -> Result<(), LedgerError> {
        if !self.checkpoints.are_wanted() {
            return Ok(());
        }
        let sealed = lock(&self.projection).seal(&self.signer());
        sealed.save(&*self.ledger)
    }

    fn writing(&self, is_over: Arc<AtomicBool>) -> Result<Writing, RegistrarError> {
        Ok(Writing {
            ledger: Arc::clone(&self.ledger),
            signer: self.trusted_signer(&lock(&self.projection))?,
            retention: self.retention,
            now: self.clock.tick(),
            is_over,
        })
    }
}

/// One checkpoint in the making.
struct Writing {
    ledger: Arc<dyn Ledger>,
    signer: Signer,
    retention: u64,
    now: Tick,
    is_over: Arc<AtomicBool>,
}

impl Writing {
    fn run(&self) -> Result<(), LedgerError> {
        let mut view = Projection::resume(
            &*self.ledger,
            1,
            self.retention,
            self.signer.public_key(),
            self.now,
        );
        while view.read_page(&*self.ledger, self.now)? {
            if self.is_over.load(Relaxed) {
                return Ok(());
            }
        }
        view.seal(&self.signer).save(&*self.ledger)
    }
}
