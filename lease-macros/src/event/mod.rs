//! `#[derive(LeaseEvent)]`: parse (`attr`) → valid (`valid`, into `ast`) → expand.

mod ast;
mod attr;
mod expand;
mod valid;

use proc_macro2::TokenStream;
use syn::DeriveInput;

/// The implementation of `LeaseEvent`, or everything that is wrong with the enum.
pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    if !cfg!(feature = "work") {
        let message = "`LeaseEvent` needs the feature `work` of the crate `lease`";
        return syn::Error::new(input.ident.span(), message).to_compile_error();
    }
    match valid::family(input) {
        Ok(family) => expand::implementation(&family),
        Err(error) => {
            let mut tokens = error.to_compile_error();
            tokens.extend(expand::placeholder(input));
            tokens
        }
    }
}
