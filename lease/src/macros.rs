//! The macros, with their documentation: F6, the only floor that sees both wings.

/// Runs a block in a scope: what is leased in it is given back when the block ends, however it ends.
///
/// ```text
/// lease_scope!( [strategy = EXPR,] |scope| BLOCK )
/// ```
///
/// `scope` is a [`Scope`](crate::Scope): plain data goes into its arena by `alloc`, values with destructors in by `keep`,
/// closures in by `defer`. At the closing brace the kept values and the deferred closures end in reverse order, then the
/// memory goes back to the strategy (the system allocator, unless `strategy` names another). This happens on `?`,
/// `return`, `break`, on panic and when the future around the block is dropped, too.
///
/// The value of the block is the value of the macro:
///
/// ```
/// use lease::lease_scope;
///
/// fn longest(text: &str) -> Option<usize> {
///     lease_scope!(|scope| {
///         let words = scope.alloc_slice_from_iter(text.split_whitespace());
///         words.sort_by_key(|word| word.len());
///         Some(words.last()?.len()) // `?` leaves the function, through the end of the scope
///     })
/// }
///
/// assert_eq!(longest("a checked right"), Some(7));
/// assert_eq!(longest(""), None);
/// ```
///
/// # What it expands to
///
/// The block is spliced, not wrapped in a closure: `?`, `return`, `break`, `continue` and `.await` mean what they mean
/// outside. The call above could have been written as
///
/// ```
/// # fn longest(text: &str) -> Option<usize> {
/// {
///     let mut scope = lease::__private::Storage::new();
///     let scope = lease::__private::handle(&mut scope);
///     {
///         let words = scope.alloc_slice_from_iter(text.split_whitespace());
///         words.sort_by_key(|word| word.len());
///         Some(words.last()?.len())
///     }
/// }
/// # }
/// # assert_eq!(longest("a checked right"), Some(7));
/// ```
///
/// The locals of the block are dropped before anything in the scope ends, in every edition.
///
/// # What it does not promise
///
/// Nothing leased in a scope can leave it, and the compiler says so in terms of the name you gave it:
///
/// ```compile_fail,E0597
/// let escaped = lease::lease_scope!(|scope| { scope.alloc(7) });
/// *escaped = 8;
/// ```
///
/// A scope is not a `try` block: `?` leaves the function around it. And [`mem::forget`](std::mem::forget) of the future
/// around a scope forgets the scope.
#[macro_export]
macro_rules! lease_scope {
    ($($tokens:tt)*) => {
        $crate::__private::lease_scope!([$crate] $($tokens)*)
    };
}

