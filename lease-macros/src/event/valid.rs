//! The rules of event families, one function a rule, named after the mistake it tells. All mistakes of an enum are told
//! at once.

use std::ops::RangeInclusive;

use proc_macro2::Span;
use syn::{Data, DataEnum, DeriveInput, Fields, Index, Member};

use super::{
    ast::{Family, Field, Variant},
    attr::{EventAttr, Given},
};
use crate::diagnostics::{Errors, one_of};

/// The largest field number of Protocol Buffers.
const LARGEST_TAG: u32 = (1 << 29) - 1;
/// Field numbers that Protocol Buffers keeps for itself.
const PROTOBUF_TAGS: RangeInclusive<u32> = 19_000..=19_999;

/// The family that an enum declares; of use only if no error was added.
pub(super) fn family<'a>(input: &'a DeriveInput, errors: &mut Errors) -> Family<'a> {
    let attr = EventAttr::read(&input.attrs, errors);
    wrong_level(&attr, "an enum", &["namespace", "crate", "reserved"], errors);
    generic_family(input, errors);
    match &attr.namespace {
        Some(given) => bad_name("namespace", given, errors),
        None if attr.is_whole => no_namespace(input, errors),
        None => {}
    }
    let variants =
        data_enum(input, errors).map_or_else(Vec::new, |data| variants(data, &attr.reserved, errors));
    Family {
        ident: &input.ident,
        krate: crate::root(attr.krate.as_ref(), input.ident.span()),
        namespace: attr.namespace.map_or_else(String::new, |given| given.value),
        variants,
    }
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
        let attr = EventAttr::read(&variant.attrs, errors);
        wrong_level(&attr, "a variant", &["kind", "tag", "reserved"], errors);
        if attr.is_whole {
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
        let attr = EventAttr::read(&field.attrs, errors);
        wrong_level(&attr, "a field", &["tag"], errors);
        if attr.is_whole {
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
fn data_enum<'a>(input: &'a DeriveInput, errors: &mut Errors) -> Option<&'a DataEnum> {
    let what = match &input.data {
        Data::Enum(data) if !data.variants.is_empty() => return Some(data),
        Data::Enum(_) => "an empty enum",
        Data::Struct(_) => "a struct",
        Data::Union(_) => "a union",
    };
    let message = format!("`LeaseEvent` needs an enum with a variant for each kind of event, this is {what}");
    errors.at(&input.ident, message);
    None
}

fn no_namespace(input: &DeriveInput, errors: &mut Errors) {
    let message = "the event family has no namespace; write `#[event(namespace = \"…\")]` on the enum";
    errors.at(&input.ident, message);
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
    errors.at(&variant.ident, message);
}

fn field_without_tag(field: &syn::Field, attr: &EventAttr, errors: &mut Errors) {
    if attr.tag.is_none() {
        let message = "the field has no tag; write `#[event(tag = …)]` before it";
        match &field.ident {
            Some(name) => errors.at(name, message),
            None => errors.at(&field.ty, message),
        }
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
        Err(_) if given.value.base10_digits().starts_with('-') => {
            format!("tag {} is not a field number; the first is 1", given.value)
        }
        Ok(tag) if PROTOBUF_TAGS.contains(&tag) => {
            format!("tag {tag} is reserved: Protocol Buffers keeps 19000 to 19999 for itself")
        }
        Ok(tag) if reserved.iter().any(|range| range.contains(&tag)) => {
            format!("tag {tag} is reserved here")
        }
        Ok(tag) if tag <= LARGEST_TAG => return Some(tag),
        _ => format!("tag {} is too large; the largest is {LARGEST_TAG}", given.value),
    };
    errors.at_span(given.span, message);
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
        errors.at_span(given.span, message);
    }
}

fn generic_family(input: &DeriveInput, errors: &mut Errors) {
    if !input.generics.params.is_empty() {
        let message = "an event family cannot be generic: its wire form is fixed for ever";
        errors.at(&input.generics, message);
    }
}

