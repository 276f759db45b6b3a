//! From entries and an item to one of the forms that exist. One function per rule.
//!
//! Rules report and go on with something harmless in place of what was wrong: the expansion that follows then keeps the
//! compiler from complaining about the consequences.

mod contract;
mod exclusive;
mod function;
mod hold;
mod marks;
mod options;
mod returns;
#[cfg(test)]
mod tests;

use proc_macro2::Ident;
use quote::{ToTokens as _, format_ident};
use syn::ext::IdentExt as _;
use syn::{Attribute, Expr, Path};

use self::options::Options;
use super::args::Entry;
use super::contract::{Contract, Target};
use super::future::AsyncBlock;
use super::item::{Item, Kind, TypeItem};
use super::value::{self, Work};
use crate::diagnostics::{Errors, ours};

/// What one use of `#[leased]` asks for.
pub(in crate::leased) struct Leased {
    /// The path of the `lease` crate; `None` for the usual one.
    pub(in crate::leased) root: Option<Path>,
    pub(in crate::leased) form: Form,
    /// How a function's body runs.
    pub(in crate::leased) shape: Shape,
}

/// How a function's body runs, and with it how long a lease around it is held.
pub(in crate::leased) enum Shape {
    Sync,
    /// An `async fn`.
    Async,
    /// A plain function whose body is one async block, to be held with it.
    Future(AsyncBlock),
}

/// A contract on an item that it fits.
pub(in crate::leased) enum Form {
    OwnedType(OwnedType),
    BorrowedType,
    OwnedFn,
    ScopedFn(Scoped),
    BorrowedFn {
        owner: Option<Expr>,
        marked: Vec<Marked>,
    },
    StaticFn {
        owner: Option<Expr>,
    },
    ExclusiveFn(Box<Exclusive>),
    /// A function that no expansion would do right; its body is set aside.
    RefusedFn,
}

pub(in crate::leased) struct OwnedType {
    /// A number or a constant.
    pub(in crate::leased) capacity: Option<Expr>,
    /// A `fn(&mut Self)`.
    pub(in crate::leased) recycle: Option<Path>,
    pub(in crate::leased) strategy: Option<Path>,
    pub(in crate::leased) strong: Ident,
    pub(in crate::leased) weak: Ident,
}

pub(in crate::leased) struct Scoped {
    pub(in crate::leased) scope: Option<Ident>,
    pub(in crate::leased) strategy: Option<Expr>,
}

/// A parameter whose memory goes on record.
pub(in crate::leased) struct Marked {
    /// `#[cfg(…)]` on the parameter: the record comes and goes with it.
    pub(in crate::leased) cfgs: Vec<Attribute>,
    pub(in crate::leased) name: Ident,
}

/// Times are expressions of type `Duration`, or literals already read.
pub(in crate::leased) struct Exclusive {
    pub(in crate::leased) work: Work,
    pub(in crate::leased) ttl: value::Time,
    pub(in crate::leased) wait: Option<value::Time>,
    pub(in crate::leased) at_most: Option<value::Time>,
    pub(in crate::leased) at_least: Option<value::Time>,
    pub(in crate::leased) registrar: Option<Expr>,
    pub(in crate::leased) actor: Option<Expr>,
    pub(in crate::leased) claim: Option<Ident>,
}

/// Judges one use. `None`: there is nothing to expand, the item stands as it is.
pub(in crate::leased) fn check(entries: Vec<Entry>, item: &Item, errors: &mut Errors) -> Option<Leased> {
    second_leased(item, errors);
    let target = leasable(item, errors)?;
    let (contract, entries) = contract::choose(entries, target, errors)?;
    let options = contract::fits(contract, target, item, errors)?;
    let mut options = Options::gather(entries, contract, target, options, errors);
    let root = options.path("crate", errors);
    let (form, shape) = match &item.kind {
        Kind::Type(item) if contract == Contract::Owned => {
            (owned_type(item, &mut options, errors)?, Shape::Sync)
        }
        Kind::Type(_) => (Form::BorrowedType, Shape::Sync),
        Kind::Function(function) => function::check(contract, function, &mut options, errors)?,
        Kind::Other(_) => return None,
    };
    Some(Leased { root, form, shape })
}

fn second_leased(item: &Item, errors: &mut Errors) {
    for attr in item.attrs.iter().filter(|attr| is_leased(attr)) {
        errors.at(
            attr.path(),
            "a second `#[leased]` on one item: an item is leased under one contract",
        );
    }
}

/// Ours, under whatever path it was imported.
pub(in crate::leased) fn is_leased(attr: &Attribute) -> bool {
    attr.path()
        .segments
        .last()
        .is_some_and(|last| last.ident == "leased")
}

fn leasable(item: &Item, errors: &mut Errors) -> Option<Target> {
    match &item.kind {
        Kind::Type(_) => Some(Target::Type),
        Kind::Function(_) => Some(Target::Function),
        Kind::Other(other) if other.what == "a static" => {
            errors.at_span(
                item.span(),
                "`#[leased]` cannot stand on a static: put it on record with `owner.track_static(&NAME)`",
            );
            None
        }
        Kind::Other(other) => {
            let what = other.what;
            errors.at_span(
                item.span(),
                format_args!("`#[leased]` cannot stand on {what}: it leases structs, enums and functions"),
            );
            None
        }
    }
}

fn owned_type(item: &TypeItem, options: &mut Options, errors: &mut Errors) -> Option<Form> {
    generic_owned_type(item, errors)?;
    let default_name = |suffix| {
        let name = format_ident!("{}{suffix}", item.ident.unraw());
        Ident::new(&name.to_string(), ours(item.ident.span()))
    };
    let capacity = options.expr("capacity");
    Some(Form::OwnedType(OwnedType {
        capacity: capacity.and_then(|expr| errors.keep(value::capacity(expr))),
        recycle: options.path("recycle", errors),
        strategy: options.path("strategy", errors),
        strong: options
            .name("strong", errors)
            .unwrap_or_else(|| default_name("Lease")),
        weak: options
            .name("weak", errors)
            .unwrap_or_else(|| default_name("Weak")),
    }))
}

/// A static cannot be generic, so there is no pool for every instance.
fn generic_owned_type(item: &TypeItem, errors: &mut Errors) -> Option<()> {
    if item.generics.params.is_empty() {
        return Some(());
    }
    let name = &item.ident;
    errors.at(
        &item.generics,
        format_args!(
            "`owned` makes one static pool, but every instance of `{name}{}` is a type of its own: \
             lease it from a `Pool` value instead, as in `let pool = Pool::new(); pool.acquire({name} {{ … }})`",
            item.generics.to_token_stream().to_string().replace(' ', ""),
        ),
    );
    None
}
