//! Types: `owned` gives them a pool of their own, `borrowed` a list of the fields that hold somebody else's memory.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Attribute, Field, Fields, Path, Type};

use super::item::{Item, TypeItem, is_mark};
use super::valid::OwnedType;
use crate::diagnostics::{Errors, ours};

/// The type unchanged, its pool, its names for leases.
pub(super) fn owned(root: &TokenStream, item: &Item, ty: &TypeItem, options: &OwnedType) -> TokenStream {
    let TypeItem { ident, .. } = ty;
    let OwnedType {
        capacity,
        recycle,
        strategy,
        strong,
        weak,
    } = options;
    let vis = &item.vis;
    let span = ours(ident.span());
    let capacity = capacity
        .as_ref()
        .map(|capacity| quote_spanned!(span=> .capacity(#capacity)));
    let recycle = recycle
        .as_ref()
        .map(|recycle| quote_spanned!(span=> .recycle(#recycle)));
    let (strategy, build) = match strategy {
        None => (
            quote_spanned!(span=> #root::strategy::System),
            quote_spanned!(span=> .build()),
        ),
        Some(path) => (
            quote_spanned!(span=> &'static dyn #root::strategy::MemoryStrategy),
            quote_spanned!(span=> .build_in(&#path)),
        ),
    };
    // Under our span, so that what is wrong with the type is said once and not for every mention of it.
    let mut payload = ident.clone();
    payload.set_span(span);
    let strong_doc = format!("A strong lease of a [`{ident}`].");
    let weak_doc = format!("A weak lease of a [`{ident}`]: keeps nobody alive.");
    quote_spanned!(span=>
        #item

        #[doc = #strong_doc]
        #vis type #strong = #root::StrongLease<#payload>;

        #[doc = #weak_doc]
        #vis type #weak = #root::WeakLease<#payload>;

        impl #root::Leased for #payload {
            type Strategy = #strategy;

            fn pool() -> &'static #root::Pool<#payload, Self::Strategy> {
                static POOL: #root::Pool<#payload, #strategy> = #root::Pool::builder()#capacity #recycle #build;
                &POOL
            }
        }
    )
}

/// The type unchanged, under a derive that sees its fields after `#[cfg]`.
pub(super) fn borrowed(root: &TokenStream, item: &Item) -> TokenStream {
    quote!(
        #[derive(#root::__private::TrackBorrowed)]
        #[lease(crate = #root)]
        #item
    )
}

/// `impl TrackBorrowed` for the marked fields.
pub(crate) fn track_borrowed(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(item) = errors.keep(syn::parse2::<syn::Item>(input)) else {
        return errors.to_tokens();
    };
    let (attrs, ident, generics, variants) = match &item {
        syn::Item::Struct(item) => {
            let only = Variant {
                path: quote!(Self),
                fields: &item.fields,
            };
            (&item.attrs, &item.ident, &item.generics, vec![only])
        }
        syn::Item::Enum(item) => {
            let variants = item.variants.iter().map(|variant| {
                let name = &variant.ident;
                Variant {
                    path: quote!(Self::#name),
                    fields: &variant.fields,
                }
            });
            (&item.attrs, &item.ident, &item.generics, variants.collect())
        }
        // `#[leased]` has refused everything else.
        _ => return TokenStream::new(),
    };
    if !variants
        .iter()
        .any(|variant| variant.fields.iter().any(is_marked))
    {
        no_marked_field(ident, &mut errors);
    }
    let root = crate::root(chosen_root(attrs).as_ref(), ident.span());
    let arms: Vec<TokenStream> = variants.iter().map(|variant| variant.arm(&mut errors)).collect();
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let errors = errors.to_tokens();
    quote_spanned!(ours(ident.span())=>
        #[automatically_derived]
        impl #impl_generics #root::TrackBorrowed for #ident #type_generics #where_clause {
            fn borrowed_fields(&self, fields: &mut #root::BorrowedFields<'_>) {
                match self {
                    #(#arms)*
                }
            }
        }
        #errors
    )
}

/// A struct, or one variant of an enum.
struct Variant<'a> {
    path: TokenStream,
    fields: &'a Fields,
}

impl Variant<'_> {
    /// `Self { frame: memory0, .. } => { fields.record(&**memory0); }`
    fn arm(&self, errors: &mut Errors) -> TokenStream {
        let span = ours(proc_macro2::Span::call_site());
        let mut patterns = Vec::new();
        let mut records = Vec::new();
        for (at, (field, member)) in self.fields.iter().zip(self.fields.members()).enumerate() {
            if !is_marked(field) {
                continue;
            }
            if !matches!(field.ty, Type::Reference(_)) {
                marked_field_by_value(field, errors);
                continue;
            }
            let memory = format_ident!("memory{at}", span = span);
            patterns.push(quote_spanned!(span=> #member: #memory,));
            records.push(quote_spanned!(span=> fields.record(&**#memory);));
        }
        let path = &self.path;
        quote_spanned!(span=> #path { #(#patterns)* .. } => { #(#records)* })
    }
}

fn is_marked(field: &Field) -> bool {
    field.attrs.iter().any(is_mark)
}

/// `#[lease(crate = PATH)]`, which `#[leased(borrowed)]` leaves on the type.
fn chosen_root(attrs: &[Attribute]) -> Option<Path> {
    let mut root = None;
    for attr in attrs.iter().filter(|attr| is_mark(attr)) {
        // Written by us: what does not parse was not.
        let _ = attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("crate") {
                root = Some(meta.value()?.parse()?);
            }
            Ok(())
        });
    }
    root
}

fn no_marked_field(ident: &Ident, errors: &mut Errors) {
    errors.at(
        ident,
        "nothing is borrowed: mark the fields that hold the memory, as in `#[lease] frame: &'a [u8]`",
    );
}

fn marked_field_by_value(field: &Field, errors: &mut Errors) {
    errors.at(
        &field.ty,
        "`#[lease]` marks borrowed memory, and this field holds a value: mark a reference or a slice",
    );
}
