//! For how long a lease around a function holds when the function returns a future.

use proc_macro2::Ident;

use super::Shape;
use super::options::Options;
use crate::diagnostics::Errors;
use crate::leased::args::{Entry, Value};
use crate::leased::contract::{Contract, Target};
use crate::leased::item::Function;
use crate::leased::value;

/// How the body runs, which is a question when a plain function returns a future.
/// How the body runs, which is a question when a plain function returns a future.
pub(super) fn shape(
    contract: Contract,
    function: &Function,
    options: &mut Options,
    errors: &mut Errors,
) -> Shape {
    let asked = options.take("hold");
    let asks = |word: &str| matches!(&asked, Some(Entry { value: Value::Assigned(value), .. }) if value::is_word(value, word));
    if function.sig.asyncness.is_some() {
        if let Some(entry) = &asked {
            hold_on_async_fn(&entry.name, errors);
        }
        return Shape::Async;
    }
    if asks("call") {
        return Shape::Sync;
    }
    let block = function.async_block();
    match asked {
        Some(entry) if asks("future") => {
            if block.is_none() {
                future_without_async_block(&entry.name, errors);
            }
            block.map_or(Shape::Sync, Shape::Future)
        }
        Some(entry) => {
            hold_unknown(&entry, errors);
            Shape::Sync
        }
        None if function.is_async_trait_method() => block.map_or(Shape::Sync, Shape::Future),
        None => {
            let has_hold = contract
                .options(Target::Function)
                .is_some_and(|options| options.contains(&"hold"));
            if has_hold && function.returns_future() {
                returns_future_without_hold(function, errors);
            }
            Shape::Sync
        }
    }
}

fn hold_unknown(entry: &Entry, errors: &mut Errors) {
    if let Value::Assigned(value) = &entry.value {
        errors.at(value, "`hold` is `future` or `call`");
    }
}

fn future_without_async_block(name: &Ident, errors: &mut Errors) {
    errors.at(
        name,
        "`hold = future` reaches into the body, which has to be one `async` block, or `Box::pin` of one",
    );
}

fn returns_future_without_hold(function: &Function, errors: &mut Errors) {
    errors.at(
        &function.sig.output,
        "this function returns a future: say with `hold = future` that the lease is held until that is done, \
         or with `hold = call` that it ends before",
    );
}

fn hold_on_async_fn(name: &Ident, errors: &mut Errors) {
    errors.at(
        name,
        "an `async fn` always holds its lease for the whole future: remove `hold`",
    );
}
