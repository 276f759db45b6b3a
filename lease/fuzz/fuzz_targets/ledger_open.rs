//! A ledger's directory with hostile bytes in it: refused with a typed error, or a ledger whose every answer is typed and
//! that hands out nothing but what was once written into it.
//!
//! The input chooses one of a few good ledgers and is a list of changes to its files, because bytes that come from
//! nowhere are no database. The ledgers lie in memory and are made once; every input puts the same files back as they
//! were, so that each is still the file that the ledger remembers to be.

#![no_main]

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use lease::ledger::{Ledger, SqliteLedger};
use lease::{EventRecord, LeaseReducer, Registrar, ReleaseReason, Replayer};
use libfuzzer_sys::{Corpus, fuzz_target};
use tempfile::TempDir;

const TTL: Duration = Duration::from_secs(60);

/// A good ledger: where it lies, what its files hold, and its history.
struct Base {
    path: PathBuf,
    files: Vec<(&'static str, Vec<u8>)>,
    history: Vec<EventRecord>,
}

/// The bytes of one change, and how many of them there are at most.
const CHANGE: usize = 6;
const CHANGES: usize = 8;

fn bases() -> &'static [Base] {
    static BASES: OnceLock<(TempDir, Vec<Base>)> = OnceLock::new();
    let (_, bases) = BASES.get_or_init(|| {
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let root = root.expect("a directory");
        let in_log = root.path().join("log.lease");
        work(&in_log, "early");
        let in_database = root.path().join("database.lease");
        copy(&in_log, &in_database);
        let sealed = root.path().join("sealed.lease");
        copy(&in_log, &sealed);
        let registrar = Registrar::open(&sealed).expect("a sound ledger");
        registrar.seal().expect("a sound ledger");
        registrar.close().wait().expect("a sound ledger");
        drop(registrar);
        // What was sealed leaves the database of a copy.
        let seals = root.path().join("seals.lease");
        copy(&sealed, &seals);
        work(&seals, "late");
        let bases = [in_log, in_database, seals].map(Base::at).into();
        (root, bases)
    });
    bases
}

/// Gives a ledger something of everything.
fn work(path: &Path, when: &str) {
    let registrar = Registrar::open(path).expect("a sound ledger");
    for item in ["one", "two", "three"] {
        let lease = registrar
            .issue(format!("{when}/{item}"), TTL)
            .wait()
            .expect("nobody holds it");
        let reason = ReleaseReason::Completed;
        match item {
            "one" => drop(
                registrar
                    .release(lease.lease_id, reason)
                    .wait()
                    .expect("it is ours"),
            ),
            "two" => drop(
                registrar
                    .renew(lease.lease_id, 2 * TTL)
                    .wait()
                    .expect("it is ours"),
            ),
            _ => drop(
                registrar
                    .revoke(lease.lease_id, "enough")
                    .wait()
                    .expect("it is ours"),
            ),
        }
    }
    registrar.checkpoint().expect("room");
    registrar.close().wait().expect("a sound ledger");
    drop(registrar);
    settle(path);
    let ledger = SqliteLedger::open(path).expect("the same ledger");
    let replayer = Replayer::resume(&ledger, LeaseReducer::new()).expect("a sound ledger");
    replayer.save(&ledger).expect("room");
}

/// A ledger with the same history, all of it in the database.
fn copy(from: &Path, into: &Path) {
    let ledger = SqliteLedger::open(from).expect("a sound ledger");
    ledger.backup(into).expect("room");
    fs::copy(from.join("registrar.key"), into.join("registrar.key")).expect("room");
}

/// Waits until nobody in this process has the ledger open, and removes what tells of its processes.
fn settle(path: &Path) {
    for entry in fs::read_dir(path.join("live")).expect("a ledger").flatten() {
        let file = File::open(entry.path()).expect("ours");
        file.lock().expect("a lock");
        fs::remove_file(entry.path()).expect("ours");
    }
}

