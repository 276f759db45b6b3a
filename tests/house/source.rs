//! The crate's own sources, parsed.

use std::path::{Path, PathBuf};

/// One file of `lease/src`.
pub(crate) struct Source {
    /// Its path below `lease/src`, with `/` between folders.
    pub(crate) path: String,
    /// What it says.
    pub(crate) syntax: syn::File,
}

/// Every Rust file of `lease/src`.
pub(crate) fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lease/src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    files
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let path = file
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            let syntax =
                syn::parse_file(&text).unwrap_or_else(|error| panic!("{path} does not parse: {error}"));
            Source { path, syntax }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// Whether an item is compiled for tests only: such code may reach up to build what it tests against.
pub(crate) fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| {
                    let condition = list.tokens.to_string();
                    condition == "test"
                        || condition.starts_with("all (test")
                        || condition.starts_with("all(test")
                })
    })
}
