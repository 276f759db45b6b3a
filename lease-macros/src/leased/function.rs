//! Functions: the signature stays, the body is put into the lease.
//!
//! Where nothing has to be done with the result, the body is only spliced behind a guard, and `return`, `?` and `.await`
//! need no help. Where the result matters (`owned`, `static`, `exclusive`), something has to catch `return` and `?`: a
//! closure in a plain function, an async block in an async one. Both are told their type, or the coercions that the
//! declared type allows in the body would be lost: the closure by its annotation, the block by a `return` that never runs.

use proc_macro2::{Group, TokenStream};
use quote::{ToTokens as _, quote, quote_spanned};

use super::item::{Body, Function, Item};
use super::statics;
use super::valid::{Exclusive, Form, Leased, Marked, Scoped, Shape};
use super::value::{Time, Work};
use crate::diagnostics::ours;
use crate::scope::{self, braced, rebraced};

/// The function with its body in the lease.
pub(super) fn expand(root: &TokenStream, item: &Item, function: &Function, leased: &Leased) -> TokenStream {
    let Some(Body { inner_attrs, block }) = &function.body else {
        return item.to_token_stream();
    };
    let held = HeldBody {
        root,
        is_async: !matches!(leased.shape, Shape::Sync),
        output: function.output(matches!(leased.shape, Shape::Future(_))),
        block: rebraced(match &leased.shape {
            Shape::Future(future) => &future.block,
            Shape::Sync | Shape::Async => block,
        }),
    };
    let body = held.expand(&leased.form);
    let body = match &leased.shape {
        Shape::Future(future) => future.around(&braced(body, block.span())),
        Shape::Sync | Shape::Async => body,
    };
    let body = braced(body, block.span());
    let Item { attrs, vis, .. } = item;
    let lifted = inner_attrs.iter().map(|attr| syn::Attribute {
        style: syn::AttrStyle::Outer,
        ..attr.clone()
    });
    let sig = function.sig_without_marks();
    quote!(#(#attrs)* #(#lifted)* #vis #sig #body)
}

/// A body, and what has to be known to put it somewhere else.
pub(super) struct HeldBody<'a> {
    pub(super) root: &'a TokenStream,
    is_async: bool,
    /// The type it comes to, as far as callers are concerned.
    pub(super) output: TokenStream,
    pub(super) block: Group,
}

