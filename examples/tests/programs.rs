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

/// Changes the ledger's first release behind its back, and says which record that is.
fn tamper(ledger: &str) -> u64 {
    let database = rusqlite::Connection::open(Path::new(ledger).join("ledger.db")).unwrap();
    let trigger = "SELECT sql FROM sqlite_schema WHERE name = 'events_never_change'";
    let trigger: String = database.query_row(trigger, [], |row| row.get(0)).unwrap();
    let first = "SELECT min(sequence) FROM events WHERE event_type = 'lease.released'";
    let first: u64 = database.query_row(first, [], |row| row.get(0)).unwrap();
    let change = format!(
        "DROP TRIGGER events_never_change; UPDATE events SET wall = wall + 1 WHERE sequence >= {first}; {trigger}"
    );
    database.execute_batch(&change).unwrap();
    first
}

#[test]
fn ledger_shows_what_fleet_left() {
    let site = Site::with_files(5);
    assert!(site.fleet(&[]).status.success());
    let ledger = site.path("state/jobs.lease");
    let said = |arguments: &[&str]| {
        let output = run("ledger", arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let kept = said(&["head", &ledger]);
    // A look needs no key.
    std::fs::rename(format!("{ledger}/registrar.key"), site.path("away")).unwrap();

    let leases = said(&["leases", &ledger]);
    assert_eq!(leases.matches("RELEASED (COMPLETED)").count(), 5, "{leases}");
    assert!(leases.ends_with("5 of 5 leases\n"), "{leases}");
    let none = said(&["leases", &ledger, "--state", "active"]);
    assert!(none.ends_with("0 of 5 leases\n"), "{none}");
    assert_eq!(said(&["holders", &ledger]), "nobody holds anything\n");

    let history = said(&["history", &ledger]);
    assert_eq!(history.matches("lease.issued").count(), 5, "{history}");
    assert_eq!(
        said(&["history", &ledger, "--after", "3", "--limit", "2"])
            .lines()
            .count(),
        2
    );

    assert!(said(&["verify", &ledger]).starts_with("sound: 1"));
    assert!(said(&["verify", &ledger, "--head", kept.trim()]).contains("contains the head"));

    for rows in ["holder", "work"] {
        let file = site.path(rows);
        said(&["timeline", &ledger, &file, "--by", rows]);
        let picture = std::fs::read_to_string(file).unwrap();
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
        assert_eq!(picture.matches("token ").count(), 5, "a bar for each lease");
    }

    let bad = tamper(&ledger);
    let output = run("ledger", &["verify", &ledger]);
    let said = text(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains(&format!("record {bad} is bad")), "{said}");
}

#[test]
fn ledger_refuses_bad_input_in_one_line() {
    let site = Site::with_files(1);
    assert!(site.fleet(&[]).status.success());
    let (ledger, nothing, other) = (
        site.path("state/jobs.lease"),
        site.path("nothing"),
        site.path("tree"),
    );
    for (arguments, complaint) in [
        (vec!["leases", &nothing], "there is nothing"),
        (vec!["verify", &other], "open to other users"),
        (
            vec!["verify", &ledger, "--head", "lease-head-12"],
            "no signed head",
        ),
        (
            vec!["timeline", &ledger, "/no/such/place.svg"],
            "cannot write /no/such/place.svg",
        ),
        (vec!["head", &nothing], "there is nothing"),
    ] {
        let output = run("ledger", &arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            said.starts_with("ledger: ") && said.lines().count() == 1,
            "{said}"
        );
        assert!(said.contains(complaint), "{arguments:?}: {said}");
    }
    assert!(
        !run("ledger", &["leases", &ledger, "--state", "sleepy"])
            .status
            .success()
    );
    assert!(!Path::new(&nothing).exists(), "looking makes nothing");
}

#[test]
fn ledger_lets_no_name_rule_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("\u{1b}jobs\u{202e}");
    let path = path.to_str().unwrap();
    let missing = text(&run("ledger", &["leases", path]).stderr);
    let jobs = lease::Registrar::open(path).unwrap();
    let work = "\u{1b}[31m\u{202a}work\u{2066}";
    jobs.issue(work, std::time::Duration::from_mins(1))
        .wait()
        .unwrap();
    let mut all = vec![missing];
    for command in ["leases", "holders", "history"] {
        all.push(text(&run("ledger", &[command, path]).stdout));
    }
    for said in all {
        assert!(said.contains("jobs") || said.contains("work"), "{said:?}");
        assert!(
            !said.contains(['\u{1b}', '\u{202a}', '\u{202e}', '\u{2066}']),
            "{said:?}"
        );
    }
}
