//! `#[derive(LeaseEvent)]`: parse (`attr`) → valid (`valid`, into `ast`) → expand.

mod ast;
mod attr;
mod expand;
mod valid;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::diagnostics::Errors;

/// The implementation of `LeaseEvent`, or everything that is wrong with the enum.
pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    if !cfg!(feature = "work") {
        let message =
            "`LeaseEvent` needs the feature `work` of `lease`: `lease = { …, features = [\"work\"] }`";
        errors.at(&input.ident, message);
        return errors.to_tokens();
    }
    let family = valid::family(input, &mut errors);
    if errors.is_empty() {
        return expand::implementation(&family);
    }
    let mut tokens = errors.to_tokens();
    tokens.extend(expand::placeholder(input, &family.krate));
    tokens
}