impl HeldBody<'_> {
    fn expand(&self, form: &Form) -> TokenStream {
        match form {
            Form::OwnedFn => self.owned(),
            Form::ScopedFn(scoped) => self.scoped(scoped),
            Form::BorrowedFn { owner, marked } => self.borrowed(owner.as_ref(), marked),
            Form::StaticFn { owner } => statics::function(self, owner.as_ref()),
            Form::ExclusiveFn(exclusive) => self.exclusive(exclusive),
            Form::RefusedFn => self.refused(),
            Form::OwnedType(_) | Form::BorrowedType => self.block.to_token_stream(),
        }
    }

    /// The body's value, of type `ty`; `return` and `?` end the body and not the function.
    pub(super) fn run(&self, ty: &TokenStream) -> TokenStream {
        let (root, caught) = (self.root, self.caught(ty));
        if self.is_async {
            quote_spanned!(ours(self.block.span())=> #caught.await)
        } else {
            quote_spanned!(ours(self.block.span())=> #root::__private::call(#caught))
        }
    }

    /// The body as a closure or an async block.
    fn caught(&self, ty: &TokenStream) -> TokenStream {
        let Self { root, block, .. } = self;
        let span = ours(block.span());
        if self.is_async {
            quote_spanned!(span=> async move {
                if false {
                    return #root::__private::unreached::<#ty>();
                }
                #block
            })
        } else {
            quote_spanned!(span=> move || -> #ty { #block })
        }
    }

    fn owned(&self) -> TokenStream {
        let Self {
            root, output, block, ..
        } = self;
        let plain = self.run(&quote!(<#output as #root::LeaseOutput>::Plain));
        quote_spanned!(ours(block.span())=> <#output as #root::LeaseOutput>::lease(#plain))
    }

    fn scoped(&self, scoped: &Scoped) -> TokenStream {
        let Self { root, block, .. } = self;
        let name = scoped
            .scope
            .clone()
            .unwrap_or_else(|| scope::unnamed(block.span()));
        scope::splice(root, &name, scoped.strategy.as_ref(), block)
    }

    fn borrowed(&self, owner: Option<&syn::Expr>, marked: &[Marked]) -> TokenStream {
        let Self { root, block, .. } = self;
        let owner = self.owner(owner);
        let records = marked.iter().map(|Marked { cfgs, name }| {
            quote_spanned!(ours(name.span())=>
                #(#cfgs)*
                let _recorded = #root::LeaseOwner::record(owner, &*#name);
            )
        });
        quote_spanned!(ours(block.span())=>
            #owner
            #(#records)*
            #block
        )
    }

    /// `let owner: &LeaseOwner = …;`, which takes an owner, a reference, an `Arc`, a `LazyLock`.
    pub(super) fn owner(&self, owner: Option<&syn::Expr>) -> TokenStream {
        let Self { root, block, .. } = self;
        let span = ours(block.span());
        let owner = match owner {
            None => quote_spanned!(span=> #root::LeaseOwner::global()),
            Some(owner) => quote_spanned!(span=> &#owner),
        };
        quote_spanned!(span=> let owner: &#root::LeaseOwner<_> = #owner;)
    }

    fn exclusive(&self, exclusive: &Exclusive) -> TokenStream {
        let Self {
            root, output, block, ..
        } = self;
        let span = ours(block.span());
        let request = self.request(exclusive);
        let name = exclusive
            .claim
            .as_ref()
            .map(|name| quote_spanned!(span=> let #name = &claim;));
        let body = self.caught(output);
        let (wait, run) = if self.is_async {
            (
                quote!(.await),
                quote_spanned!(span=> #root::__private::while_held(&claim, #body).await),
            )
        } else {
            (
                quote!(.wait()),
                quote_spanned!(span=> #root::__private::call(#body)),
            )
        };
        quote_spanned!(span=>
            let request = #request;
            let claim = match request.claim()#wait {
                ::core::result::Result::Ok(claim) => claim,
                ::core::result::Result::Err(error) => {
                    return <#output as #root::ExclusiveOutput>::refused(error);
                }
            };
            let output = {
                #name
                #run
            };
            #root::__private::end_claim(claim, output)#wait
        )
    }

    /// What is asked of the registrar. The work's name is made here, before the first await.
    fn request(&self, exclusive: &Exclusive) -> TokenStream {
        let Self { root, block, .. } = self;
        let Exclusive {
            work,
            ttl,
            wait,
            at_most,
            at_least,
            registrar,
            actor,
            claim: _,
        } = exclusive;
        let work = match work {
            Work::Format(arguments) => quote!(::core::format_args!(#arguments)),
            Work::Expr(expr) => quote!(&#expr),
        };
        let time = |name: &str, time: &Option<Time>| {
            let method = quote::format_ident!("{name}", span = ours(block.span()));
            time.as_ref().map(|time| quote!(.#method(#time)))
        };
        let (wait, at_most, at_least) = (
            time("wait", wait),
            time("at_most", at_most),
            time("at_least", at_least),
        );
        let registrar = registrar.as_ref().map(|expr| quote!(.registrar(&#expr)));
        let actor = actor.as_ref().map(|expr| quote!(.actor(#expr)));
        quote_spanned!(ours(block.span())=>
            #root::__private::ClaimRequest::new(#work, #ttl) #registrar #actor #wait #at_most #at_least
        )
    }

    /// Nothing sensible; the errors say why.
    fn refused(&self) -> TokenStream {
        let root = self.root;
        quote_spanned!(ours(self.block.span())=> #root::__private::unreached())
    }
}
