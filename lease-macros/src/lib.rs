//! The macros of the `lease` crate. Depend on `lease`, which re-exports them and documents them.

#![forbid(unsafe_code)]

mod diagnostics;
mod event;
mod leased;
mod scope;

use proc_macro::TokenStream;
use proc_macro2::Span;
use quote::{ToTokens, quote_spanned};

/// Documented as `lease::leased`.
#[proc_macro_attribute]
pub fn leased(args: TokenStream, item: TokenStream) -> TokenStream {
    leased::leased(args.into(), &item.into()).into()
}

/// What `lease::lease_scope!` passes its tokens to.
#[proc_macro]
pub fn lease_scope(input: TokenStream) -> TokenStream {
    scope::lease_scope(input.into()).into()
}

/// What `#[leased(borrowed)]` on a type becomes: derives see their fields after `#[cfg]`.
#[proc_macro_derive(TrackBorrowed, attributes(lease))]
pub fn derive_track_borrowed(input: TokenStream) -> TokenStream {
    leased::track_borrowed(input.into()).into()
}

/// An enum as a family of events; the trait `lease::LeaseEvent` says what that is.
///
/// ```text
/// #[derive(LeaseEvent)]
/// #[event(namespace = "order")]                        // crate = PATH, reserved(6, 16..=18)
/// enum OrderEvent {
///     #[event(kind = "placed", tag = 1)]               // reserved(2)
///     Placed { #[event(tag = 1)] order: String },
/// }
/// ```
///
/// Namespace and kinds are lower-case and without dots; tags are Protocol Buffers field numbers, unique among the
/// variants and among the fields of each. A field is a `String`, `Vec<u8>` (bytes), `bool`, `u32` or `u64` (varint), `i32`
/// or `i64` (sint), `f64` (double), an `Option` of these (optional), or a `Vec` of these but `u8` (repeated, numbers
/// packed). These forms never change, and what is reserved is never used again: events outlive the programs that wrote
/// them.
///
/// Expands to an implementation of `LeaseEvent`: a table of the family, and three matches that name each variant once.
#[proc_macro_derive(LeaseEvent, attributes(event))]
pub fn derive_lease_event(input: TokenStream) -> TokenStream {
    event::derive(&syn::parse_macro_input!(input as syn::DeriveInput)).into()
}

/// The path by which an expansion reaches the `lease` crate.
fn root(chosen: Option<&syn::Path>, shown_at: Span) -> proc_macro2::TokenStream {
    let span = diagnostics::ours(shown_at);
    chosen.map_or_else(|| quote_spanned!(span=> ::lease), ToTokens::to_token_stream)
}
