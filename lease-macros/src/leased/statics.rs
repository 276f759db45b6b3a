//! `static` functions: what they return is put on record and passed on.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::Expr;

use super::function::HeldBody;
use crate::diagnostics::ours;

pub(super) fn function(body: &HeldBody<'_>, owner: Option<&Expr>) -> TokenStream {
    let HeldBody { root, block, .. } = body;
    let owner = body.owner(owner);
    let memory = body.run();
    quote_spanned!(ours(block.span())=>
        let memory = #memory;
        #owner
        #root::__private::track_static(owner, memory)
    )
}