/// Puts a type or a function under a lease contract.
///
/// ```text
/// #[leased( CONTRACT {, OPTION} )]
///
/// types      owned      capacity = N, recycle = PATH, strategy = PATH, strong = Name, weak = Name, crate = PATH
///            borrowed   crate = PATH                        fields that hold the memory are marked #[lease]
/// functions  owned      crate = PATH
///            scoped     scope = NAME, strategy = EXPR, hold = future|call, crate = PATH
///            borrowed   owner = EXPR, hold = future|call, crate = PATH      parameters are marked #[lease]
///            static     owner = EXPR, crate = PATH
///            exclusive  work = "text {arg}" | work("format", args…) | work = EXPR, ttl = "30s" | EXPR,
///                       registrar = EXPR, actor = EXPR, wait = "5s", at_most = "1h", at_least = "5m",
///                       claim = NAME, hold = future|call, crate = PATH
/// ```
///
/// The contract comes first. Signatures, fields, visibilities and other attributes stay as they are; what a form expands
/// to is safe code that could be written by hand, through public names or those of `lease::__private`. `crate` is the path
/// of this crate where it goes by another name.
///
/// # `owned` types
///
/// The type gets a static pool of its own ([`Leased`](crate::Leased)) and the names `<Type>Lease` and `<Type>Weak` for its
/// leases, or those that `strong` and `weak` give. `capacity` bounds the pool; `recycle` is the path of a `fn(&mut Self)`
/// that resets a payload, which is then kept ([`PoolBuilder::recycle`](crate::PoolBuilder::recycle)); `strategy` is the
/// path of a `static` that implements [`MemoryStrategy`](crate::strategy::MemoryStrategy).
///
/// ```
/// use lease::{Leased, StrongLease, leased};
///
/// #[leased(owned, capacity = 10_000)]
/// pub struct Session { user: u32 }
///
/// let session: SessionLease = Session::lease(Session { user: 7 });
/// let seen: SessionWeak = StrongLease::downgrade(&session);
/// assert_eq!(seen.lock().map(|session| session.user), Some(7));
/// drop(session);
/// assert!(seen.lock().is_none());
/// ```
///
/// Expands to the type, two type aliases of its visibility, and
///
/// ```
/// # struct Session { user: u32 }
/// impl lease::Leased for Session {
///     type Strategy = lease::strategy::System;
///     fn pool() -> &'static lease::Pool<Session> {
///         static POOL: lease::Pool<Session> = lease::Pool::builder().capacity(10_000).build();
///         &POOL
///     }
/// }
/// ```
///
/// A generic type has no such pool, because a `static` cannot be generic: make a [`Pool`](crate::Pool) value.
///
/// # `owned` functions
///
/// The signature says what callers get; the body makes the plain value, which is leased on the way out
/// ([`LeaseOutput`](crate::LeaseOutput)). `?` and `return` in the body speak of the plain value, too.
///
/// ```
/// # use lease::{AcquireError, leased};
/// # #[leased(owned)]
/// # pub struct Session { user: u32 }
/// #[leased(owned)]
/// fn login(user: &str) -> Result<SessionLease, Box<dyn std::error::Error>> {
///     Ok(Session { user: user.parse()? })
/// }
///
/// assert_eq!(login("7").unwrap().user, 7);
/// assert!(login("seven").is_err());
/// ```
///
/// Expands to `lease_output(move || BODY)`, or the same around an `async` block. A pool that is full is the error of the
/// `Result`; where there is none, it is a panic, as of [`Pool::acquire`](crate::Pool::acquire). `#[track_caller]` on such a
/// function is without effect in its body.
///
/// # `scoped` functions
///
/// The body runs in a [scope](crate::lease_scope) that ends with the call: on return, `?` and panic, and when the future
/// of an `async fn` is dropped. `scope` names it.
///
/// ```
/// # use lease::leased;
/// #[leased(scoped, scope = s)]
/// fn longest(text: &str) -> Option<usize> {
///     let words = s.alloc_slice_from_iter(text.split_whitespace());
///     words.sort_by_key(|word| word.len());
///     Some(words.last()?.len())
/// }
///
/// assert_eq!(longest("a checked right"), Some(7));
/// ```
///
/// Expands to the two lines of [`lease_scope!`](crate::lease_scope) before the body.
///
/// # `borrowed` functions
///
/// The memory of the parameters marked `#[lease]` is on record as borrowed for exactly the call, in `owner`
/// or else in [`LeaseOwner::global`](crate::LeaseOwner::global).
///
/// ```
/// # use lease::{LeaseOwner, leased};
/// #[leased(borrowed)]
/// fn transmit(link: u32, #[lease] frame: &[u8]) -> usize {
///     assert!(LeaseOwner::global().find(frame.as_ptr()).is_some());
///     frame.len()
/// }
///
/// let frame = [1, 2, 3];
/// assert_eq!(transmit(7, &frame), 3);
/// assert!(LeaseOwner::global().find(frame.as_ptr()).is_none());
/// ```
///
/// Expands to `let _recorded = owner.record(frame);` before the body. The record knows the address only, so a `&mut`
/// stays the body's to write through. It cannot fail: memory for which there is no record is counted in the
/// owner's [report](crate::LeaseOwner::report). Take slices: a `&Vec<T>` records its three words. The owner is borrowed for
/// the call: a field of a `&mut self` is better an `Arc`.
///
/// # `borrowed` types
///
/// The type implements [`TrackBorrowed`](crate::TrackBorrowed) for the fields marked `#[lease]`, which are references.
///
/// ```
/// # use lease::{LeaseOwner, TrackBorrowed, leased};
/// #[leased(borrowed)]
/// struct Frame<'a> {
///     #[lease]
///     body: &'a [u8],
///     number: u64,
/// }
///
/// let owner = LeaseOwner::new();
/// let frame = Frame { body: &[1, 2, 3], number: 7 };
/// let tracked = frame.track(&owner);
/// assert_eq!((owner.len(), tracked.number), (1, 7));
/// drop(tracked);
/// assert!(owner.is_empty());
/// ```
///
/// # `static` functions
///
/// The `&'static` memory that is returned is on record as static, once per address.
///
/// ```
/// # use lease::{Contract, LeaseOwner, leased};
/// #[leased(static)]
/// fn table() -> &'static [u32] {
///     &[1, 2, 3]
/// }
///
/// let tenant = LeaseOwner::global().tenant(table().as_ptr()).unwrap();
/// assert_eq!(tenant.policy().contract(), Contract::Static);
/// ```
///
/// Memory that the owner refuses, because it is on record as owned or the table has no room, is returned all the same.
///
/// # `exclusive` functions
///
/// With feature `work`. The body runs only while the [claim](crate::Claim) on the work item is held: by one holder at a
/// time, among all processes that share the registrar's ledger. `claim` names the claim in the body.
///
/// ```
/// # #[cfg(feature = "work")]
/// # fn main() -> Result<(), lease::ClaimError> {
/// use lease::{ClaimError, Registrar, leased};
///
/// #[leased(exclusive, work = "invoice/{id}", ttl = "30s", registrar = jobs, claim = claim)]
/// async fn bill(id: u64, jobs: &Registrar) -> Result<u64, ClaimError> {
///     assert!(claim.is_held());
///     Ok(claim.fencing_token().get())
/// }
///
/// #[leased(exclusive, work("report/{}", names.len()), ttl = "30s", registrar = jobs)]
/// fn report(names: &[&str], jobs: &Registrar) -> Result<usize, ClaimError> {
///     Ok(names.len())
/// }
///
/// let jobs = Registrar::in_memory()?;
/// assert_eq!(report(&["a", "b"], &jobs)?, 2);
/// # drop(bill(7, &jobs));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "work"))]
/// # fn main() {}
/// ```
///
/// - `work` is the name of the work item: a format string that names parameters, or `work("{}", self.id)` with arguments,
///   or an expression of type `Into<String>`. It is made before the first `.await`.
/// - `ttl` is how long a holder that fell silent keeps the others out, at least a second. Times are `"250ms"`, `"30s"`,
///   `"5m"`, `"1h"`, or an expression of type `Duration`.
/// - `registrar` is the registrar to ask, by default the one given to `Registrar::install_global`.
/// - `wait`, `at_most`, `at_least` and `actor` are the `timeout`, `at_most`, `at_least` and `actor` of `ClaimBuilder`.
///
/// The return type implements `ExclusiveOutput`, as `Result<T, E>` does where `E: From<ClaimError>`. Not obtained: that is
/// the error, and the body does not run. Lost while the body runs: that is the error, too; an async body is dropped at its
/// next poll. `Ok` releases the work item as completed, `Err` and a panic as aborted, a dropped future as given up. The
/// registrar is borrowed for as long as it takes to ask, no longer.
///
/// Expands to `Exclusive::run(request, move |claim: &Claim| -> Output BODY)`, or in an async body to
///
/// ```text
/// match Exclusive::begin(request).await {
///     Ok(exclusive) => { let claim = exclusive.claim(); exclusive.hold(async move BODY).await }
///     Err(error) => ExclusiveOutput::refused(error),
/// }
/// ```
///
/// A claim is as good as the clock it is kept by: what must not happen twice is to compare fencing tokens.
///
/// # What none of them promises
///
/// The order in which parameters are dropped relative to the lease is not part of any contract: those that the body does
/// not use may live longer. In edition 2021 the braces of a leased body are of edition 2024: temporaries of its last
/// expression drop before its locals.
///
/// A function that is not `async` but returns a future says for how long its lease holds: `hold = call` ends it before the
/// future runs, `hold = future` keeps it until that is done or dropped. The latter needs a body that is one `async` block,
/// or `Box::pin` of one; methods under `#[async_trait]` are such and are recognised without `hold`.
#[doc(inline)]
pub use lease_macros::leased;
