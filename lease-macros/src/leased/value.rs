//! The values of options, each kind with its own parser.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, Expr, ExprLit, ExprUnary, Lit, LitStr, Path, Result, UnOp};

use super::duration;
use crate::diagnostics::ours;

/// A shorter ttl would be lost to one slow disk write.
const SHORTEST_TTL: Duration = Duration::from_secs(1);

/// A length of time.
pub(super) enum Time {
    /// Read from a literal, which stood here.
    Literal(Duration, Span),
    /// An expression of type `Duration`.
    Expr(Box<Expr>),
}

/// What names the work item.
pub(super) enum Work {
    /// Arguments of `format_args!`.
    Format(TokenStream),
    /// Anything that implements `Display`.
    Expr(Box<Expr>),
}

impl Time {
    /// Stands in where the real one is missing and has been reported.
    pub(super) fn unknown() -> Self {
        Self::Literal(SHORTEST_TTL, Span::call_site())
    }
}

impl ToTokens for Time {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Literal(duration, span) => {
                let (secs, nanos) = (duration.as_secs(), duration.subsec_nanos());
                quote_spanned!(ours(*span)=> ::core::time::Duration::new(#secs, #nanos))
            }
            Self::Expr(expr) => quote!(#expr),
        });
    }
}

impl Work {
    /// Stands in where the real one is missing and has been reported.
    pub(super) fn unknown() -> Self {
        Self::Format(quote!(""))
    }
}

/// A module path, type or function: `Session::reset`.
pub(super) fn path(option: &str, expr: &Expr) -> Result<Path> {
    match expr {
        Expr::Path(path) if path.qself.is_none() && path.attrs.is_empty() => Ok(path.path.clone()),
        _ => Err(wrong_kind(option, "a path", expr)),
    }
}

/// One plain name.
pub(super) fn name(option: &str, expr: &Expr) -> Result<Ident> {
    if let Expr::Path(path) = expr
        && path.qself.is_none()
        && let Some(ident) = path.path.get_ident()
        && !["self", "Self", "super", "crate"]
            .iter()
            .any(|keyword| ident == keyword)
    {
        return Ok(ident.clone());
    }
    Err(wrong_kind(option, "a name", expr))
}

/// Whether the value is exactly this word.
pub(super) fn is_word(expr: &Expr, word: &str) -> bool {
    matches!(expr, Expr::Path(path) if path.qself.is_none() && path.path.is_ident(word))
}

/// How many leases can live at once.
pub(super) fn capacity(expr: Expr) -> Result<Expr> {
    match &expr {
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => match number.base10_parse::<u64>() {
            Ok(0) => Err(Error::new_spanned(
                &expr,
                "a pool of capacity zero could never lease anything",
            )),
            Ok(_) => Ok(expr),
            Err(error) => Err(Error::new_spanned(&expr, error)),
        },
        Expr::Path(_) => Ok(expr),
        _ => Err(wrong_kind("capacity", "a number", &expr)),
    }
}

/// `"30s"`, or an expression of type `Duration`.
pub(super) fn time(option: &str, expr: Expr) -> Result<Time> {
    let fail = |message| Err(Error::new_spanned(&expr, format_args!("`{option}`: {message}")));
    let duration = match &expr {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text), ..
        }) => match duration::parse(&text.value()) {
            Ok(duration) => duration,
            Err(message) => return fail(message),
        },
        Expr::Lit(ExprLit {
            lit: Lit::Int(_) | Lit::Float(_),
            ..
        }) => {
            let number = expr.to_token_stream().to_string();
            return fail(format!(
                "a bare number has no unit: write \"{number}s\", or use `ms`, `m`, `h`"
            ));
        }
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. }) => return fail("a time is not negative".to_owned()),
        Expr::Lit(_) => return Err(wrong_kind(option, "a time such as \"30s\"", &expr)),
        _ => return Ok(Time::Expr(Box::new(expr))),
    };
    if duration.is_zero() {
        return Err(too_short(
            option,
            &expr,
            "is zero: nothing could happen in that time",
        ));
    }
    if option == "ttl" && duration < SHORTEST_TTL {
        return Err(too_short(
            option,
            &expr,
            "is under one second: a claim could not be renewed in time",
        ));
    }
    Ok(Time::Literal(duration, expr.span()))
}

fn too_short(option: &str, found: &Expr, problem: &str) -> Error {
    Error::new_spanned(found, format_args!("`{option}` {problem}"))
}

/// `work = "invoice/{id}"`, or an expression.
pub(super) fn work(expr: Expr) -> Result<Work> {
    match &expr {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text), ..
        }) => {
            not_empty(text)?;
            Ok(Work::Format(quote!(#text)))
        }
        Expr::Lit(_) => Err(wrong_kind("work", "a text such as \"invoice/{id}\"", &expr)),
        _ => Ok(Work::Expr(Box::new(expr))),
    }
}

/// `work("invoice/{}", self.id)`.
pub(super) fn work_list(option: &Ident, list: TokenStream) -> Result<Work> {
    match syn::parse2::<FormatList>(list.clone()) {
        Ok(FormatList(text)) => not_empty(&text).map(|()| Work::Format(list)),
        Err(_) => Err(Error::new_spanned(
            quote!(#option),
            "expected a format string and its arguments, as in `work(\"invoice/{}\", self.id)`",
        )),
    }
}

struct FormatList(LitStr);

impl syn::parse::Parse for FormatList {
    fn parse(input: syn::parse::ParseStream<'_>) -> Result<Self> {
        let text = input.parse()?;
        // The arguments are `format_args!`'s business.
        input.parse::<TokenStream>()?;
        Ok(Self(text))
    }
}

fn not_empty(text: &LitStr) -> Result<()> {
    if text.value().is_empty() {
        return Err(Error::new_spanned(
            text,
            "a work item needs a name, as in `work = \"invoice/{id}\"`",
        ));
    }
    Ok(())
}

fn wrong_kind(option: &str, expected: &str, found: &Expr) -> Error {
    let kind = match found {
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Str(_) => "a string",
            Lit::Int(_) | Lit::Float(_) => "a number",
            Lit::Bool(_) => "a boolean",
            Lit::Char(_) => "a character",
            _ => "a literal",
        },
        Expr::Path(_) => "a path",
        Expr::Closure(_) => "a closure",
        _ => "an expression",
    };
    Error::new_spanned(found, format_args!("`{option}` expects {expected}, found {kind}"))
}
