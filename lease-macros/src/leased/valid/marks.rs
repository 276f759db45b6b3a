//! The parameters marked `#[lease]`.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{FnArg, Pat, ReceiverKind, Type};

use super::Marked;
use crate::diagnostics::Errors;
use crate::leased::item::{Function, is_mark};

pub(super) fn parameters(function: &Function, errors: &mut Errors) -> Vec<Marked> {
    let mut marked = Vec::new();
    let mut seen = false;
    for input in function.marked() {
        seen = true;
        marked.extend(errors.keep(marked_parameter(input)));
    }
    if !seen {
        nothing_marked(function, errors);
    }
    marked
}

fn nothing_marked(function: &Function, errors: &mut Errors) {
    let example = function.sig.inputs.iter().find_map(|input| match input {
        FnArg::Typed(typed) if matches!(&*typed.ty, Type::Reference(_)) => Some(
            typed
                .to_token_stream()
                .to_string()
                .replace("& ", "&")
                .replace(" :", ":"),
        ),
        _ => None,
    });
    let example = example.unwrap_or_else(|| "frame: &[u8]".to_owned());
    errors.at(
        &function.sig.ident,
        format_args!("nothing is borrowed: mark the memory that goes on record, as in `#[lease] {example}`"),
    );
}

fn marked_parameter(input: &FnArg) -> syn::Result<Marked> {
    let by_value = |tokens: &dyn ToTokens| {
        syn::Error::new_spanned(
            tokens.to_token_stream(),
            "`#[lease]` marks borrowed memory, and this parameter is passed by value: take a reference or a slice",
        )
    };
    let (attrs, name) = match input {
        FnArg::Receiver(receiver) => match &receiver.kind {
            ReceiverKind::Reference(..) => (&receiver.attrs, Ident::from(receiver.self_token)),
            _ => return Err(by_value(receiver)),
        },
        FnArg::Typed(typed) => {
            if !matches!(&*typed.ty, Type::Reference(_)) {
                return Err(by_value(&typed.ty));
            }
            match &*typed.pat {
                Pat::Ident(pat) if pat.subpat.is_none() && pat.by_ref.is_none() => {
                    (&typed.attrs, pat.ident.clone())
                }
                pat => {
                    return Err(syn::Error::new_spanned(
                        pat,
                        "a parameter marked `#[lease]` needs a plain name; take it apart in the body",
                    ));
                }
            }
        }
    };
    if let Some(mark) = attrs
        .iter()
        .find(|attr| is_mark(attr) && attr.meta.require_path_only().is_err())
    {
        return Err(syn::Error::new_spanned(mark, "`#[lease]` takes no arguments"));
    }
    Ok(Marked {
        cfgs: attrs
            .iter()
            .filter(|attr| attr.path().is_ident("cfg"))
            .cloned()
            .collect(),
        name,
    })
}
