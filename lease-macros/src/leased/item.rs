//! What stands under a `#[leased(…)]`: the head is parsed, the body stays as the tokens that were written.
//!
//! Half-typed bodies reach the compiler untouched, so an editor can still complete in them.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{Attribute, FnArg, Generics, ReturnType, Signature, Token, Visibility, token};

/// An item, with the attributes that follow ours and those that came before it.
pub(super) struct Item {
    pub(super) attrs: Vec<Attribute>,
    pub(super) vis: Visibility,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Type(TypeItem),
    Function(Box<Function>),
    /// Anything else; leases make no sense of it.
    Other(Other),
}

/// A `struct` or an `enum`.
pub(super) struct TypeItem {
    pub(super) ident: Ident,
    pub(super) generics: Generics,
    keyword: Ident,
    /// Where clause, fields, variants.
    rest: TokenStream,
}

pub(super) struct Function {
    pub(super) sig: Signature,
    /// `None`: the function is only declared.
    pub(super) body: Option<Body>,
}

/// A function's body, unparsed.
pub(super) struct Body {
    /// `#![…]` at its start. They speak of the whole function, so they move to it when the body is wrapped.
    pub(super) inner_attrs: Vec<Attribute>,
    pub(super) block: Group,
}

pub(super) struct Other {
    /// "a union", "a trait", …
    pub(super) what: &'static str,
    tokens: TokenStream,
}

impl Item {
    /// Where errors about the item as a whole are shown.
    pub(super) fn span(&self) -> Span {
        match &self.kind {
            Kind::Type(item) => item.ident.span(),
            Kind::Function(function) => function.sig.ident.span(),
            Kind::Other(other) => other
                .tokens
                .clone()
                .into_iter()
                .next()
                .map_or_else(Span::call_site, |token| token.span()),
        }
    }

    /// Where errors about its type are shown: a function's is what it returns.
    pub(super) fn type_span(&self) -> Span {
        match &self.kind {
            Kind::Function(function) => match &function.sig.output {
                ReturnType::Type(_, ty) => ty.span(),
                ReturnType::Default => self.span(),
            },
            Kind::Type(_) | Kind::Other(_) => self.span(),
        }
    }
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let kind = if input.peek(Token![struct]) || input.peek(Token![enum]) {
            Kind::Type(TypeItem {
                keyword: input.call(Ident::parse_any)?,
                ident: input.parse()?,
                generics: input.parse()?,
                rest: input.parse()?,
            })
        } else if is_function(input) {
            Kind::Function(Box::new(Function {
                sig: input.parse()?,
                body: parse_body(input)?,
            }))
        } else {
            Kind::Other(Other {
                what: other_kind(input),
                tokens: input.parse()?,
            })
        };
        Ok(Self { attrs, vis, kind })
    }
}

/// Looks past `const`, `async`, `unsafe`, `extern "C"` for the `fn`.
fn is_function(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    while ahead.peek(Token![const])
        || ahead.peek(Token![async])
        || ahead.peek(Token![unsafe])
        || ahead.peek(Token![extern])
        || ahead.peek(syn::Lit)
    {
        let _ = ahead.parse::<TokenTree>();
    }
    ahead.peek(Token![fn])
}

fn parse_body(input: ParseStream<'_>) -> syn::Result<Option<Body>> {
    if input.parse::<Option<Token![;]>>()?.is_some() {
        return Ok(None);
    }
    if !input.peek(token::Brace) {
        return Err(input.error("expected the function's body"));
    }
    let TokenTree::Group(block) = input.parse()? else {
        return Err(input.error("expected the function's body"));
    };
    Ok(Some(Body::lift(&block)?))
}

impl Body {
    /// Takes the inner attributes out of the block.
    fn lift(block: &Group) -> syn::Result<Self> {
        let split =
            |input: ParseStream<'_>| Ok((Attribute::parse_inner(input)?, input.parse::<TokenStream>()?));
        let (inner_attrs, rest) = split.parse2(block.stream())?;
        let mut lifted = Group::new(Delimiter::Brace, rest);
        lifted.set_span(block.span());
        Ok(Self {
            inner_attrs,
            block: lifted,
        })
    }
}

