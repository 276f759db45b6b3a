//! `#[event(…)]` as written: which keys, with which values, whether or not they belong where they stand.

use std::ops::RangeInclusive;

use crate::diagnostics::Errors;
use proc_macro2::Span;
use syn::{
    Attribute, Error, Ident, LitInt, LitStr, Path, Result, Token, ext::IdentExt, parenthesized,
    parse::ParseStream,
};

/// What a key was given, and where.
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// All keys of the `#[event(…)]` attributes on one enum, variant or field.
#[derive(Default)]
pub(super) struct EventAttr {
    pub(super) namespace: Option<Given<String>>,
    pub(super) kind: Option<Given<String>>,
    /// As written: a tag may be too large for any integer we have.
    pub(super) tag: Option<Given<LitInt>>,
    pub(super) reserved: Vec<RangeInclusive<u32>>,
    pub(super) krate: Option<Path>,
    /// Every key that was read, and where it stands.
    pub(super) keys: Vec<(String, Span)>,
    /// Whether all of it could be read; what is missing otherwise may only be unreadable.
    pub(super) is_whole: bool,
}

impl EventAttr {
    /// Reads all `#[event(…)]` among `attrs`, and goes on after a bad one.
    pub(super) fn read(attrs: &[Attribute], errors: &mut Errors) -> Self {
        let mut this = Self {
            is_whole: true,
            ..Self::default()
        };
        for attr in attrs.iter().filter(|attr| attr.path().is_ident("event")) {
            let parsed = attr.parse_args_with(|input: ParseStream<'_>| this.parse(input));
            this.is_whole &= errors.keep(parsed).is_some();
        }
        this
    }

    fn parse(&mut self, input: ParseStream<'_>) -> Result<()> {
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            self.parse_value(&key, input)?;
            self.keys.push((key.to_string(), key.span()));
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }

    fn parse_value(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        let name = key.to_string();
        if name != "reserved" && self.keys.iter().any(|(known, _)| *known == name) {
            return Err(Error::new(key.span(), format!("`{name}` is given twice")));
        }
        match name.as_str() {
            "namespace" => self.namespace = Some(text(&name, input)?),
            "kind" => self.kind = Some(text(&name, input)?),
            "tag" => {
                equals(&name, input)?;
                let value: LitInt = input.parse().map_err(|error| {
                    Error::new(error.span(), "`tag` takes a field number, such as `tag = 1`")
                })?;
                let span = value.span();
                self.tag = Some(Given { value, span });
            }
            "crate" => {
                equals(&name, input)?;
                self.krate = Some(input.call(Path::parse_mod_style)?);
            }
            "reserved" => self.reserved.extend(ranges(input)?),
            _ => {
                let message = format!(
                    "unknown key `{name}`; an event takes `namespace`, `crate`, `kind`, `tag` and `reserved`"
                );
                return Err(Error::new(key.span(), message));
            }
        }
        Ok(())
    }
}

fn equals(name: &str, input: ParseStream<'_>) -> Result<()> {
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        Ok(())
    } else {
        Err(input.error(format!("`{name}` needs a value: `{name} = …`")))
    }
}

fn text(name: &str, input: ParseStream<'_>) -> Result<Given<String>> {
    equals(name, input)?;
    let literal: LitStr = input.parse().map_err(|error| {
        Error::new(
            error.span(),
            format!("`{name}` takes a string, such as `{name} = \"order\"`"),
        )
    })?;
    Ok(Given {
        value: literal.value(),
        span: literal.span(),
    })
}

/// `(6, 16..=18)`
fn ranges(input: ParseStream<'_>) -> Result<Vec<RangeInclusive<u32>>> {
    const FORM: &str = "`reserved` takes field numbers, such as `reserved(6, 16..=18)`";
    let number = |input: ParseStream<'_>| {
        let written: LitInt = input.parse().map_err(|error| Error::new(error.span(), FORM))?;
        let number = written.base10_parse::<u32>();
        number.map_err(|_| Error::new(written.span(), format!("`{written}` is not a field number")))
    };
    if !input.peek(syn::token::Paren) {
        return Err(input.error(FORM));
    }
    let content;
    parenthesized!(content in input);
    let mut ranges = Vec::new();
    while !content.is_empty() {
        let (span, first) = (content.span(), number(&content)?);
        let last = if content.peek(Token![..=]) {
            content.parse::<Token![..=]>()?;
            number(&content)?
        } else {
            first
        };
        if last < first {
            return Err(Error::new(span, format!("`{first}..={last}` reserves nothing")));
        }
        ranges.push(first..=last);
        if !content.is_empty() {
            content
                .parse::<Token![,]>()
                .map_err(|error| Error::new(error.span(), FORM))?;
        }
    }
    Ok(ranges)
}
