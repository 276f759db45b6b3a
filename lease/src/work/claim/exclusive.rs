//! What `#[leased(exclusive, …)]` expands to: a body that runs only while its claim is held.
//!
//! ```text
//! let completion = lease::__private::claim(registrar, work, ttl).acquire();
//! sync:   lease::__private::Exclusive::run(completion, |claim| BODY)
//! async:  match lease::__private::Exclusive::begin(completion).await {
//!             Ok(exclusive) => { let claim = exclusive.claim(); exclusive.hold(async move BODY).await }
//!             Err(error) => ExclusiveOutput::refused(error),
//!         }
//! ```

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::work::claim::{Claim, ClaimBuilder, ClaimError};
use crate::work::registrar::{Completion, Registrar, ReleaseReason};

/// What a function under `#[leased(exclusive, …)]` may return: something that can say that the claim was not obtained
/// or was lost.
///
/// `Result<T, E>` can if `E` can be made from a [`ClaimError`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say that the claim was not obtained or was lost",
    label = "an `exclusive` function cannot return this",
    note = "return `Result<_, E>` with `E: From<lease::ClaimError>`"
)]
pub trait ExclusiveOutput: Sized {
    /// The claim was not obtained, or it was lost and the body was dropped: there is no output of the body.
    fn refused(error: ClaimError) -> Self;

    /// The claim was lost while the body ran to its end.
    #[must_use]
    fn lost(self, error: ClaimError) -> Self;

    /// What the work item is released with when the body has run under the claim.
    fn reason(&self) -> ReleaseReason;
}

impl<T, E: From<ClaimError>> ExclusiveOutput for Result<T, E> {
    fn refused(error: ClaimError) -> Self {
        Err(error.into())
    }

    fn lost(self, error: ClaimError) -> Self {
        Err(error.into())
    }

    fn reason(&self) -> ReleaseReason {
        match self {
            Ok(_) => ReleaseReason::Completed,
            Err(_) => ReleaseReason::Aborted,
        }
    }
}

/// The claim that an `exclusive` function asks for: of the registrar it names, or of the installed one.
pub fn claim(registrar: Option<&Registrar>, work: impl Into<String>, ttl: Duration) -> ClaimBuilder {
    let registrar = registrar.or(Registrar::global()).cloned();
    ClaimBuilder::new(registrar, work.into(), ttl)
}

/// A claim around a body. Dropped with its future, it gives the work item back as the claim does.
#[derive(Debug)]
pub struct Exclusive {
    claim: Claim,
}

impl Exclusive {
    /// Runs `body` under the claim.
    pub fn run<R: ExclusiveOutput>(
        completion: Completion<Claim, ClaimError>,
        body: impl FnOnce(&Claim) -> R,
    ) -> R {
        let exclusive = match completion.wait() {
            Ok(claim) => Self { claim },
            Err(error) => return R::refused(error),
        };
        let output = body(&exclusive.claim);
        if !exclusive.claim.is_held() {
            return output.lost(exclusive.claim.lost_error());
        }
        // That the item could not be given back only makes the next one wait for the end of the lease; the body's
        // output stands.
        let _ = exclusive.claim.release(output.reason()).wait();
        output
    }

    /// Waits for the claim.
    ///
    /// # Errors
    ///
    /// When it was not obtained.
    pub async fn begin(completion: Completion<Claim, ClaimError>) -> Result<Self, ClaimError> {
        let claim = completion.await?;
        Ok(Self { claim })
    }

    /// The claim, for the body.
    pub const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Runs `body` under the claim. It is dropped at the executor's next poll after the claim is lost, and not polled
    /// again; a body that ends in that very moment is believed only if the claim is still held afterwards.
    pub async fn hold<R: ExclusiveOutput>(&self, body: impl Future<Output = R>) -> R {
        let output = {
            let mut body = pin!(body);
            let mut lost = pin!(self.claim.lost());
            poll_fn(|cx| {
                if lost.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                body.as_mut().poll(cx).map(Some)
            })
            .await
        };
        match output {
            Some(output) if self.claim.is_held() => {
                // As in `run`: the output stands even if the item could not be given back.
                let _ = self.claim.release_in_place(output.reason()).await;
                output
            }
            Some(output) => output.lost(self.claim.lost_error()),
            None => R::refused(self.claim.lost_error()),
        }
    }
}
