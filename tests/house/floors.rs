//! Floors import downwards only.

use syn::visit::Visit;

use crate::source::{self, Source};

/// The rooms of the house, each with the rooms it may name besides itself. The order is the order of the design: a room
/// lists only rooms above it in this table.
const ROOMS: &[(&str, &[&str])] = &[
    ("sync", &[]),
    ("memory/strategy", &["sync"]),
    ("memory/pool", &["sync", "memory/strategy"]),
    ("memory/owner", &["sync", "memory/strategy", "memory/pool"]),
    (
        "memory/scope",
        &["sync", "memory/strategy", "memory/pool", "memory/owner"],
    ),
    ("work/random", &[]),
    ("work/tick", &[]),
    ("work/observe", &[]),
    ("work/event", &["sync", "work/tick"]),
    ("work/clock", &["sync", "work/random", "work/tick"]),
    ("work/reducer", &["sync", "work/tick", "work/event"]),
    ("work/ledger", &["sync", "work/tick", "work/event", "work/random"]),
    ("work/follow", &["work/event", "work/reducer", "work/ledger"]),
    (
        "work/registrar",
        &[
            "sync",
            "work/random",
            "work/tick",
            "work/event",
            "work/clock",
            "work/reducer",
            "work/ledger",
            "work/follow",
            "work/observe",
        ],
    ),
    (
        "work/claim",
        &[
            "sync",
            "work/tick",
            "work/event",
            "work/clock",
            "work/reducer",
            "work/ledger",
            "work/observe",
            "work/registrar",
        ],
    ),
];

/// Files that may name everything: the doors at the top, and the folders' own tables of contents.
const TOP: &[&str] = &[
    "lib.rs",
    "macros.rs",
    "__private.rs",
    "memory/mod.rs",
    "work/mod.rs",
];

/// The room of a path such as `memory/pool/word` or `memory/pool/word.rs`.
fn room_of(path: &str) -> Option<&'static str> {
    ROOMS.iter().map(|(room, _)| *room).find(|room| {
        path.strip_prefix(room)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
    })
}

/// Every path in one file that starts at the crate's root, as `memory/pool/word`.
#[derive(Default)]
struct CratePaths {
    found: Vec<String>,
}

impl CratePaths {
    fn add_tree(&mut self, tree: &syn::UseTree, mut prefix: Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_tree(&path.tree, prefix);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(tree, prefix.clone());
                }
            }
            syn::UseTree::Name(name) => {
                prefix.push(name.ident.to_string());
                self.add(&prefix);
            }
            syn::UseTree::Rename(rename) => {
                prefix.push(rename.ident.to_string());
                self.add(&prefix);
            }
            syn::UseTree::Glob(_) => {
                prefix.push("*".to_owned());
                self.add(&prefix);
            }
        }
    }

    fn add(&mut self, segments: &[String]) {
        if segments
            .first()
            .is_some_and(|first| first == "crate" || first == "lease")
            && segments.len() > 1
        {
            self.found.push(segments[1..].join("/"));
        }
    }
}

impl<'ast> Visit<'ast> for CratePaths {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !source::is_test_only(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !source::is_test_only(&item.attrs) {
            self.add_tree(&item.tree, Vec::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.add(&segments);
        syn::visit::visit_path(self, path);
    }
}

/// What one file imports against the rules, in words.
fn trespasses(file: &Source) -> Vec<String> {
    if TOP.contains(&file.path.as_str()) || file.path.starts_with("docs/") {
        return Vec::new();
    }
    let Some(room) = room_of(&file.path) else {
        return vec![format!(
            "{} stands in no room of the table in tests/house/floors.rs",
            file.path
        )];
    };
    let allowed = ROOMS
        .iter()
        .find(|(name, _)| *name == room)
        .map_or(&[][..], |(_, allowed)| allowed);
    let mut paths = CratePaths::default();
    paths.visit_file(&file.syntax);
    paths
        .found
        .iter()
        .filter(|path| !room_of(path).is_some_and(|target| target == room || allowed.contains(&target)))
        .map(|path| {
            format!(
                "{} names crate::{}, which {room} may not",
                file.path,
                path.replace('/', "::")
            )
        })
        .collect()
}

#[test]
fn every_import_goes_downwards() {
    let trespasses: Vec<String> = source::all().iter().flat_map(trespasses).collect();
    assert!(trespasses.is_empty(), "{}", trespasses.join("\n"));
}

#[test]
fn the_table_of_rooms_is_itself_ordered() {
    for (index, (room, allowed)) in ROOMS.iter().enumerate() {
        for below in *allowed {
            let position = ROOMS.iter().position(|(name, _)| name == below);
            assert!(
                position.is_some_and(|position| position < index),
                "{room} lists {below}"
            );
        }
    }
}

#[test]
fn an_upward_import_is_found_in_every_spelling() {
    for text in [
        "use crate::memory::owner::LeaseOwner;",
        "use crate::memory::{strategy::System, owner};",
        "use lease::memory::owner as up;",
        "use crate::*;",
        "use crate::Claim;",
        "fn f() { crate::memory::scope::open(); }",
        "fn f(x: crate::work::event::EventRecord) {}",
    ] {
        let file = Source {
            path: "memory/pool/mod.rs".to_owned(),
            syntax: syn::parse_str(text).unwrap(),
        };
        assert_eq!(trespasses(&file).len(), 1, "{text}");
    }
}

#[test]
fn a_downward_import_is_not() {
    let text =
        "use crate::memory::strategy::System; use crate::sync::{self, atomic}; use crate::memory::pool::word;
        #[cfg(test)] mod tests { use crate::memory::owner::LeaseOwner; }";
    let file = Source {
        path: "memory/pool/mod.rs".to_owned(),
        syntax: syn::parse_str(text).unwrap(),
    };
    assert_eq!(trespasses(&file), Vec::<String>::new());
}
