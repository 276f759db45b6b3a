//! The grammar as a table: which contract stands on what, and with which options.

/// What a `#[leased]` promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contract {
    Owned,
    Borrowed,
    Static,
    Scoped,
    Exclusive,
}

/// What it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Type,
    Function,
}

use Contract::{Borrowed, Exclusive, Owned, Scoped, Static};

/// Every form there is, with its options.
const FORMS: &[(Contract, Target, &[&str])] = &[
    (
        Owned,
        Target::Type,
        &["capacity", "recycle", "strategy", "strong", "weak", "crate"],
    ),
    (Borrowed, Target::Type, &["crate"]),
    (Owned, Target::Function, &["crate"]),
    (Scoped, Target::Function, &["scope", "strategy", "hold", "crate"]),
    (Borrowed, Target::Function, &["owner", "hold", "crate"]),
    (Static, Target::Function, &["owner", "crate"]),
    (
        Exclusive,
        Target::Function,
        &[
            "work",
            "ttl",
            "registrar",
            "actor",
            "wait",
            "at_most",
            "at_least",
            "claim",
            "hold",
            "crate",
        ],
    ),
];

const ALL: &[Contract] = &[Owned, Borrowed, Static, Scoped, Exclusive];

impl Contract {
    pub(super) fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|contract| contract.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Owned => "owned",
            Borrowed => "borrowed",
            Static => "static",
            Scoped => "scoped",
            Exclusive => "exclusive",
        }
    }

    /// Its options on this target; `None` when it does not fit there.
    pub(super) fn options(self, target: Target) -> Option<&'static [&'static str]> {
        FORMS
            .iter()
            .find(|&&(contract, on, _)| contract == self && on == target)
            .map(|&(_, _, options)| options)
    }
}

impl Target {
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Type => "types",
            Self::Function => "functions",
        }
    }

    /// The contracts that fit it.
    pub(super) fn contracts(self) -> Vec<&'static str> {
        ALL.iter()
            .filter(|contract| contract.options(self).is_some())
            .map(|contract| contract.name())
            .collect()
    }
}

/// The first form that knows this option, wherever it stands.
pub(super) fn home_of(option: &str) -> Option<(Contract, Target)> {
    FORMS
        .iter()
        .find(|(_, _, options)| options.contains(&option))
        .map(|&(contract, target, _)| (contract, target))
}
