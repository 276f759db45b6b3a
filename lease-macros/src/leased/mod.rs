//! `#[leased(…)]`: parse, then judge, then expand.

mod args;
mod contract;
mod duration;
mod function;
mod future;
mod item;
mod statics;
mod types;
mod valid;
mod value;

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};

use self::item::{Item, Kind};
use self::valid::{Form, Leased};
use crate::diagnostics::Errors;
pub(crate) use types::track_borrowed;

/// The whole attribute. Errors come with the item, so that nobody misses it.
pub(crate) fn leased(args: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let entries = args::parse(args, &mut errors);
    let Some(mut item) = errors.keep(syn::parse2::<Item>(item.clone())) else {
        let errors = errors.to_tokens();
        return quote!(#item #errors);
    };
    let leased = valid::check(entries, &item, &mut errors);
    item.attrs.retain(|attr| !valid::is_leased(attr));
    let expansion = leased.map_or_else(|| item.to_token_stream(), |leased| expand(&leased, &item));
    let errors = errors.to_tokens();
    quote!(#expansion #errors)
}

fn expand(leased: &Leased, item: &Item) -> TokenStream {
    let root = crate::root(leased.root.as_ref(), item.type_span());
    match (&item.kind, &leased.form) {
        (Kind::Type(ty), Form::OwnedType(options)) => types::owned(&root, item, ty, options),
        (Kind::Type(_), Form::BorrowedType) => types::borrowed(&root, item),
        (Kind::Function(function), _) => function::expand(&root, item, function, leased),
        _ => item.to_token_stream(),
    }
}
