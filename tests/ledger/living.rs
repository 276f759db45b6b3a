//! Whether a process still has a ledger open, as others can tell.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use lease::ledger::{Ledger, LedgerError, Liveness, Remains, SqliteLedger};
use lease_tests::patience::eventually;
use rustix::process::{Pid, Signal, kill_process};

use crate::processes::{dismiss, place, settled, writer};

/// A process that has the ledger open, and what it is called there.
fn neighbour(ledger: &SqliteLedger) -> (Child, String) {
    let before = ledger.incarnations().unwrap();
    let mut child = writer(ledger.path(), "neighbour", "stay");
    settled(&mut child);
    let mut new = ledger.incarnations().unwrap();
    new.retain(|incarnation| !before.contains(incarnation));
    let [incarnation] = new.try_into().unwrap();
    (child, incarnation)
}

fn file(ledger: &SqliteLedger, incarnation: &str) -> PathBuf {
    let (name, _) = incarnation.split_once('-').unwrap();
    ledger.path().join("live").join(name)
}

fn is_alive(ledger: &SqliteLedger, incarnation: &str) -> bool {
    matches!(ledger.liveness(incarnation), Liveness::Alive)
}

fn is_unknown(ledger: &SqliteLedger, incarnation: &str) -> bool {
    matches!(ledger.liveness(incarnation), Liveness::Unknown)
}

/// What is left of a dead one. Another test may just be starting a process, which has our descriptors until it is
/// another program.
fn remains(ledger: &SqliteLedger, incarnation: &str) -> Box<dyn Remains> {
    let mut found = None;
    eventually("its death to be seen", || {
        if let Liveness::Dead(remains) = ledger.liveness(incarnation) {
            found = Some(remains);
        }
        found.is_some()
    });
    found.unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_incarnation_lives_as_long_as_its_ledger_is_open() {
    let (path, _root) = place();
    let first = SqliteLedger::open(&path).unwrap();
    let name = first.incarnation().unwrap().to_owned();
    assert_eq!(first.incarnations().unwrap(), [name.as_str()]);
    assert!(is_alive(&first, &name));
    // Opened twice in one process it is the same.
    let again = SqliteLedger::open(&path).unwrap();
    assert_eq!(again.incarnation(), Some(name.as_str()));
    drop(first);
    assert!(is_alive(&again, &name));
    drop(again);

    let second = SqliteLedger::open(&path).unwrap();
    assert_ne!(second.incarnation(), Some(name.as_str()));
    remains(&second, &name).bury().unwrap();
    assert!(is_unknown(&second, &name));
    assert_eq!(second.incarnations().unwrap(), [second.incarnation().unwrap()]);
}

#[test]
fn a_process_is_dead_when_it_was_killed_and_when_it_has_ended() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let (killed, name) = neighbour(&ledger);
    assert!(is_alive(&ledger, &name));
    kill(killed);
    remains(&ledger, &name).bury().unwrap();
    let (ended, name) = neighbour(&ledger);
    dismiss(ended);
    remains(&ledger, &name).bury().unwrap();
}

#[test]
fn a_process_that_is_stopped_is_not_dead() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let (child, name) = neighbour(&ledger);
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::STOP).unwrap();
    eventually("the process to stop", || state_of(&child) == 'T');
    assert!(is_alive(&ledger, &name));
    kill_process(pid, Signal::CONT).unwrap();
    dismiss(child);
}

/// The letter that the system has for what a process does.
fn state_of(child: &Child) -> char {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.chars().next().unwrap()
}

