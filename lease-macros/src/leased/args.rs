//! The words between the parentheses of `#[leased(…)]`, parsed but not yet judged.
//!
//! Everything is an entry: a bare word, `name = value`, or `name(…)`. A broken entry is reported and skipped up to the next
//! comma, so that the rest is still checked.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, Token, token};

use crate::diagnostics::Errors;

/// One entry between two commas.
pub(super) struct Entry {
    pub(super) name: Ident,
    pub(super) value: Value,
}

/// What follows an entry's name.
pub(super) enum Value {
    /// Nothing: `owned`.
    Word,
    /// `= value`.
    Assigned(Expr),
    /// `(…)`.
    List(TokenStream),
    /// Something that could not be read and has been reported.
    Broken,
}

/// Splits the arguments into entries; what is wrong with the splitting goes to `errors`.
pub(super) fn parse(args: TokenStream, errors: &mut Errors) -> Vec<Entry> {
    let entries = |input: ParseStream<'_>| Ok(parse_entries(input, errors));
    entries.parse2(args).unwrap_or_default()
}

fn parse_entries(input: ParseStream<'_>, errors: &mut Errors) -> Vec<Entry> {
    let mut entries = Vec::new();
    while !input.is_empty() {
        if stray_comma(input, errors) {
            continue;
        }
        entries.extend(parse_entry(input, errors));
        if !input.is_empty() && errors.keep(input.parse::<Token![,]>()).is_none() {
            skip_entry(input);
        }
    }
    entries
}

fn stray_comma(input: ParseStream<'_>, errors: &mut Errors) -> bool {
    match input.parse::<Option<Token![,]>>() {
        Ok(Some(comma)) => {
            errors.at(comma, "expected a contract or an option, found `,`");
            true
        }
        _ => false,
    }
}

fn parse_entry(input: ParseStream<'_>, errors: &mut Errors) -> Option<Entry> {
    let Ok(name) = input.call(Ident::parse_any) else {
        let found = input.span();
        skip_entry(input);
        errors.at_span(
            found,
            "expected a contract or an option, as in `#[leased(owned, capacity = 8)]`",
        );
        return None;
    };
    let value = if input.peek(Token![=]) {
        parse_assigned(&name, input, errors)
    } else if input.peek(token::Paren) {
        parse_list(input)
    } else {
        Value::Word
    };
    Some(Entry { name, value })
}

fn parse_assigned(name: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> Value {
    let Ok(equals) = input.parse::<Token![=]>() else {
        return Value::Broken;
    };
    if input.is_empty() || input.peek(Token![,]) {
        errors.at(equals, format_args!("expected a value after `{name} =`"));
        return Value::Broken;
    }
    match input.parse() {
        Ok(value) => Value::Assigned(value),
        Err(error) => {
            errors.push(error);
            skip_entry(input);
            Value::Broken
        }
    }
}

fn parse_list(input: ParseStream<'_>) -> Value {
    match input.parse::<TokenTree>() {
        Ok(TokenTree::Group(group)) => Value::List(group.stream()),
        _ => Value::Broken,
    }
}

/// Up to the next comma, or the end.
fn skip_entry(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        // Any token tree parses while the input is not empty.
        let _ = input.parse::<TokenTree>();
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn parsed(args: TokenStream) -> (Vec<Entry>, Vec<String>) {
        let mut errors = Errors::default();
        let entries = parse(args, &mut errors);
        (entries, errors.messages())
    }

    #[test]
    fn every_shape_of_entry_is_read() {
        let (entries, errors) = parsed(quote!(
            static,
            work("a/{}", self.id),
            ttl = "30s",
            crate = ::other
        ));
        assert_eq!(errors, [""; 0]);
        assert!(matches!(
            entries.as_slice(),
            [
                Entry {
                    value: Value::Word,
                    ..
                },
                Entry {
                    value: Value::List(_),
                    ..
                },
                Entry {
                    value: Value::Assigned(_),
                    ..
                },
                Entry {
                    value: Value::Assigned(_),
                    ..
                },
            ]
        ));
        assert_eq!(entries[0].name, "static");
        assert_eq!(entries[3].name, "crate");
    }

    #[test]
    fn a_comma_inside_generics_does_not_split_a_value() {
        let (entries, errors) = parsed(quote!(borrowed, owner = table::<A, B>(1, 2),));
        assert_eq!(errors, [""; 0]);
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn stray_commas_are_reported_and_the_rest_is_read() {
        let (entries, errors) = parsed(quote!(, owned,, capacity = 8));
        assert_eq!(entries.len(), 2);
        assert_eq!(errors, ["expected a contract or an option, found `,`"; 2]);
    }

    #[test]
    fn broken_entries_do_not_hide_each_other() {
        let (entries, errors) = parsed(quote!("owned", capacity =, strategy = ;;, weak = W));
        assert_eq!(entries.len(), 3);
        assert_eq!(errors.len(), 3);
        assert_eq!(errors[1], "expected a value after `capacity =`");
        assert!(matches!(entries[2].value, Value::Assigned(_)));
    }
}
