//! The derive keeps to itself: it leans on no name that its user might have taken, and lets lints be as strict as they
//! like.

#![deny(warnings, clippy::pedantic)]
#![forbid(unsafe_code)]

use lease::EventError;

/// Where every name that an expansion is tempted to use means something else.
mod shadowed {
    #![allow(dead_code, non_camel_case_types, reason = "these names are only in the way")]

    struct Option;
    struct Result;
    struct Some;
    struct Ok;
    struct Err;
    struct None;
    struct str;
    struct u32;
    struct u64;
    struct Self_;
    trait From {}
    trait Into {}
    mod core {}
    mod std {}
    mod lease {}

    #[derive(Debug, PartialEq, ::lease::LeaseEvent)]
    #[event(namespace = "shadowed")]
    pub(crate) enum Event {
        #[event(kind = "one", tag = 1)]
        One {
            #[event(tag = 1)]
            message: String,
            #[event(tag = 2)]
            found: ::core::option::Option<bool>,
            #[event(tag = 3)]
            field_0: Vec<String>,
        },
    }
}

macro_rules! family {
    ($name:ident, $namespace:literal, $($variant:ident = $kind:literal $tag:literal $type:ty),*) => {
        #[derive(Debug, PartialEq, lease::LeaseEvent)]
        #[event(namespace = $namespace)]
        enum $name {
            $(#[event(kind = $kind, tag = $tag)] $variant(#[event(tag = 1)] $type),)*
        }
    };
}

family!(Made, "made", Number = "number" 1 u64, Text = "text" 2 String);

/// What `#[cfg]` takes away is not in the family, so its tag is free.
#[derive(Debug, PartialEq, lease::LeaseEvent)]
#[event(namespace = "sometimes")]
enum Sometimes {
    #[cfg(any())]
    #[event(kind = "never", tag = 1)]
    Never(Missing),
    #[cfg(test)]
    #[event(kind = "always", tag = 1)]
    Always {
        #[cfg(any())]
        #[event(tag = 1)]
        never: Missing,
        #[event(tag = 1)]
        always: u32,
    },
}

fn local() -> Result<(), EventError> {
    #[derive(lease::LeaseEvent)]
    #[event(namespace = "local")]
    enum Local {
        #[event(kind = "unit", tag = 1)]
        Unit,
    }
    <Local as lease::LeaseEvent>::decode(&lease::LeaseEvent::encode(&Local::Unit)).map(drop)
}

#[track_caller]
fn comes_back<E: lease::LeaseEvent + PartialEq + std::fmt::Debug>(event: &E) {
    assert_eq!(&E::decode(&event.encode()).unwrap(), event);
}

#[test]
fn a_family_works_wherever_it_is_declared() {
    comes_back(&shadowed::Event::One {
        message: "m".to_owned(),
        found: Some(true),
        field_0: vec![String::new()],
    });
    comes_back(&Made::Number(7));
    comes_back(&Made::Text("seven".to_owned()));
    comes_back(&Sometimes::Always { always: 7 });
    local().unwrap();
}
