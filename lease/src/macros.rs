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

#[doc(inline)]
pub use lease_macros::leased;
