//! The rules of event families, one function a rule, named after the mistake it tells. All mistakes of an enum are told
//! at once.

use std::ops::RangeInclusive;

use proc_macro2::Span;
use syn::{Data, DataEnum, DeriveInput, Error, Fields, Index, Member, parse_quote};

use super::{
    ast::{Family, Field, Variant},
    attr::{EventAttr, Given},
};

/// The largest field number of Protocol Buffers.
const LARGEST_TAG: u32 = (1 << 29) - 1;
/// Field numbers that Protocol Buffers keeps for itself.
const PROTOBUF_TAGS: RangeInclusive<u32> = 19_000..=19_999;

/// The family that an enum declares.
pub(super) fn family(input: &DeriveInput) -> Result<Family<'_>, Error> {
    let mut errors = Errors::default();
    let (attr, bad) = EventAttr::read(&input.attrs);
    let readable = bad.is_empty();
    errors.extend(bad);
    wrong_level(&attr, "an enum", &["namespace", "crate", "reserved"], &mut errors);
    generic_family(input, &mut errors);
    match &attr.namespace {
        Some(given) => bad_name("namespace", given, &mut errors),
        None if readable => no_namespace(input, &mut errors),
        None => {}
    }
    let variants = match data_enum(input) {
        Ok(data) => variants(data, &attr.reserved, &mut errors),
        Err(error) => {
            errors.push(error);
            Vec::new()
        }
    };
    errors.into_result()?;
    Ok(Family {
        ident: &input.ident,
        krate: attr
            .krate
            .map_or_else(|| parse_quote!(::lease), |given| given.value),
        namespace: attr.namespace.map_or_else(String::new, |given| given.value),
        variants,
    })
}

fn variants<'a>(
    data: &'a DataEnum,
    reserved: &[RangeInclusive<u32>],
    errors: &mut Errors,
) -> Vec<Variant<'a>> {
    let mut variants = Vec::new();
    let mut kinds = Unique::new("kind");
    let mut tags = Unique::new("tag");
    for variant in &data.variants {
        let (attr, bad) = EventAttr::read(&variant.attrs);
        let readable = bad.is_empty();
        errors.extend(bad);
        wrong_level(&attr, "a variant", &["kind", "tag", "reserved"], errors);
        if readable {
            variant_without_kind_or_tag(variant, &attr, errors);
        }
        let fields = fields(&variant.fields, &attr.reserved, errors);
        if let Some(kind) = &attr.kind {
            bad_name("kind", kind, errors);
            kinds.check(kind.value.clone(), kind.span, errors);
        }
        let tag = attr
            .tag
            .as_ref()
            .and_then(|tag| tag_out_of_range(tag, reserved, errors));
        if let (Some(tag), Some(given)) = (tag, &attr.tag) {
            tags.check(tag, given.span, errors);
        }
        variants.push(Variant {
            ident: &variant.ident,
            kind: attr.kind.map_or_else(String::new, |kind| kind.value),
            tag: tag.unwrap_or_default(),
            fields,
        });
    }
    variants
}

fn fields<'a>(from: &'a Fields, reserved: &[RangeInclusive<u32>], errors: &mut Errors) -> Vec<Field<'a>> {
    let mut fields = Vec::new();
    let mut tags = Unique::new("tag");
    for (index, field) in from.iter().enumerate() {
        let (attr, bad) = EventAttr::read(&field.attrs);
        let readable = bad.is_empty();
        errors.extend(bad);
        wrong_level(&attr, "a field", &["tag"], errors);
        if readable {
            field_without_tag(field, &attr, errors);
        }
        let tag = attr
            .tag
            .as_ref()
            .and_then(|tag| tag_out_of_range(tag, reserved, errors));
        if let (Some(tag), Some(given)) = (tag, &attr.tag) {
            tags.check(tag, given.span, errors);
        }
        fields.push(Field {
            member: field
                .ident
                .clone()
                .map_or_else(|| Member::Unnamed(Index::from(index)), Member::Named),
            tag: tag.unwrap_or_default(),
            ty: &field.ty,
        });
    }
    fields
}

/// A struct, a union or an empty enum is no family.
fn data_enum(input: &DeriveInput) -> Result<&DataEnum, Error> {
    let what = match &input.data {
        Data::Enum(data) if !data.variants.is_empty() => return Ok(data),
        Data::Enum(_) => "an empty enum",
        Data::Struct(_) => "a struct",
        Data::Union(_) => "a union",
    };
    let message = format!("`LeaseEvent` needs an enum with a variant for each kind of event, this is {what}");
    Err(Error::new(input.ident.span(), message))
}

