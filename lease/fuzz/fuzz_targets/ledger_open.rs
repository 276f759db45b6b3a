//! A ledger's directory with hostile bytes in it: refused with a typed error, or a ledger whose every answer is typed.
//!
//! The input is a list of changes to the files of a good ledger, because bytes that come from nowhere are no database.

#![no_main]

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::OnceLock;

use lease::ledger::{Ledger as _, SqliteLedger};
use lease::{LeaseReducer, Registrar, Replayer};
use libfuzzer_sys::fuzz_target;

/// The files of a ledger with a few records and a checkpoint.
fn good() -> &'static Vec<(String, Vec<u8>)> {
    static GOOD: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("good.lease");
        let registrar = Registrar::open(&path).expect("a new ledger");
        for work in ["one", "two", "three"] {
            let lease = registrar.issue(work, std::time::Duration::from_secs(60)).wait();
            lease.expect("nobody holds it");
        }
        registrar.close().wait().expect("a sound ledger");
        drop(registrar);
        let ledger = SqliteLedger::open(&path).expect("the same ledger");
        let replayer = Replayer::resume(&ledger, LeaseReducer::new()).expect("a sound ledger");
        replayer.save(&ledger).expect("room");
        drop(ledger);
        let mut files = Vec::new();
        for name in ["ledger.db", "ledger.db-wal", "gate", "presence", "registrar.key"] {
            files.push((name.to_owned(), fs::read(path.join(name)).unwrap_or_default()));
        }
        for entry in fs::read_dir(path.join("checkpoints")).expect("a checkpoint").flatten() {
            let name = format!("checkpoints/{}", entry.file_name().to_string_lossy());
            files.push((name, fs::read(entry.path()).expect("a checkpoint")));
        }
        files
    })
}

fn lay_out(path: &Path) {
    for folder in [path.to_owned(), path.join("checkpoints")] {
        fs::create_dir(&folder).expect("a directory");
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("ours");
    }
    for (name, bytes) in good() {
        fs::write(path.join(name), bytes).expect("room");
        fs::set_permissions(path.join(name), Permissions::from_mode(0o600)).expect("ours");
    }
}

/// Each change is six bytes: which file, how, where (three), what.
fn change(path: &Path, change: [u8; 6]) {
    let files = good();
    let (name, bytes) = &files[usize::from(change[0]) % files.len()];
    let at = u64::from(u32::from_le_bytes([change[2], change[3], change[4], 0])) % (bytes.len() as u64 + 1);
    let Ok(file) = OpenOptions::new().write(true).open(path.join(name)) else {
        return;
    };
    let old = usize::try_from(at).ok().and_then(|at| bytes.get(at)).copied().unwrap_or(0);
    let done = match change[1] % 4 {
        0 => file.write_at(&[old ^ change[5]], at).map(drop),
        1 => file.write_at(&[change[5]; 16], at).map(drop),
        2 => file.set_len(at),
        _ => file.set_len(bytes.len() as u64 + u64::from(change[5])),
    };
    done.expect("room");
}

fuzz_target!(|data: &[u8]| {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("hostile.lease");
    lay_out(&path);
    for bytes in data.chunks_exact(6).take(16) {
        change(&path, bytes.try_into().expect("six of them"));
    }
    // A copy, whatever else it is.
    let Ok(ledger) = SqliteLedger::adopt(&path) else {
        return;
    };
    let head = ledger.head();
    let records = ledger.read(0, 100);
    if let Ok(verified) = ledger.verify(&mut ()) {
        assert_eq!(head.expect("verified"), verified);
        assert_eq!(records.expect("verified").len() as u64, verified.sequence);
    }
    if let Ok(resumed) = Replayer::resume(&ledger, LeaseReducer::new()) {
        let mut genesis = Replayer::new(LeaseReducer::new());
        genesis.catch_up(&ledger).expect("read a moment ago");
        assert_eq!(resumed.state(), genesis.state());
    }
    drop(ledger);
    if let Ok(registrar) = Registrar::open(&path) {
        let _ = registrar.issue("four", std::time::Duration::from_secs(60)).wait();
        let _ = registrar.close().wait();
    }
});