#[test]
fn a_file_that_is_missing_or_another_one_proves_nothing() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    for kind in ["nothing", "file", "folder", "link", "pipe"] {
        let (child, name) = neighbour(&ledger);
        let file = file(&ledger, &name);
        // Kept, so that its inode is not given to the next one.
        fs::rename(&file, file.with_extension("kept")).unwrap();
        match kind {
            "file" => fs::write(&file, "").unwrap(),
            "folder" => fs::create_dir(&file).unwrap(),
            "link" => symlink(file.with_extension("kept"), &file).unwrap(),
            "pipe" => assert!(Command::new("mkfifo").arg(&file).status().unwrap().success()),
            _ => {}
        }
        assert!(is_unknown(&ledger, &name), "{kind}, while it lives");
        kill(child);
        assert!(is_unknown(&ledger, &name), "{kind}, when it is dead");
        // Put back, it is proof again.
        if kind == "folder" {
            fs::remove_dir(&file).unwrap();
        }
        fs::rename(file.with_extension("kept"), &file).unwrap();
        remains(&ledger, &name).bury().unwrap();
    }
    assert!(is_unknown(&ledger, "../../etc/passwd-1"));
}

#[test]
fn of_two_who_find_somebody_dead_only_one_is_told() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let (child, name) = neighbour(&ledger);
    kill(child);
    let found = remains(&ledger, &name);
    assert!(is_alive(&ledger, &name));
    // The one died, or thought better of it: the other is told.
    drop(found);
    let found = remains(&ledger, &name);
    let late = file(&ledger, &name);
    found.bury().unwrap();
    assert!(!late.exists());
    assert!(is_unknown(&ledger, &name));
}

#[test]
fn a_child_that_became_another_program_does_not_keep_its_parent_alive() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let before = ledger.incarnations().unwrap();
    let mut parent = writer(&path, "parent", "parent");
    settled(&mut parent);
    let mut new = ledger.incarnations().unwrap();
    new.retain(|incarnation| !before.contains(incarnation));
    // The other program ends with the standard input that both have from us.
    let input = parent.stdin.take();
    kill(parent);
    remains(&ledger, &new[0]).bury().unwrap();
    drop(input);
}

#[test]
#[allow(unsafe_code, reason = "there is no other way to fork")]
fn a_child_that_was_only_forked_keeps_its_parent_alive() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let name = ledger.incarnation().unwrap().to_owned();
    let (mut reading, writing) = io::pipe().unwrap();
    // SAFETY: the child only closes and reads a pipe, and exits without unwinding.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(writing);
        let _ = reading.read(&mut [0]);
        // SAFETY: ends the child; has no preconditions.
        unsafe { libc::_exit(0) };
    }
    drop(ledger);
    let ledger = SqliteLedger::open(&path).unwrap();
    assert!(is_alive(&ledger, &name));
    // The child ends.
    drop(writing);
    let mut status = 0;
    // SAFETY: `child` is a child of this process and `status` outlives the call.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    remains(&ledger, &name).bury().unwrap();
}

#[test]
fn a_folder_of_the_living_that_is_a_link_is_refused() {
    let (path, root) = place();
    drop(SqliteLedger::open(&path).unwrap());
    let (live, elsewhere) = (path.join("live"), root.path().join("elsewhere"));
    fs::rename(&live, &elsewhere).unwrap();
    symlink(&elsewhere, &live).unwrap();
    let refused = SqliteLedger::open(&path);
    assert!(
        matches!(&refused, Err(LedgerError::Linked { path }) if *path == canonical(&live)),
        "{refused:?}"
    );
}

fn canonical(live: &Path) -> PathBuf {
    fs::canonicalize(live.parent().unwrap()).unwrap().join("live")
}

#[test]
fn what_stands_among_the_living_and_is_none_is_left_alone() {
    let (path, _root) = place();
    drop(SqliteLedger::open(&path).unwrap());
    let stranger = path.join("live").join("README");
    fs::write(&stranger, "hello").unwrap();
    let ledger = SqliteLedger::open(&path).unwrap();
    assert!(
        ledger
            .incarnations()
            .unwrap()
            .iter()
            .all(|name| !name.starts_with("README"))
    );
    assert!(stranger.exists());
}
