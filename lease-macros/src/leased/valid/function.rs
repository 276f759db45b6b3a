//! Functions: what none of them may be, then the form of each contract.

use proc_macro2::Ident;
use syn::{FnArg, Pat, Safety};

use super::options::Options;
use super::{Form, Scoped, Shape, exclusive, hold, marks, returns};
use crate::diagnostics::Errors;
use crate::leased::contract::Contract;
use crate::leased::item::Function;

pub(super) fn check(
    contract: Contract,
    function: &Function,
    options: &mut Options,
    errors: &mut Errors,
) -> Option<(Form, Shape)> {
    without_body(function, errors)?;
    let mut refused = const_fn(function, errors) | variadic_fn(function, errors);
    let shape = hold::shape(contract, function, options, errors);
    if contract != Contract::Borrowed {
        marked_but_not_borrowed(contract, function, errors);
    }
    let form = match contract {
        Contract::Owned => {
            refused |= unsafe_fn(contract, function, errors) | returns::no_lease(function, errors);
            Form::OwnedFn
        }
        Contract::Static => {
            refused |= unsafe_fn(contract, function, errors) | returns::nothing_static(function, errors);
            Form::StaticFn {
                owner: options.expr("owner"),
            }
        }
        Contract::Borrowed => Form::BorrowedFn {
            owner: options.expr("owner"),
            marked: marks::parameters(function, errors),
        },
        Contract::Scoped => Form::ScopedFn(Scoped {
            scope: options.name("scope", errors),
            strategy: options.expr("strategy"),
        }),
        Contract::Exclusive => {
            refused |= exclusive::without_feature_work(function, errors);
            refused |= unsafe_fn(contract, function, errors) | returns::no_claim_error(function, errors);
            Form::ExclusiveFn(Box::new(exclusive::check(function, options, errors)))
        }
    };
    if let Form::ScopedFn(Scoped {
        scope: Some(name), ..
    }) = &form
    {
        shadows_parameter("scope", name, function, errors);
    }
    if let Form::ExclusiveFn(exclusive) = &form
        && let Some(name) = &exclusive.claim
    {
        shadows_parameter("claim", name, function, errors);
    }
    Some((if refused { Form::RefusedFn } else { form }, shape))
}

fn without_body(function: &Function, errors: &mut Errors) -> Option<()> {
    if function.body.is_none() {
        errors.at(
            &function.sig.ident,
            "a function without a body cannot be leased: put `#[leased]` on the function that implements it",
        );
    }
    function.body.as_ref().map(|_| ())
}

fn marked_but_not_borrowed(contract: Contract, function: &Function, errors: &mut Errors) {
    for input in function.marked() {
        errors.at(
            input,
            format_args!(
                "`#[lease]` marks what a `borrowed` function borrows; this one is `{}`",
                contract.name()
            ),
        );
    }
}

fn const_fn(function: &Function, errors: &mut Errors) -> bool {
    if let Some(constness) = &function.sig.constness {
        errors.at(
            constness,
            "a `const fn` cannot be leased: a lease begins and ends at run time",
        );
    }
    function.sig.constness.is_some()
}

fn variadic_fn(function: &Function, errors: &mut Errors) -> bool {
    if let Some(variadic) = &function.sig.variadic {
        errors.at(variadic, "a variadic function cannot be leased");
    }
    function.sig.variadic.is_some()
}

/// The body moves into a closure, and an `unsafe fn`'s licence does not reach into one (E0133).
fn unsafe_fn(contract: Contract, function: &Function, errors: &mut Errors) -> bool {
    let Safety::Unsafe(keyword) = &function.sig.safety else {
        return false;
    };
    errors.at(
        keyword,
        format_args!(
            "an `unsafe fn` cannot be `{}`: put the unsafe part into a function of its own and call it in a safe one",
            contract.name()
        ),
    );
    true
}

fn shadows_parameter(option: &str, name: &Ident, function: &Function, errors: &mut Errors) {
    let taken = function.sig.inputs.iter().any(|input| match input {
        FnArg::Typed(typed) => matches!(&*typed.pat, Pat::Ident(pat) if pat.ident == *name),
        FnArg::Receiver(_) => false,
    });
    if taken {
        errors.at(
            name,
            format_args!("`{option} = {name}` would hide the parameter `{name}`: choose another name"),
        );
    }
}
