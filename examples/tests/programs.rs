//! Runs the examples as their readers would: `cargo test` builds them, this makes sure that what they assert holds.
//!
//! Cargo builds the examples of a package for `cargo test`, but not for `cargo test --test programs`.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where cargo put an example of this package: beside the folder that holds this test.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples")
        .join(name)
}

fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(program(name))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_short_example_keeps_its_assertions() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for entry in std::fs::read_dir(sources).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let output = run(name, &[]);
            assert!(output.status.success(), "{name}: {}", text(&output.stderr));
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(
                lines < 80,
                "{name} has {lines} lines: it is no short example any more"
            );
            count += 1;
        }
    }
    assert!(count >= 6, "only {count} short examples");
}

/// A tree of `files` small files and a place for the state, gone when the test ends.
struct Site {
    root: tempfile::TempDir,
}

impl Site {
    fn with_files(files: usize) -> Self {
        let site = Self {
            root: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(site.root.path().join("tree")).unwrap();
        for number in 0..files {
            let text = format!("file number {number}\nsecond line\n");
            std::fs::write(site.root.path().join("tree").join(format!("{number}.txt")), text).unwrap();
        }
        site
    }

    fn path(&self, name: &str) -> String {
        self.root.path().join(name).to_str().unwrap().to_owned()
    }

    fn fleet(&self, more: &[&str]) -> Output {
        let (tree, state) = (self.path("tree"), self.path("state"));
        let mut arguments = vec![tree.as_str(), "--state", &state, "--workers", "2"];
        arguments.extend(more);
        run("fleet", &arguments)
    }
}

#[test]
fn fleet_reads_each_file_once_and_proves_it() {
    let site = Site::with_files(20);
    let output = site.fleet(&["--timeline", &site.path("timeline.svg")]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(
        said.contains("files      20 of 20 done, 20 of them in this run, 0 unreadable"),
        "{said}"
    );
    assert!(said.contains("40 lines and 100 words in all"), "{said}");
    assert_eq!(said.matches("\nok      ").count(), 4, "{said}");
    let picture = std::fs::read_to_string(site.path("timeline.svg")).unwrap();
    assert!(picture.matches("<rect").count() > 20, "a bar for each lease");
}

#[test]
fn fleet_goes_on_where_it_stopped() {
    let site = Site::with_files(12);
    assert!(site.fleet(&["--limit", "5"]).status.success());
    let said = text(&site.fleet(&[]).stdout);
    assert!(
        said.contains("files      12 of 12 done, 7 of them in this run"),
        "{said}"
    );
}

#[test]
fn fleet_refuses_what_it_cannot_read_or_write() {
    let site = Site::with_files(0);
    let state = site.path("state");
    std::fs::write(site.path("file"), "x").unwrap();
    let file = site.path("file");
    let below_a_file = format!("{file}/state");
    let root = site.path("");
    for (arguments, complaint) in [
        (
            vec![site.path("tree"), "--state".to_owned(), state.clone()],
            "there is no file below",
        ),
        (
            vec![site.path("missing"), "--state".to_owned(), state.clone()],
            "No such file or directory",
        ),
        (
            vec![file.clone(), "--state".to_owned(), state.clone()],
            "Not a directory",
        ),
        (
            vec![root, "--state".to_owned(), below_a_file],
            "cannot keep state in",
        ),
        (
            vec!["--workers".to_owned(), "0".to_owned()],
            "0 is not in 1..=256",
        ),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = run("fleet", &arguments);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{arguments:?} must fail");
        assert!(said.contains(complaint), "{arguments:?}: {said}");
    }
    assert!(!Path::new(&state).exists(), "a refused run leaves nothing behind");
}
