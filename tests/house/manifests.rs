//! The top level holds what the design names, and every dependency says why it is there.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "examples",
    "lease",
    "lease-macros",
    "target",
    "tests",
    "ui-tests",
];

const MANIFESTS: &[&str] = &[
    "lease/Cargo.toml",
    "lease-macros/Cargo.toml",
    "tests/Cargo.toml",
    "tests/renamed/Cargo.toml",
    "tests/edition_2021/Cargo.toml",
    "ui-tests/Cargo.toml",
    "examples/Cargo.toml",
    "benches/Cargo.toml",
];

#[test]
fn the_top_level_holds_only_what_the_design_names() {
    let strangers: Vec<String> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

/// The dependencies of a manifest that stand in a paragraph without a reason: a comment line at its head.
fn without_reason(manifest: &str) -> Vec<&str> {
    let mut in_dependencies = false;
    let mut has_reason = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_dependencies = line.trim_matches(['[', ']']).ends_with("dependencies");
            has_reason = false;
        } else if line.is_empty() {
            has_reason = false;
        } else if line.starts_with('#') {
            has_reason = true;
        } else if in_dependencies && !has_reason {
            found.push(line);
        }
    }
    found
}

#[test]
fn every_dependency_has_its_reason() {
    for manifest in MANIFESTS {
        let text = std::fs::read_to_string(root().join(manifest)).unwrap();
        assert!(text.contains("dependencies]"), "{manifest} was not understood");
        assert_eq!(without_reason(&text), Vec::<&str>::new(), "{manifest}");
    }
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let manifest = "[package]\nname = \"x\"\n[dev-dependencies]\n# Because.\na = \"1\"\n\nb = \"1\"\n";
    assert_eq!(without_reason(manifest), ["b = \"1\""]);
}
