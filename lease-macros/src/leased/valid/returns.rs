//! What a function has to return, as far as its signature tells. The traits of `lease` judge the rest.

use quote::ToTokens as _;
use syn::{ReturnType, Type};

use crate::diagnostics::Errors;
use crate::leased::item::{Function, names_impl};

pub(super) fn no_lease(function: &Function, errors: &mut Errors) -> bool {
    const WAY_OUT: &str = "to lease only for the call, use `scoped`";
    match &function.sig.output {
        ReturnType::Default => errors.at(
            &function.sig.ident,
            format_args!("an `owned` function returns a lease, this one returns nothing: write `-> StrongLease<T>`; {WAY_OUT}"),
        ),
        ReturnType::Type(_, ty) if names_impl(ty.to_token_stream()) => errors.at(
            ty,
            "an `owned` function names the lease it returns: write `StrongLease<T>`, not `impl …`",
        ),
        ReturnType::Type(_, ty) => match &**ty {
            Type::Reference(_) => errors.at(
                ty,
                format_args!("an `owned` function returns a lease, not a reference: write `StrongLease<T>`; {WAY_OUT}"),
            ),
            _ => return false,
        },
    }
    true
}

pub(super) fn nothing_static(function: &Function, errors: &mut Errors) -> bool {
    const EXPECTED: &str = "a `static` function returns memory that lives for ever: write `-> &'static T`";
    if let ReturnType::Type(_, ty) = &function.sig.output
        && let Type::Reference(reference) = &**ty
        && reference
            .lifetime
            .as_ref()
            .is_some_and(|lifetime| lifetime.ident == "static")
    {
        return false;
    }
    match &function.sig.output {
        ReturnType::Default => errors.at(&function.sig.ident, EXPECTED),
        ReturnType::Type(_, ty) => errors.at(ty, EXPECTED),
    }
    true
}

pub(super) fn no_claim_error(function: &Function, errors: &mut Errors) -> bool {
    const EXPECTED: &str = "an `exclusive` function tells its caller when the claim is not obtained or lost: \
                            return `Result<T, E>` where `E: From<ClaimError>`";
    match &function.sig.output {
        ReturnType::Default => errors.at(&function.sig.ident, EXPECTED),
        ReturnType::Type(_, ty) if names_impl(ty.to_token_stream()) => {
            errors.at(ty, format_args!("{EXPECTED}, without `impl …`"));
        }
        ReturnType::Type(..) => return false,
    }
    true
}