fn other_kind(input: ParseStream<'_>) -> &'static str {
    let ahead = input.fork();
    match ahead
        .call(Ident::parse_any)
        .map(|word| word.to_string())
        .as_deref()
    {
        Ok("union") => "a union",
        Ok("trait" | "auto") => "a trait",
        Ok("impl") => "an `impl` block",
        Ok("mod") => "a module",
        Ok("type") => "a type alias",
        Ok("const") => "a constant",
        Ok("static") => "a static",
        Ok("use") => "an import",
        Ok("unsafe") => "an unsafe trait or `impl` block",
        Ok("extern") => "an `extern` block",
        Ok("macro_rules") => "a macro",
        Ok("let") => "a statement",
        _ => "this",
    }
}

impl ToTokens for Item {
    /// The item as it was written, without the marks that only `#[leased]` understands.
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attrs, vis, kind } = self;
        tokens.extend(quote!(#(#attrs)* #vis));
        match kind {
            Kind::Type(item) => item.to_tokens(tokens),
            Kind::Function(function) => {
                function.sig_without_marks().to_tokens(tokens);
                match &function.body {
                    None => <Token![;]>::default().to_tokens(tokens),
                    Some(body) => body.to_tokens(tokens),
                }
            }
            Kind::Other(other) => tokens.extend(other.tokens.clone()),
        }
    }
}

impl ToTokens for TypeItem {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            keyword,
            ident,
            generics,
            rest,
        } = self;
        // The where clause, if any, is in `rest`: generics alone print their angle brackets only.
        tokens.extend(quote!(#keyword #ident #generics #rest));
    }
}

impl ToTokens for Body {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { inner_attrs, block } = self;
        let inside = block.stream();
        let mut whole = Group::new(Delimiter::Brace, quote!(#(#inner_attrs)* #inside));
        whole.set_span(block.span());
        whole.to_tokens(tokens);
    }
}

impl Function {
    /// The signature that callers see: the marks are ours, everything else is the user's.
    pub(super) fn sig_without_marks(&self) -> Signature {
        let mut sig = self.sig.clone();
        for input in &mut sig.inputs {
            attrs_of(input).retain(|attr| !is_mark(attr));
        }
        sig
    }

    /// The parameters marked `#[lease]`.
    pub(super) fn marked(&self) -> impl Iterator<Item = &FnArg> {
        self.sig.inputs.iter().filter(|input| {
            let attrs = match input {
                FnArg::Receiver(receiver) => &receiver.attrs,
                FnArg::Typed(typed) => &typed.attrs,
            };
            attrs.iter().any(is_mark)
        })
    }
}

/// Whether `impl …` stands anywhere in a type. Such a type cannot be named a second time.
pub(super) fn names_impl(ty: TokenStream) -> bool {
    ty.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "impl",
        TokenTree::Group(group) => names_impl(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn attrs_of(input: &mut FnArg) -> &mut Vec<Attribute> {
    match input {
        FnArg::Receiver(receiver) => &mut receiver.attrs,
        FnArg::Typed(typed) => &mut typed.attrs,
    }
}

/// `#[lease]`, on a parameter or a field.
pub(crate) fn is_mark(attr: &Attribute) -> bool {
    attr.path().is_ident("lease")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(tokens: TokenStream) -> String {
        let item: Item = syn::parse2(tokens).expect("an item");
        item.into_token_stream().to_string()
    }

    #[test]
    fn items_come_out_as_they_went_in() {
        for tokens in [
            quote!(
                #[doc = "a"]
                pub struct A<'a, const N: usize, T: Copy = u8>
                where
                    T: Send,
                {
                    #[x]
                    a: &'a [T; N],
                }
            ),
            quote!(
                struct B<T>(T)
                where
                    T: Send;
            ),
            quote!(
                pub(crate) enum C {
                    A = 1,
                    B { x: u8 },
                }
            ),
            quote!(
                pub const async unsafe extern "C" fn f<T>(self: Arc<Self>, mut r#x: T) -> T
                where
                    T: Copy,
                {
                    x
                }
            ),
            quote!(fn half() { self. }),
            quote!(
                fn inner() {
                    #![allow(unused)]
                    1
                }
            ),
            quote!(
                fn declared(&self);
            ),
            quote!(union U { a: u8 }),
            quote!(
                unsafe impl Send for X {}
            ),
        ] {
            assert_eq!(written(tokens.clone()), tokens.to_string());
        }
    }

    #[test]
    fn marks_go_and_other_attributes_stay() {
        let marked = "fn f (# [x] # [lease] & self , # [lease] a : & [u8]) { }";
        let plain = "fn f (# [x] & self , a : & [u8]) { }";
        assert_eq!(written(marked.parse().expect("tokens")), plain);
    }
}
