//! Functions under every lint a user may be strict about.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unused, unused_qualifications, unreachable_code, let_underscore_drop)]

use std::sync::Arc;

use lease::{Registrar, StrongLease, lease_scope, leased};

/// Leased below.
#[leased(owned)]
#[derive(Debug)]
pub struct Session {
    user: u32,
}

mod shadowed {
    #![allow(dead_code, unused_imports, reason = "they are only there to be in the way")]

    type Option = ();
    type Result = ();
    type String = ();
    struct Some;
    struct Ok;
    struct Err;
    trait Future {}
    mod core {}
    mod std {}
    mod lease {}

    #[::lease::leased(owned)]
    pub(super) fn owned(user: u32) -> ::std::result::Result<super::SessionLease, ::lease::AcquireError> {
        ::std::result::Result::Ok(super::Session { user })
    }

    #[::lease::leased(scoped, scope = s)]
    pub(super) fn scoped() -> u32 {
        *s.alloc(7)
    }

    #[::lease::leased(borrowed)]
    pub(super) fn borrowed(#[lease] frame: &[u8]) -> usize {
        frame.len()
    }

    #[::lease::leased(static)]
    pub(super) fn fixed() -> &'static str {
        "fixed"
    }

    #[::lease::leased(exclusive, work = "shadowed/{id}", ttl = "30s", wait = "1s", registrar = registrar, claim = r#struct)]
    pub(super) fn exclusive(registrar: &::lease::Registrar, id: u32) -> ::std::result::Result<u32, ::lease::ClaimError> {
        assert!(r#struct.is_held());
        ::std::result::Result::Ok(id)
    }

    #[::lease::leased(exclusive, work("shadowed/{}", id), ttl = "30s", registrar = registrar)]
    pub(super) async fn exclusive_async(
        registrar: &::lease::Registrar,
        id: u32,
    ) -> ::std::result::Result<u32, ::lease::ClaimError> {
        ::std::result::Result::Ok(id)
    }

    pub(super) fn in_scope() -> u32 {
        ::lease::lease_scope!(|s| { *s.alloc(8) })
    }
}

struct Directory {
    made: u32,
}

impl Directory {
    /// `self` in every form.
    #[must_use]
    #[leased(owned)]
    fn by_arc(self: Arc<Self>, add: impl Into<u32>) -> StrongLease<Session> {
        Session { user: self.made + add.into() }
    }

    #[leased(scoped, scope = scope)]
    fn by_mut(&mut self, names: &[&str]) -> usize {
        self.made += 1;
        scope.alloc_slice(names).len()
    }

    #[leased(borrowed)]
    fn by_ref<T>(#[lease] &self, #[cfg(any())] #[lease] absent: &Absent, #[lease] r#type: &[T]) -> usize
    where
        T: Copy,
    {
        #![allow(clippy::needless_return, reason = "inner attributes speak of the function")]
        return r#type.len();
    }

    #[leased(scoped)]
    fn by_value(mut self) -> u32 {
        self.made += 1;
        self.made
    }
}

/// Names that an expansion might use itself.
#[leased(borrowed)]
fn crowded(#[lease] owner: &[u8], #[lease] _recorded: &[u8], memory: u8, claim: u8, request: u8) -> usize {
    owner.len() + _recorded.len() + usize::from(memory + claim + request)
}

#[leased(scoped, scope = storage)]
fn never(code: u8) -> ! {
    let code = *storage.alloc(code);
    std::panic::resume_unwind(Box::new(code))
}

macro_rules! leased_function {
    ($name:ident, $scope:ident, $body:expr) => {
        #[leased(scoped, scope = $scope)]
        fn $name() -> u32 {
            *$scope.alloc($body)
        }
    };
}

leased_function!(made_by_a_macro, scope, 7);

macro_rules! in_a_scope {
    ($value:expr) => {
        lease_scope!(|scope| { *scope.alloc($value) })
    };
}

#[leased(scoped, scope = outer)]
fn nested() -> u32 {
    #[leased(scoped, scope = inner)]
    fn inside() -> u32 {
        *inner.alloc(1)
    }
    *outer.alloc(inside())
}

fn main() {
    assert_eq!(shadowed::owned(7).map(|session| session.user), Ok(7));
    assert_eq!(shadowed::scoped() + shadowed::in_scope(), 15);
    assert_eq!(shadowed::borrowed(&[1]) + shadowed::fixed().len(), 6);
    let registrar = Registrar::in_memory().expect("a thread to spare");
    assert!(matches!(shadowed::exclusive(&registrar, 7), Ok(7)));
    drop(shadowed::exclusive_async(&registrar, 7));
    let mut directory = Directory { made: 1 };
    assert_eq!(directory.by_mut(&["a", "b"]), 2);
    assert_eq!(directory.by_ref(&[1, 2, 3]), 3);
    assert_eq!(directory.by_value(), 3);
    assert_eq!(Arc::new(Directory { made: 1 }).by_arc(2_u8).user, 3);
    assert_eq!(crowded(&[1], &[2], 1, 1, 1), 5);
    assert!(std::panic::catch_unwind(|| never(1)).is_err());
    assert_eq!(made_by_a_macro() + nested(), 8);
    let scope = 1;
    assert_eq!(in_a_scope!(scope), 1);
    let _single_line: SessionWeak = StrongLease::downgrade(&Arc::new(Directory { made: 0 }).by_arc(1_u8));
}
