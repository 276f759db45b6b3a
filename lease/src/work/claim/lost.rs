//! Waiting for the loss of a claim.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::sync::Arc;
use crate::work::claim::hold::Hold;

/// Ready once the claim cannot be trusted any more, or was given back. Made by [`Claim::lost`](crate::Claim::lost); it
/// outlives the claim.
#[must_use = "futures do nothing unless they are polled"]
pub struct Lost {
    hold: Arc<Hold>,
    id: Option<u64>,
}

impl Lost {
    pub(super) fn new(hold: Arc<Hold>) -> Self {
        Self { hold, id: None }
    }
}

impl Future for Lost {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.hold.is_forked() {
            return Poll::Ready(());
        }
        // Registered before the look at the clock: a loss in between wakes.
        self.id = Some(self.hold.wake_at_end(self.id, cx.waker()));
        if self.hold.remaining().is_some() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.hold.forget(id);
        }
    }
}

impl fmt::Debug for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lost")
            .field("work_id", &self.hold.issued.work_id)
            .finish_non_exhaustive()
    }
}
