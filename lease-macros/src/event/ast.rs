//! An event family that obeys every rule: what `valid` makes and `expand` takes.

use proc_macro2::TokenStream;
use syn::{Ident, Member, Type};

pub(super) struct Family<'a> {
    pub(super) ident: &'a Ident,
    /// Path of the crate `lease`.
    pub(super) krate: TokenStream,
    pub(super) namespace: String,
    pub(super) variants: Vec<Variant<'a>>,
}

pub(super) struct Variant<'a> {
    pub(super) ident: &'a Ident,
    pub(super) kind: String,
    pub(super) tag: u32,
    pub(super) fields: Vec<Field<'a>>,
}

pub(super) struct Field<'a> {
    pub(super) member: Member,
    pub(super) tag: u32,
    pub(super) ty: &'a Type,
}
