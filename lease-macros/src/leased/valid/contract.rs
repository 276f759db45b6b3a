//! Which contract a use asks for, and whether it fits the item.

use proc_macro2::{Ident, Span};

use crate::diagnostics::{Errors, nearest, one_of};
use crate::leased::args::{Entry, Value};
use crate::leased::contract::{Contract, Target, home_of};
use crate::leased::item::Item;

/// Finds the contract and gives back the other entries.
pub(super) fn choose(
    mut entries: Vec<Entry>,
    target: Target,
    errors: &mut Errors,
) -> Option<(Contract, Vec<Entry>)> {
    let is_contract = |entry: &Entry| match entry.value {
        Value::Word => Contract::named(&entry.name.to_string()),
        _ => None,
    };
    let Some(at) = entries.iter().position(|entry| is_contract(entry).is_some()) else {
        match entries.first() {
            Some(Entry {
                name,
                value: Value::Word,
            }) if home_of(&name.to_string()).is_none() => {
                unknown_contract(name, target, errors);
            }
            first => no_contract(first, target, errors),
        }
        return None;
    };
    let word = entries.remove(at);
    let found = is_contract(&word)?;
    if at > 0 {
        contract_not_first(&word.name, errors);
    }
    entries.retain(|entry| {
        let second = is_contract(entry);
        if second.is_some() {
            two_contracts(&word.name, &entry.name, errors);
        }
        second.is_none()
    });
    Some((found, entries))
}

fn no_contract(first: Option<&Entry>, target: Target, errors: &mut Errors) {
    let message = format!(
        "no contract: the first word says what kind of lease it is, one of {} on {}",
        one_of(&target.contracts()),
        target.plural()
    );
    match first {
        Some(entry) => errors.at(&entry.name, message),
        // Nothing between the parentheses; if that is an error at all, it is the only one.
        None if errors.is_empty() => errors.at_span(Span::call_site(), message),
        None => {}
    }
}

fn unknown_contract(name: &Ident, target: Target, errors: &mut Errors) {
    let fitting = target.contracts();
    match nearest(&name.to_string(), &fitting) {
        Some(meant) => errors.at(
            name,
            format_args!("unknown contract `{name}`: did you mean `{meant}`?"),
        ),
        None => errors.at(
            name,
            format_args!(
                "unknown contract `{name}`: expected {} on {}",
                one_of(&fitting),
                target.plural()
            ),
        ),
    }
}

fn contract_not_first(name: &Ident, errors: &mut Errors) {
    errors.at(
        name,
        format_args!("the contract comes first: `#[leased({name}, …)]`"),
    );
}

fn two_contracts(first: &Ident, second: &Ident, errors: &mut Errors) {
    errors.at(
        second,
        format_args!("two contracts, `{first}` and `{second}`: an item is leased under one"),
    );
}

/// The options that the contract has on this item, if it fits there.
pub(super) fn fits(
    contract: Contract,
    target: Target,
    item: &Item,
    errors: &mut Errors,
) -> Option<&'static [&'static str]> {
    let options = contract.options(target);
    if options.is_none() {
        let other = match target {
            Target::Type => Target::Function,
            Target::Function => Target::Type,
        };
        errors.at_span(
            item.span(),
            format_args!(
                "`{}` is a contract of {}: {} can be {}",
                contract.name(),
                other.plural(),
                target.plural(),
                one_of(&target.contracts())
            ),
        );
    }
    options
}
