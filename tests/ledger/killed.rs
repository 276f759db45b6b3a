//! A process that is killed at a system call of its choosing.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
};

use lease::ledger::{Head, Ledger, SqliteLedger};

use crate::conformance::note;

const RECORDS: u64 = 60;

/// The calls that leave something behind, and how many of each are passed over between two that are tried.
const CALLS: [(&str, usize); 6] = [
    ("mkdir", 1),
    ("rename", 1),
    ("fsync", 1),
    ("fdatasync", 1),
    ("unlink", 1),
    ("pwrite64", 5),
];

/// Has a process seal the ledger and kills it when it enters its `number`-th such call; false once it makes fewer.
fn kill_at(call: &str, number: usize, path: &Path) -> bool {
    let inject = format!("inject={call}:signal=SIGKILL:when={number}");
    let status = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={call}"),
            "-e",
            &inject,
        ])
        .arg(env!("CARGO_BIN_EXE_ledger-writer"))
        .args([path.as_os_str(), "x".as_ref(), "seal-once".as_ref()])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    // strace ends as its child did.
    assert!(status.success() || status.signal() == Some(9), "{status}");
    !status.success()
}

#[test]
fn a_process_that_is_killed_at_any_call_of_a_sealing_leaves_the_ledger_whole() {
    let allowed = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        println!("skipped: strace is missing or may not trace");
        return;
    }
    let mut kills = 0;
    for (call, stride) in CALLS {
        for number in (1..).step_by(stride) {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("jobs.lease");
            let ledger = SqliteLedger::open(&path).unwrap();
            let batch: Vec<_> = (0..RECORDS)
                .map(|number| note(&number.to_string()).with_key(format!("key-{number}")))
                .collect();
            let head = ledger.append(&Head::default(), &batch).unwrap();
            let records = ledger.read(0, 99).unwrap();
            drop(ledger);

            let was_killed = kill_at(call, number, &path);
            let ledger = SqliteLedger::open(&path).unwrap();
            assert_eq!(ledger.verify(&mut ()).unwrap(), head, "{call} {number}");
            assert_eq!(ledger.read(0, 99).unwrap(), records, "{call} {number}");
            ledger.seal(&head, b"").unwrap();
            assert_eq!(ledger.seals().unwrap().len(), 1);
            assert_eq!(
                fs::read_dir(path.join("sealed")).unwrap().count(),
                1,
                "{call} {number}"
            );
            assert_eq!(ledger.verify(&mut ()).unwrap(), head);
            assert_eq!(ledger.read(0, 99).unwrap(), records);
            if !was_killed {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 10, "killed {kills} times");
}
