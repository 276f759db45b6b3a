//! The macros of the `lease` crate. Depend on `lease`, which re-exports them and documents them.

#![forbid(unsafe_code)]

mod event;

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
pub fn derive_lease_event(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    event::derive(&syn::parse_macro_input!(input as syn::DeriveInput)).into()
}
