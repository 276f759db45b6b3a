//! Leases that are nobody's any more and that the ledger has not taken back: it failed when it was asked.
//!
//! They are offered again and again, until the ledger takes them or the rules say that they have ended.

use std::mem;
use std::time::{Duration, Instant};

use crate::work::registrar::RegistrarError;
use crate::work::registrar::command::{Release, Request};
use crate::work::registrar::core::Queued;
use crate::work::registrar::reply::{Answer, Callback};

/// How long a ledger that has failed is left alone.
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(crate) struct Owed {
    releases: Vec<Release>,
    /// When to offer them again.
    again: Option<Instant>,
    /// Why they were not taken.
    failure: Option<RegistrarError>,
    /// They were offered for the last time.
    is_over: bool,
}

impl Owed {
    /// These were not taken.
    pub(crate) fn add(&mut self, refused: Vec<(Release, RegistrarError)>) {
        for (release, error) in refused {
            self.releases.push(release);
            self.failure = Some(error);
            self.again = Some(Instant::now() + PAUSE);
        }
    }

    /// How long until there is something to offer.
    pub(crate) fn nap(&self) -> Option<Duration> {
        let again = self.again?;
        Some(again.saturating_duration_since(Instant::now()))
    }

    /// What to offer now: everything, for one last time, if the registrar `is_closed`.
    pub(crate) fn due(&mut self, is_closed: bool) -> Vec<Queued> {
        let is_due = self.again.is_some_and(|again| again <= Instant::now());
        if self.is_over || !(is_due || is_closed) {
            return Vec::new();
        }
        self.is_over = is_closed;
        self.again = None;
        self.failure = None;
        mem::take(&mut self.releases).into_iter().map(quietly).collect()
    }

    /// Why something was not taken to the last.
    pub(crate) fn into_failure(self) -> Option<RegistrarError> {
        self.failure
    }
}

/// A release that nobody waits for; if the rules refuse it the lease has ended anyway.
pub(crate) fn quietly(release: Release) -> Queued {
    Queued {
        is_owed: true,
        ..Queued::new(
            Request::Release(release),
            false,
            Box::new(Callback(drop::<Answer>)),
        )
    }
}
