//! Types under every lint a user may be strict about.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unused, unused_qualifications, unreachable_pub)]
#![deny(missing_debug_implementations, elided_lifetimes_in_paths, single_use_lifetimes)]

use std::sync::Mutex;

use lease::{Leased as _, LeaseOwner, TrackBorrowed as _, leased};

/// What a program might shadow.
#[allow(dead_code, reason = "they are only there to be in the way")]
mod shadowed {
    pub(crate) struct Option;
    pub(crate) struct Result;
    pub(crate) struct Some;
    pub(crate) struct Box;
    pub(crate) struct String;
    pub(crate) trait Send {}
    pub(crate) trait Sync {}
    pub(crate) trait Sized {}
    pub(crate) trait Fn {}
    pub(crate) trait Drop {}
    pub(crate) trait Into {}
    pub(crate) struct System;
    pub(crate) struct Pool;
    pub(crate) struct StrongLease;
    pub(crate) mod core {}
    pub(crate) mod std {}
}

/// In the middle of all that.
mod in_the_middle {
    #[allow(unused_imports, reason = "they are only there to be in the way")]
    use super::shadowed::*;

    /// Owned.
    #[::lease::leased(owned, capacity = 4, recycle = Session::reset)]
    #[derive(::std::fmt::Debug)]
    pub(crate) struct Session {
        pub(crate) user: u32,
    }

    impl Session {
        const fn reset(&mut self) {
            self.user = 0;
        }
    }

    /// Borrowed.
    #[::lease::leased(borrowed)]
    #[derive(::std::fmt::Debug)]
    pub(crate) struct Frame<'a> {
        #[lease]
        pub(crate) bytes: &'a [u8],
    }
}

/// A raw name, attributes on both sides, a field that is configured away.
#[derive(Debug, Default)]
#[leased(owned, strong = r#Held, weak = r#Seen)]
#[must_use]
#[allow(non_camel_case_types, reason = "raw names are lower case")]
struct r#type {
    number: u64,
    #[cfg(any())]
    absent: Absent,
}

/// Never leased by its own names.
#[leased(owned)]
#[derive(Debug)]
enum Quiet {
    One,
}

macro_rules! sessions {
    ($($name:ident => $strong:ident, $weak:ident;)*) => {
        $(
            /// Made by a macro.
            #[leased(owned, strong = $strong, weak = $weak)]
            #[derive(Debug)]
            struct $name(Mutex<u32>);
        )*
    };
}

sessions! {
    First => FirstHeld, FirstSeen;
    Second => SecondHeld, SecondSeen;
}

fn main() {
    let session = in_the_middle::Session::lease(in_the_middle::Session { user: 7 });
    assert_eq!(session.user, 7);
    let owner = LeaseOwner::new();
    let frame = in_the_middle::Frame { bytes: &[1, 2] };
    assert_eq!(frame.track(&owner).bytes.len(), 2);
    let raw: r#Held = r#type::lease(r#type::default());
    let weak: r#Seen = lease::StrongLease::downgrade(&raw);
    assert_eq!(weak.lock().map(|found| found.number), Some(0));
    assert!(matches!(*Quiet::lease(Quiet::One), Quiet::One));
    let first: FirstHeld = First::lease(First(Mutex::new(1)));
    let second: SecondHeld = Second::lease(Second(Mutex::new(2)));
    let seen: (FirstSeen, SecondSeen) = (lease::StrongLease::downgrade(&first), lease::StrongLease::downgrade(&second));
    assert!(seen.0.lock().is_some() && seen.1.lock().is_some());
    assert!(first.0.lock().is_ok() && second.0.lock().is_ok());
}
