//! The options of `exclusive`.

use super::Exclusive;
use super::options::Options;
use crate::diagnostics::Errors;
use crate::leased::args::{Entry, Value};
use crate::leased::item::Function;
use crate::leased::value::{self, Work};

pub(super) fn without_feature_work(function: &Function, errors: &mut Errors) -> bool {
    if cfg!(not(feature = "work")) {
        errors.at(
            &function.sig.ident,
            "`exclusive` needs the feature `work` of `lease`: `lease = { …, features = [\"work\"] }`",
        );
    }
    cfg!(not(feature = "work"))
}

pub(super) fn check(function: &Function, options: &mut Options, errors: &mut Errors) -> Exclusive {
    let work = match options.take("work") {
        None => without_work(function, errors),
        Some(Entry {
            value: Value::Assigned(expr),
            ..
        }) => errors.keep(value::work(expr)),
        Some(Entry {
            name,
            value: Value::List(list),
        }) => errors.keep(value::work_list(&name, list)),
        Some(_) => None,
    };
    if !options.has("ttl") {
        without_ttl(function, errors);
    }
    let ttl = options.time("ttl", errors);
    Exclusive {
        work: work.unwrap_or_else(Work::unknown),
        ttl: ttl.unwrap_or_else(value::Time::unknown),
        wait: options.time("wait", errors),
        at_most: options.time("at_most", errors),
        at_least: options.time("at_least", errors),
        registrar: options.expr("registrar"),
        actor: options.expr("actor"),
        claim: options.name("claim", errors),
    }
}

fn without_work(function: &Function, errors: &mut Errors) -> Option<Work> {
    errors.at(
        &function.sig.ident,
        "`exclusive` needs the name of the work that one holder at a time may do: `work = \"invoice/{id}\"`",
    );
    None
}

fn without_ttl(function: &Function, errors: &mut Errors) {
    errors.at(
        &function.sig.ident,
        "`exclusive` needs the time after which a holder that fell silent loses its claim: `ttl = \"30s\"`",
    );
}
