//! `lease_scope!([strategy = EXPR,] |scope| { … })`: the block, with a storage in front of it.
//!
//! Spliced, not wrapped in a closure: `?`, `return`, `break`, `continue` and `.await` mean what they mean outside.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::{Expr, Token, token};

use crate::diagnostics::ours;

/// The whole macro. `input` is what the `macro_rules!` in `lease` passes on: its `$crate` in brackets, then the user's tokens.
pub(crate) fn lease_scope(input: TokenStream) -> TokenStream {
    match syn::parse2::<Wrapped>(input) {
        Ok(Wrapped { root, call: Ok(call) }) => {
            let body = splice(&root, &call.name, call.strategy.as_ref(), &call.block);
            braced(body, call.block.span()).into_token_stream()
        }
        Ok(Wrapped { call: Err(error), .. }) | Err(error) => error.into_compile_error(),
    }
}

/// `let mut NAME = storage; let NAME = handle; BLOCK`.
///
/// Storage and handle both stand under the user's own name and span, so that an error about something that outlives the
/// scope speaks of it: "`scope` does not live long enough".
pub(crate) fn splice(
    root: &TokenStream,
    name: &Ident,
    strategy: Option<&Expr>,
    block: &Group,
) -> TokenStream {
    let span = ours(name.span());
    let storage = match strategy {
        None => quote_spanned!(span=> #root::__private::Storage::new()),
        Some(strategy) => quote_spanned!(span=> #root::__private::Storage::with_strategy(#strategy)),
    };
    let block = rebraced(block);
    // Under the user's span: the compiler does not speak by name of a variable that another crate's tokens declare.
    let mutable = Token![mut](name.span());
    quote_spanned!(span=>
        let #mutable #name = #storage;
        let #name = #root::__private::handle(&mut #name);
        #block
    )
}

/// The same block in braces of ours: in the user's, the compiler would take them for superfluous (`unused_braces`).
pub(crate) fn rebraced(block: &Group) -> Group {
    braced(block.stream(), block.span())
}

/// A block of ours, so that our edition's drop order holds in it, shown where the user's is.
pub(crate) fn braced(tokens: TokenStream, shown_at: Span) -> Group {
    let mut block = Group::new(Delimiter::Brace, tokens);
    block.set_span(ours(shown_at));
    block
}

/// The name of a scope that nobody can name.
pub(crate) fn unnamed(shown_at: Span) -> Ident {
    Ident::new("_scope", ours(shown_at))
}

struct Wrapped {
    root: TokenStream,
    call: syn::Result<Call>,
}

struct Call {
    strategy: Option<Expr>,
    name: Ident,
    block: Group,
}

impl Parse for Wrapped {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let root;
        syn::bracketed!(root in input);
        let root = root.parse()?;
        let call = input.parse();
        // What is left after an error has been spoken of.
        let _: TokenStream = input.parse()?;
        Ok(Self { root, call })
    }
}

impl Parse for Call {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() {
            return Err(empty());
        }
        let strategy = parse_strategy(input)?;
        let name = parse_binding(input)?;
        let block = parse_block(input)?;
        nothing_after(input)?;
        Ok(Self {
            strategy,
            name,
            block,
        })
    }
}

fn empty() -> syn::Error {
    syn::Error::new(
        Span::call_site(),
        "an empty scope: write `lease_scope!(|scope| { … })`",
    )
}

fn parse_strategy(input: ParseStream<'_>) -> syn::Result<Option<Expr>> {
    if !(input.peek(syn::Ident) && input.peek2(Token![=])) {
        return Ok(None);
    }
    let option: Ident = input.parse()?;
    if option != "strategy" {
        return Err(syn::Error::new_spanned(
            &option,
            format_args!("unknown option `{option}`: `lease_scope!` takes `strategy = …`"),
        ));
    }
    input.parse::<Token![=]>()?;
    let strategy = input.parse()?;
    input.parse::<Token![,]>()?;
    Ok(Some(strategy))
}

/// `|scope|`: exactly one plain name.
fn parse_binding(input: ParseStream<'_>) -> syn::Result<Ident> {
    const EXPECTED: &str = "a scope is given one name: write `lease_scope!(|scope| { … })`";
    if input.peek(Token![||]) || !input.peek(Token![|]) {
        return Err(syn::Error::new(input.span(), EXPECTED));
    }
    input.parse::<Token![|]>()?;
    let name = if input.peek(Token![_]) {
        let underscore: Token![_] = input.parse()?;
        unnamed(underscore.span)
    } else {
        let at = input.span();
        input.parse().map_err(|_| syn::Error::new(at, EXPECTED))?
    };
    let at = input.span();
    input
        .parse::<Token![|]>()
        .map_err(|_| syn::Error::new(at, EXPECTED))?;
    Ok(name)
}

fn parse_block(input: ParseStream<'_>) -> syn::Result<Group> {
    if input.peek(token::Brace)
        && let TokenTree::Group(block) = input.parse()?
    {
        return Ok(block);
    }
    Err(input.error("expected a block: write `lease_scope!(|scope| { … })`"))
}

fn nothing_after(input: ParseStream<'_>) -> syn::Result<()> {
    input.parse::<Option<Token![,]>>()?;
    if input.is_empty() {
        return Ok(());
    }
    Err(input.error("nothing can follow the block: the scope ends with it"))
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn error_of(call: &TokenStream) -> String {
        match syn::parse2::<Wrapped>(quote!([$crate] #call)) {
            Ok(Wrapped { call: Err(error), .. }) | Err(error) => error.to_string(),
            Ok(_) => String::new(),
        }
    }

    #[test]
    fn a_name_and_a_block_are_enough() {
        assert_eq!(error_of(&quote!(|scope| { scope.alloc(1) })), "");
        assert_eq!(error_of(&quote!(strategy = a::<B, C>(), |r#in| {},)), "");
        assert_eq!(error_of(&quote!(|_| {})), "");
    }

    #[test]
    fn anything_else_is_told_what_is_missing() {
        for (call, message) in [
            (quote!(), "empty"),
            (quote!({ 1 }), "one name"),
            (quote!(|| { 1 }), "one name"),
            (quote!(|a, b| { 1 }), "one name"),
            (quote!(|(a, b)| { 1 }), "one name"),
            (quote!(|a| 1), "expected a block"),
            (quote!(|a|), "expected a block"),
            (quote!(|a| { 1 } 2), "nothing can follow"),
            (quote!(stratgy = 1, |a| {}), "unknown option `stratgy`"),
        ] {
            let error = error_of(&call);
            assert!(error.contains(message), "{call}: {error}");
        }
    }
}