/// The plain files in a folder and, one level down, in its folders.
fn files(path: &Path, below: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path.join(below)).expect("a directory").flatten() {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            names.extend(files(path, &format!("{name}/")));
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

impl Base {
    fn at(path: PathBuf) -> Self {
        settle(&path);
        let ledger = SqliteLedger::open(&path).expect("a sound ledger");
        let history = ledger.read(0, usize::MAX).expect("a sound ledger");
        drop(ledger);
        settle(&path);
        let names = files(&path, "")
            .into_iter()
            .filter(|name| !name.ends_with("-shm"));
        let files = names.map(|name| (&*name.clone().leak(), fs::read(path.join(name)).expect("ours")));
        Self {
            files: files.collect(),
            path,
            history,
        }
    }

    /// As it was, in the same files.
    fn restore(&self) {
        settle(&self.path);
        for name in files(&self.path, "") {
            if !self.files.iter().any(|(known, _)| *known == name) {
                fs::remove_file(self.path.join(name)).expect("ours");
            }
        }
        for (name, bytes) in &self.files {
            fs::write(self.path.join(name), bytes).expect("room");
            fs::set_permissions(self.path.join(name), Permissions::from_mode(0o600)).expect("ours");
        }
    }

    /// Each change is which file, how, where (three bytes), what.
    fn change(&self, change: [u8; CHANGE]) {
        let (name, bytes) = &self.files[usize::from(change[0]) % self.files.len()];
        let length = bytes.len() as u64;
        let at = u64::from(u32::from_le_bytes([change[2], change[3], change[4], 0])) % (length + 1);
        let file = OpenOptions::new()
            .write(true)
            .open(self.path.join(name))
            .expect("ours");
        let old = usize::try_from(at)
            .ok()
            .and_then(|at| bytes.get(at))
            .copied()
            .unwrap_or(0);
        let done = match change[1] % 8 {
            0..=2 => file.write_at(&[old ^ change[5]], at).map(drop),
            3 => file.write_at(&[change[5]], at).map(drop),
            4 => file.write_at(&[change[5]; 16], at).map(drop),
            5 => {
                // A piece of the same file, elsewhere.
                let from = usize::from(change[5]) * 64 % bytes.len().max(1);
                let piece = &bytes[from..bytes.len().min(from + 64)];
                file.write_at(piece, at).map(drop)
            }
            6 => file.set_len(at),
            _ => file.set_len(length + u64::from(change[5])),
        };
        done.expect("room");
    }

    /// Whatever was changed, nobody can write a record that gives its own hash and is not the one that was written.
    fn hands_out_only_history(&self, records: &[EventRecord]) {
        for record in records {
            let index = usize::try_from(record.sequence - 1).expect("a small ledger");
            assert_eq!(self.history.get(index), Some(record));
        }
    }

    fn judge(&self, ledger: &SqliteLedger) {
        let head = ledger.head();
        let records = ledger.read(0, usize::MAX);
        if let Ok(records) = &records {
            self.hands_out_only_history(records);
        }
        if let Ok(verified) = ledger.verify(&mut ()) {
            assert_eq!(head.expect("verified"), verified);
            let records = records.expect("verified");
            assert_eq!(records.len() as u64, verified.sequence);
            assert_eq!(records, self.history[..records.len()]);
        }
        if let Ok(resumed) = Replayer::resume(ledger, LeaseReducer::new()) {
            let mut genesis = Replayer::new(LeaseReducer::new());
            // The checkpoint may reach past records that cannot be read.
            if genesis.catch_up(ledger).is_ok() {
                assert_eq!(resumed.state(), genesis.state());
            }
        }
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&choice, changes)) = data.split_first() else {
        return Corpus::Keep;
    };
    if changes.len() > CHANGE * CHANGES {
        return Corpus::Reject;
    }
    let base = &bases()[usize::from(choice) % bases().len()];
    base.restore();
    for bytes in changes.chunks_exact(CHANGE) {
        base.change(bytes.try_into().expect("so many of them"));
    }
    let opened = match choice & 0x80 {
        0 => SqliteLedger::open(&base.path),
        _ => SqliteLedger::adopt(&base.path),
    };
    let Ok(ledger) = opened else {
        return Corpus::Keep;
    };
    base.judge(&ledger);
    if choice & 0x40 != 0
        && let Ok(registrar) = Registrar::open(&base.path)
    {
        let issued = registrar.issue("four", TTL).wait();
        if issued.is_ok() && registrar.verify().is_ok() {
            let records = ledger.read(0, usize::MAX).expect("verified");
            assert!(records.len() > 1);
        }
        let _ = registrar.close().wait();
    }
    Corpus::Keep
});
