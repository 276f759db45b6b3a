//! The implementation of `LeaseEvent`: a table of the family and three matches, as one would write it by hand.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{DeriveInput, Member, spanned::Spanned};

use super::ast::{Family, Field, Variant};
use crate::diagnostics::ours;

pub(super) fn implementation(family: &Family<'_>) -> TokenStream {
    let Family {
        ident,
        krate,
        namespace,
        variants,
    } = family;
    let arms = variants.iter().map(|variant| table(family, variant));
    let which = variants.iter().enumerate().map(|(index, Variant { ident, .. })| {
        quote!(Self::#ident { .. } => &<Self as #krate::LeaseEvent>::ARMS[#index])
    });
    let writes = variants.iter().map(|variant| write(family, variant));
    let reads = variants.iter().map(read);
    let wire = quote!(#krate::__private::event);
    let body = quote_spanned! {Span::mixed_site()=>
        const NAMESPACE: &'static ::core::primitive::str = #namespace;
        const ARMS: &'static [#wire::Arm] = &[#(#arms),*];

        fn arm(&self) -> &'static #wire::Arm {
            match self { #(#which),* }
        }

        fn write_fields(&self, message: &mut #wire::Bytes) {
            match self { #(#writes)* }
        }

        fn from_arm(found: &#wire::Found<'_>) -> ::core::result::Result<Self, #krate::EventError> {
            match found.arm().tag {
                #(#reads)*
                _ => ::core::result::Result::Err(#krate::EventError::NoArm { namespace: #namespace }),
            }
        }
    };
    quote! {
        #[automatically_derived]
        impl #krate::LeaseEvent for #ident { #body }
    }
}

/// Stands in for the implementation of a family with mistakes, so that its users are not blamed too.
pub(super) fn placeholder(input: &DeriveInput, krate: &TokenStream) -> TokenStream {
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    quote_spanned! {Span::mixed_site()=>
        #[automatically_derived]
        impl #generics #krate::LeaseEvent for #ident #arguments #bounds {
            const NAMESPACE: &'static ::core::primitive::str = "";
            const ARMS: &'static [#krate::__private::event::Arm] = &[];

            fn arm(&self) -> &'static #krate::__private::event::Arm {
                ::core::unreachable!()
            }

            fn write_fields(&self, _: &mut #krate::__private::event::Bytes) {}

            fn from_arm(
                _: &#krate::__private::event::Found<'_>,
            ) -> ::core::result::Result<Self, #krate::EventError> {
                ::core::unreachable!()
            }
        }
    }
}

/// The variant's row in the family's table.
fn table(family: &Family<'_>, variant: &Variant<'_>) -> TokenStream {
    let krate = &family.krate;
    let Variant {
        kind, tag, fields, ..
    } = variant;
    let fields = fields.iter().map(|Field { member, tag, ty }| {
        let name = match member {
            Member::Named(ident) => syn::ext::IdentExt::unraw(ident).to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        };
        // At the user's type: that is where a type without a wire form is told.
        let form = quote_spanned!(ours(ty.span())=> <#ty as #krate::__private::event::Field>::FORM);
        quote!(#krate::__private::event::FieldInfo { name: #name, tag: #tag, form: #form })
    });
    quote!(#krate::__private::event::Arm { kind: #kind, tag: #tag, fields: &[#(#fields),*] })
}

fn write(family: &Family<'_>, variant: &Variant<'_>) -> TokenStream {
    let krate = &family.krate;
    let Variant { ident, fields, .. } = variant;
    let names = (0..fields.len()).map(|index| format_ident!("field_{index}", span = Span::mixed_site()));
    let members = fields.iter().map(|field| &field.member);
    let writes = fields
        .iter()
        .zip(names.clone())
        .map(|(Field { tag, ty, .. }, name)| {
            let message = format_ident!("message", span = Span::mixed_site());
            quote_spanned!(ours(ty.span())=> #krate::__private::event::Field::write(#name, #tag, #message);)
        });
    quote!(Self::#ident { #(#members: #names),* } => { #(#writes)* })
}

fn read(variant: &Variant<'_>) -> TokenStream {
    let Variant {
        ident, tag, fields, ..
    } = variant;
    let reads = fields.iter().map(|Field { member, tag, ty }| {
        let found = format_ident!("found", span = Span::mixed_site());
        quote_spanned!(ours(ty.span())=> #member: #found.field(#tag)?)
    });
    quote!(#tag => ::core::result::Result::Ok(Self::#ident { #(#reads),* }),)
}
