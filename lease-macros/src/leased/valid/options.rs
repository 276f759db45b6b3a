//! The options of a use: each known here, given once, with a value.

use proc_macro2::Ident;
use syn::{Expr, Path};

use crate::diagnostics::{Errors, nearest, one_of};
use crate::leased::args::{Entry, Value};
use crate::leased::contract::{Contract, Target, home_of};
use crate::leased::value;

/// The options that were given and belong here, each at most once.
pub(super) struct Options(Vec<Entry>);

impl Options {
    pub(super) fn gather(
        entries: Vec<Entry>,
        contract: Contract,
        target: Target,
        known: &'static [&'static str],
        errors: &mut Errors,
    ) -> Self {
        let mut gathered: Vec<Entry> = Vec::new();
        for entry in entries {
            let name = entry.name.to_string();
            if !known.contains(&name.as_str()) {
                misplaced_option(&entry.name, contract, target, known, errors);
                continue;
            }
            if gathered.iter().any(|earlier| earlier.name == entry.name) {
                option_twice(&entry.name, errors);
                continue;
            }
            let is_list = matches!(entry.value, Value::List(_));
            if matches!(entry.value, Value::Word) || (is_list && name != "work") {
                option_without_value(&entry.name, errors);
                gathered.push(Entry {
                    value: Value::Broken,
                    ..entry
                });
                continue;
            }
            gathered.push(entry);
        }
        Self(gathered)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|entry| entry.name == name)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Entry> {
        let at = self.0.iter().position(|entry| entry.name == name)?;
        Some(self.0.swap_remove(at))
    }

    pub(super) fn expr(&mut self, name: &str) -> Option<Expr> {
        match self.take(name)?.value {
            Value::Assigned(expr) => Some(expr),
            _ => None,
        }
    }

    pub(super) fn path(&mut self, name: &str, errors: &mut Errors) -> Option<Path> {
        let expr = self.expr(name)?;
        errors.keep(value::path(name, &expr))
    }

    pub(super) fn name(&mut self, name: &str, errors: &mut Errors) -> Option<Ident> {
        let expr = self.expr(name)?;
        errors.keep(value::name(name, &expr))
    }

    pub(super) fn time(&mut self, name: &str, errors: &mut Errors) -> Option<value::Time> {
        let expr = self.expr(name)?;
        errors.keep(value::time(name, expr))
    }
}

fn option_twice(name: &Ident, errors: &mut Errors) {
    errors.at(name, format_args!("option `{name}` is given twice"));
}

fn option_without_value(name: &Ident, errors: &mut Errors) {
    errors.at(name, format_args!("option `{name}` needs a value: `{name} = …`"));
}

/// An option of another contract, of another item, or of nothing at all.
fn misplaced_option(name: &Ident, contract: Contract, target: Target, known: &[&str], errors: &mut Errors) {
    let (here, on) = (contract.name(), target.plural());
    let written = name.to_string();
    let message = if let Some(meant) = nearest(&written, known) {
        format!("unknown option `{name}`: did you mean `{meant}`?")
    } else if let Some((home, home_target)) = home_of(&written) {
        format!(
            "`{name}` is an option of `{}` {}: `{here}` {on} take {}",
            home.name(),
            home_target.plural(),
            one_of(known)
        )
    } else {
        format!("unknown option `{name}`: `{here}` {on} take {}", one_of(known))
    };
    errors.at(name, message);
}
