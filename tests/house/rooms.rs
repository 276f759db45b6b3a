//! Dangerous words stay in their rooms.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;

use crate::source::{self, Source};

/// Where `unsafe` may stand.
const UNSAFE_ROOMS: &[&str] = &[
    "memory/strategy/",
    "memory/pool/",
    "memory/owner/",
    "memory/scope",
];

/// Every identifier of a file, in order, including those inside macro calls.
fn identifiers(tokens: TokenStream, found: &mut Vec<Ident>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => found.push(ident),
            TokenTree::Group(group) => identifiers(group.stream(), found),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn words(file: &Source) -> Vec<Ident> {
    let mut found = Vec::new();
    identifiers(file.syntax.to_token_stream(), &mut found);
    found
}

fn unsafe_outside_its_rooms(file: &Source) -> Option<String> {
    if UNSAFE_ROOMS.iter().any(|room| file.path.starts_with(room)) {
        return None;
    }
    let word = words(file).into_iter().find(|word| word == "unsafe")?;
    Some(format!(
        "{}:{}: `unsafe` outside its rooms",
        file.path,
        word.span().start().line
    ))
}

fn threads_outside_sync(file: &Source) -> Option<String> {
    if file.path.starts_with("sync/") {
        return None;
    }
    let words = words(file);
    words
        .windows(3)
        .find(|path| {
            (path[0] == "std" || path[0] == "core")
                && (path[1] == "thread" || path[1] == "sync" && path[2] != "LazyLock")
        })
        .map(|path| {
            format!(
                "{}:{}: std::{} outside `sync`",
                file.path,
                path[0].span().start().line,
                path[1]
            )
        })
}

#[test]
fn unsafe_stays_in_its_rooms() {
    let found: Vec<String> = source::all()
        .iter()
        .filter_map(unsafe_outside_its_rooms)
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn atomics_locks_and_threads_come_from_sync() {
    let found: Vec<String> = source::all().iter().filter_map(threads_outside_sync).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn both_words_are_found_where_they_must_not_be() {
    let file = |text| Source {
        path: "work/claim/mod.rs".to_owned(),
        syntax: syn::parse_str(text).unwrap(),
    };
    assert!(unsafe_outside_its_rooms(&file("fn f() { m!(unsafe { g() }) }")).is_some());
    assert!(threads_outside_sync(&file("use std::sync::Mutex;")).is_some());
    assert!(threads_outside_sync(&file("fn f() { std::thread::spawn(g); }")).is_some());
    assert!(threads_outside_sync(&file("use crate::sync::Mutex;")).is_none());
}