fn no_namespace(input: &DeriveInput, errors: &mut Errors) {
    let message = "the event family has no namespace; write `#[event(namespace = \"…\")]` on the enum";
    errors.push(Error::new(input.ident.span(), message));
}

fn variant_without_kind_or_tag(variant: &syn::Variant, attr: &EventAttr, errors: &mut Errors) {
    let missing = match (&attr.kind, &attr.tag) {
        (None, None) => "no kind and no tag",
        (None, Some(_)) => "no kind",
        (Some(_), None) => "no tag",
        (Some(_), Some(_)) => return,
    };
    let message = format!(
        "variant `{}` has {missing}; write `#[event(kind = \"…\", tag = …)]` above it",
        variant.ident
    );
    errors.push(Error::new(variant.ident.span(), message));
}

fn field_without_tag(field: &syn::Field, attr: &EventAttr, errors: &mut Errors) {
    if attr.tag.is_none() {
        let message = "the field has no tag; write `#[event(tag = …)]` before it";
        let error = match &field.ident {
            Some(name) => Error::new_spanned(name, message),
            None => Error::new_spanned(&field.ty, message),
        };
        errors.push(error);
    }
}

/// Tag 0, one that is reserved, or one beyond what the wire can carry.
fn tag_out_of_range(
    given: &Given<syn::LitInt>,
    reserved: &[RangeInclusive<u32>],
    errors: &mut Errors,
) -> Option<u32> {
    let message = match given.value.base10_parse::<u32>() {
        Ok(0) => "tag 0 is not a field number; the first is 1".to_owned(),
        Ok(tag) if PROTOBUF_TAGS.contains(&tag) => {
            format!("tag {tag} is reserved: Protocol Buffers keeps 19000 to 19999 for itself")
        }
        Ok(tag) if reserved.iter().any(|range| range.contains(&tag)) => {
            format!("tag {tag} is reserved here")
        }
        Ok(tag) if tag <= LARGEST_TAG => return Some(tag),
        _ => format!("tag {} is too large; the largest is {LARGEST_TAG}", given.value),
    };
    errors.push(Error::new(given.span, message));
    None
}

/// A kind or namespace with capitals, dots, spaces.
fn bad_name(what: &str, given: &Given<String>, errors: &mut Errors) {
    let good = given.value.starts_with(|first: char| first.is_ascii_lowercase())
        && given
            .value
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'));
    if !good {
        let message = format!(
            "`{}` cannot be a {what}; it takes lower-case letters, digits, `_` and `-`, and begins with a letter",
            given.value
        );
        errors.push(Error::new(given.span, message));
    }
}

fn generic_family(input: &DeriveInput, errors: &mut Errors) {
    if !input.generics.params.is_empty() {
        let message = "an event family cannot be generic: its wire form is fixed for ever";
        errors.push(Error::new_spanned(&input.generics, message));
    }
}

fn wrong_level(attr: &EventAttr, level: &str, known: &[&str], errors: &mut Errors) {
    for (key, span) in &attr.keys {
        if !known.contains(&key.as_str()) {
            let known = known
                .iter()
                .map(|key| format!("`{key}`"))
                .collect::<Vec<_>>()
                .join(", ");
            errors.push(Error::new(
                *span,
                format!("`{key}` does not belong on {level}, which takes {known}"),
            ));
        }
    }
}

/// The same kind or tag twice: points at both.
struct Unique<T> {
    what: &'static str,
    seen: Vec<(T, Span)>,
}

impl<T: PartialEq + std::fmt::Display> Unique<T> {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            seen: Vec::new(),
        }
    }

    fn check(&mut self, value: T, span: Span, errors: &mut Errors) {
        if let Some((_, first)) = self.seen.iter().find(|(seen, _)| *seen == value) {
            errors.push(Error::new(span, format!("{} `{value}` is used twice", self.what)));
            errors.push(Error::new(
                *first,
                format!("{} `{value}` is first used here", self.what),
            ));
        } else {
            self.seen.push((value, span));
        }
    }
}

/// What has been found wrong so far.
#[derive(Default)]
struct Errors(Option<Error>);

impl Errors {
    fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn extend(&mut self, errors: Vec<Error>) {
        for error in errors {
            self.push(error);
        }
    }

    fn into_result(self) -> Result<(), Error> {
        self.0.map_or(Ok(()), Err)
    }
}
