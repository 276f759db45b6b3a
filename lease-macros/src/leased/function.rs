//! Functions: the signature stays, the body is put into the lease.
//!
//! Where nothing has to be done with the result, the body is only spliced behind a guard, and `return`, `?` and `.await`
//! need no help. Where the result matters (`owned`, `static`, `exclusive`), something has to catch `return` and `?`: a
//! closure in a plain function, an async block in an async one. Both are told their type, or the coercions that the
//! declared type allows in the body would be lost: the closure by its annotation, the block by a `return` that never runs.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens as _, quote, quote_spanned};

use super::item::{Body, Function, Item, names_impl};
use super::statics;
use super::valid::{Exclusive, Form, Leased, Marked, Scoped, Shape};
use super::value::Work;
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
        output_span: ours(item.type_span()),
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
    output: TokenStream,
    /// Where errors about that type are shown.
    output_span: Span,
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

    /// The body's value; `return` and `?` end the body and not the function.
    pub(super) fn run(&self) -> TokenStream {
        let Self { root, output, .. } = self;
        let span = self.output_span;
        if self.is_async {
            let body = self.async_block(&quote_spanned!(span=> #root::__private::unreached::<#output>()));
            quote_spanned!(span=> #body.await)
        } else {
            let body = self.closure(&quote!(-> #output));
            quote_spanned!(span=> #root::__private::call(#body))
        }
    }

    /// The body, to be called. The type is either annotated or follows from where the closure goes.
    fn closure(&self, ty: &TokenStream) -> TokenStream {
        let block = &self.block;
        quote_spanned!(ours(block.span())=> move || #ty #block)
    }

    /// The body, to be awaited. `unreached` is an expression of its type.
    fn async_block(&self, unreached: &TokenStream) -> TokenStream {
        let block = &self.block;
        quote_spanned!(ours(block.span())=> async move {
            if false {
                return #unreached;
            }
            #block
        })
    }

    fn owned(&self) -> TokenStream {
        let Self { root, output, .. } = self;
        // Shown at the return type: if that holds no lease, it is what has to change.
        let span = self.output_span;
        if self.is_async {
            let body =
                self.async_block(&quote_spanned!(span=> #root::__private::unreached_plain::<#output>()));
            quote_spanned!(span=>
                let plain = #body.await;
                #root::__private::lease_output::<#output>(move || plain)
            )
        } else {
            let body = self.closure(&TokenStream::new());
            quote_spanned!(span=> #root::__private::lease_output::<#output>(#body))
        }
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
        let unnamed = || Ident::new("_claim", span);
        let claim = exclusive.claim.clone().unwrap_or_else(unnamed);
        // Shown at the return type: if that cannot carry a claim's error, it is what has to change.
        let shown = self.output_span;
        if self.is_async {
            let body = self.async_block(&quote_spanned!(span=> #root::__private::unreached::<#output>()));
            let held = quote_spanned!(shown=> exclusive.hold(#body).await);
            let refused = quote_spanned!(shown=> #root::ExclusiveOutput::refused(error));
            quote_spanned!(span=>
                #request
                match #root::__private::exclusive::Exclusive::begin(request).await {
                    ::core::result::Result::Ok(exclusive) => {
                        let #claim = exclusive.claim();
                        #held
                    }
                    ::core::result::Result::Err(error) => #refused,
                }
            )
        } else {
            let body = quote_spanned!(span=> move |#claim: &#root::Claim| -> #output #block);
            let run = quote_spanned!(shown=> #root::__private::exclusive::Exclusive::run::<#output>(request, #body));
            quote_spanned!(span=> #request #run)
        }
    }

    /// `let request = …;`, which makes the work's name before the first await.
    fn request(&self, exclusive: &Exclusive) -> TokenStream {
        let Self { root, block, .. } = self;
        let span = ours(block.span());
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
        let registrar = match registrar {
            None => quote_spanned!(span=> ::core::option::Option::None),
            Some(registrar) => quote_spanned!(span=> ::core::option::Option::Some(&#registrar)),
        };
        let work = match work {
            Work::Format(arguments) => {
                quote_spanned!(span=> #root::__private::exclusive::work(::core::format_args!(#arguments)))
            }
            Work::Expr(expr) => quote!(#expr),
        };
        let actor = actor.as_ref().map(|expr| quote_spanned!(span=> .actor(#expr)));
        let wait = wait.as_ref().map(|time| quote_spanned!(span=> .timeout(#time)));
        let at_most = at_most
            .as_ref()
            .map(|time| quote_spanned!(span=> .at_most(#time)));
        let at_least = at_least
            .as_ref()
            .map(|time| quote_spanned!(span=> .at_least(#time)));
        quote_spanned!(span=>
            let registrar: ::core::option::Option<&#root::Registrar> = #registrar;
            let request = #root::__private::exclusive::claim(registrar, #work, #ttl) #actor #wait #at_most #at_least .acquire();
        )
    }

    /// Nothing sensible; the errors say why. An opaque type still has to be somebody's.
    fn refused(&self) -> TokenStream {
        let Self {
            root, output, block, ..
        } = self;
        if names_impl(output.clone()) {
            return block.to_token_stream();
        }
        quote_spanned!(ours(block.span())=> #root::__private::unreached())
    }
}
