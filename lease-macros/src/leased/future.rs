//! Functions that return futures without being `async`, as far as their signature and their body tell.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{
    Expr, ExprCall, GenericArgument, Path, PathArguments, PathSegment, ReturnType, Token, Type,
    TypeParamBound,
};

use super::item::Function;

/// A body that is one async block and nothing else: `async move { … }` or `Box::pin(async move { … })`.
pub(super) struct AsyncBlock {
    /// `Box::pin`, or nothing.
    wrapper: TokenStream,
    /// `async move`.
    keywords: TokenStream,
    pub(super) block: Group,
}

impl Function {
    /// What the body comes to: the declared type, or what its future is declared to yield.
    pub(super) fn output(&self, future: bool) -> TokenStream {
        let ReturnType::Type(_, ty) = &self.sig.output else {
            return quote!(());
        };
        if !future {
            return ty.to_token_stream();
        }
        yielded(ty).map_or_else(
            || quote!(<#ty as ::core::future::Future>::Output),
            ToTokens::to_token_stream,
        )
    }

    /// Whether the declared type is a future, as far as its name tells.
    pub(super) fn returns_future(&self) -> bool {
        match &self.sig.output {
            ReturnType::Default => false,
            ReturnType::Type(_, ty) => {
                yielded(ty).is_some()
                    || matches!(&**ty, Type::Path(path) if last_name(&path.path).ends_with("BoxFuture"))
            }
        }
    }

    /// What `#[async_trait]` makes of an `async fn`.
    pub(super) fn is_async_trait_method(&self) -> bool {
        self.sig
            .generics
            .lifetimes()
            .any(|param| param.lifetime.ident == "async_trait")
    }

    /// The body, if it is one async block.
    pub(super) fn async_block(&self) -> Option<AsyncBlock> {
        let tokens = self.body.as_ref()?.block.stream();
        if let Ok(bare) = syn::parse2::<AsyncBlock>(tokens.clone()) {
            return Some(bare);
        }
        let call: ExprCall = syn::parse2(tokens).ok()?;
        let Expr::Path(function) = &*call.func else {
            return None;
        };
        if last_name(&function.path) != "pin" {
            return None;
        }
        let mut arguments = call.args.iter();
        let (argument, None) = (arguments.next()?, arguments.next()) else {
            return None;
        };
        let block: AsyncBlock = syn::parse2(argument.to_token_stream()).ok()?;
        Some(AsyncBlock {
            wrapper: function.to_token_stream(),
            ..block
        })
    }
}

impl Parse for AsyncBlock {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let asyncness: Token![async] = input.parse()?;
        let capture: Option<Token![move]> = input.parse()?;
        if let TokenTree::Group(block) = input.parse()?
            && block.delimiter() == Delimiter::Brace
        {
            return Ok(Self {
                wrapper: TokenStream::new(),
                keywords: quote!(#asyncness #capture),
                block,
            });
        }
        Err(input.error("expected an async block"))
    }
}

impl AsyncBlock {
    /// The same block around another body.
    pub(super) fn around(&self, body: &Group) -> TokenStream {
        let Self {
            wrapper, keywords, ..
        } = self;
        if wrapper.is_empty() {
            quote!(#keywords #body)
        } else {
            quote!(#wrapper(#keywords #body))
        }
    }
}

/// The `X` of `Output = X`, anywhere in a type.
fn yielded(ty: &Type) -> Option<&Type> {
    let bounds = match ty {
        Type::ImplTrait(ty) => &ty.bounds,
        Type::TraitObject(ty) => &ty.bounds,
        Type::Path(ty) => {
            return generic_arguments(ty.path.segments.last()?).find_map(|argument| match argument {
                GenericArgument::Type(ty) => yielded(ty),
                _ => None,
            });
        }
        _ => return None,
    };
    bounds.iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => {
            generic_arguments(bound.path.segments.last()?).find_map(|argument| match argument {
                GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(&assoc.ty),
                _ => None,
            })
        }
        _ => None,
    })
}

fn generic_arguments(segment: &PathSegment) -> impl Iterator<Item = &GenericArgument> {
    match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(arguments.args.iter()),
        _ => None,
    }
    .into_iter()
    .flatten()
}

fn last_name(path: &Path) -> String {
    path.segments
        .last()
        .map(|segment| segment.ident.to_string())
        .unwrap_or_default()
}