fn wrong_level(attr: &EventAttr, level: &str, known: &[&str], errors: &mut Errors) {
    for (key, span) in &attr.keys {
        if !known.contains(&key.as_str()) {
            errors.at_span(
                *span,
                format!(
                    "`{key}` does not belong on {level}, which takes {}",
                    one_of(known)
                ),
            );
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
            errors.at_span(span, format!("{} `{value}` is used twice", self.what));
            errors.at_span(*first, format!("{} `{value}` is first used here", self.what));
        } else {
            self.seen.push((value, span));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Errors, family};
    use syn::DeriveInput;

    #[track_caller]
    fn is_told(source: &str, told: &[&str]) {
        let input: DeriveInput = syn::parse_str(source).unwrap();
        let mut errors = Errors::default();
        family(&input, &mut errors);
        let mistakes = errors.messages();
        assert_eq!(mistakes.len(), told.len(), "{mistakes:#?}");
        for (mistake, told) in mistakes.iter().zip(told) {
            assert!(mistake.contains(told), "`{mistake}` does not say `{told}`");
        }
    }

    #[test]
    fn a_right_family_is_silent() {
        is_told(
            r#"#[event(namespace = "order", crate = my::lease, reserved(3, 5..=9),)]
            enum E {
                #[event(kind = "a", tag = 1, reserved(2))] A { #[event(tag = 1)] x: u32 },
                #[event(kind = "b")] #[event(tag = 536870911)] B(#[event(tag = 3)] u32),
                #[doc = "unit"] #[event(kind = "c-d_0", tag = 2)] C,
            }"#,
            &[],
        );
    }

    #[test]
    fn structs_unions_and_empty_enums_are_no_families() {
        for (source, what) in [
            ("struct S;", "this is a struct"),
            ("union U { a: u8 }", "this is a union"),
            ("enum E {}", "this is an empty enum"),
        ] {
            is_told(&format!("#[event(namespace = \"n\")] {source}"), &[what]);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        is_told(
            "enum E { #[event(kind = \"a\")] A, #[event(tag = 1)] B, C { x: u32 } }",
            &[
                "no namespace",
                "`A` has no tag",
                "`B` has no kind",
                "`C` has no kind and no tag",
                "the field has no tag",
            ],
        );
    }

    #[test]
    fn a_kind_or_tag_used_twice_is_shown_at_both_places() {
        is_told(
            r#"#[event(namespace = "n")] enum E {
                #[event(kind = "a", tag = 1)] A { #[event(tag = 7)] x: u32, #[event(tag = 7)] y: u32 },
                #[event(kind = "a", tag = 1)] B { #[event(tag = 7)] x: u32 },
            }"#,
            &[
                "tag `7` is used twice",
                "tag `7` is first used here",
                "kind `a` is used twice",
                "kind `a` is first used here",
                "tag `1` is used twice",
                "tag `1` is first used here",
            ],
        );
    }

    #[test]
    fn tags_stay_where_protocol_buffers_can_write_them() {
        for (tag, told) in [
            ("0", "tag 0 is not a field number"),
            ("-1", "tag -1 is not a field number"),
            ("536870912", "the largest is 536870911"),
            ("99999999999999999999", "the largest is 536870911"),
            ("19000", "keeps 19000 to 19999"),
            ("19999", "keeps 19000 to 19999"),
            ("6", "tag 6 is reserved here"),
            ("8", "tag 8 is reserved here"),
        ] {
            let variant = format!(
                "#[event(namespace = \"n\", reserved(6, 7..=8))] enum E {{ #[event(kind = \"a\", tag = {tag})] A }}"
            );
            is_told(&variant, &[told]);
            let field = format!(
                "#[event(namespace = \"n\")] enum E {{ #[event(kind = \"a\", tag = 6, reserved(6, 7..=8))] A(#[event(tag = {tag})] u32) }}"
            );
            is_told(&field, &[told]);
        }
    }

    #[test]
    fn kinds_and_namespaces_are_plain_lower_case_words() {
        for name in ["Placed", "placed.late", "placed late", "", "1st", "_a", "größe"] {
            let source = format!(
                "#[event(namespace = \"{name}\")] enum E {{ #[event(kind = \"{name}\", tag = 1)] A }}"
            );
            let namespace = format!("`{name}` cannot be a namespace");
            is_told(&source, &[&namespace, &format!("`{name}` cannot be a kind")]);
        }
    }

    #[test]
    fn families_are_not_generic() {
        for generics in ["<T>", "<'a>", "<const N: usize>"] {
            let source = format!(
                "#[event(namespace = \"n\")] enum E{generics} {{ #[event(kind = \"a\", tag = 1)] A }}"
            );
            is_told(&source, &["cannot be generic"]);
        }
    }

    #[test]
    fn keys_stand_on_their_own_level() {
        is_told(
            r#"#[event(namespace = "n", kind = "x")] enum E {
                #[event(kind = "a", tag = 1, namespace = "m")] A(#[event(tag = 1, reserved(2))] u32)
            }"#,
            &[
                "`kind` does not belong on an enum",
                "`namespace` does not belong on a variant",
                "`reserved` does not belong on a field",
            ],
        );
    }

    #[test]
    fn bad_keys_and_values_are_told_once() {
        for (attribute, told) in [
            ("#[event(kind = \"a\", tag = 1, tog = 2)]", "unknown key `tog`"),
            ("#[event(kind = \"a\", tag = 1, tag = 2)]", "`tag` is given twice"),
            ("#[event(kind = \"a\", tag)]", "`tag` needs a value"),
            ("#[event(kind = a, tag = 1)]", "`kind` takes a string"),
            (
                "#[event(kind = \"a\", tag = \"1\")]",
                "`tag` takes a field number",
            ),
            (
                "#[event(kind = \"a\", tag = 1, reserved = 2)]",
                "`reserved` takes field numbers",
            ),
            (
                "#[event(kind = \"a\", tag = 1, reserved(4, 9..=5))]",
                "`9..=5` reserves nothing",
            ),
            (
                "#[event(kind = \"a\", tag = 1, reserved(-1))]",
                "`-1` is not a field number",
            ),
            (
                "#[event(kind = \"a\", tag = 1, reserved(1..=99999999999))]",
                "`99999999999` is not a field number",
            ),
            (
                "#[event(kind = \"a\", tag = 1, reserved(x))]",
                "`reserved` takes field numbers",
            ),
            (
                "#[event(kind = \"a\", tag = 1, reserved(5..9))]",
                "`reserved` takes field numbers",
            ),
            ("#[event(kind = \"a\" tag = 1)]", "expected `,`"),
            ("#[event]", "expected attribute arguments"),
        ] {
            is_told(
                &format!("#[event(namespace = \"n\")] enum E {{ {attribute} A }}"),
                &[told],
            );
        }
    }
}
