//! Works on a ledger and says, a line at a time on standard output, what it was promised.
//!
//! `powercut-load LOAD DIR` starts the processes of one of the loads below, one generation after the other, all on the
//! ledger `jobs.lease` in `DIR`; `powercut-load LOAD DIR ROLE` is one of those processes.
//!
//! | line | promised |
//! |---|---|
//! | `epoch E` | no later epoch is as low |
//! | `token T` | no later fencing token is as low |
//! | `synced N H` | record `N` is durable; its hash begins with `H` |
//! | `issued L`, `released L` | the lease is durable, and so is its end |
//! | `copied N C` | the ledger `C` is durable, and so are its records up to `N` |

use std::{
    error::Error, fs, io::ErrorKind, os::unix::fs::DirBuilderExt, path::Path, process::Command, thread,
    time::Duration,
};

use lease::{
    Durability, EventRecord, Registrar, ReleaseReason,
    ledger::{Head, Ledger, NewRecord, SqliteLedger},
};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

const LEDGER: &str = "jobs.lease";

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &*arguments {
        [load, place] => lead(load, Path::new(place)),
        [_, place, role] => play(role, Path::new(place)),
        _ => Err("usage: powercut-load LOAD DIR [ROLE]".into()),
    }
}

/// Which processes run side by side, generation by generation.
fn lead(load: &str, place: &Path) -> Outcome {
    let generations: &[&[&str]] = match load {
        "founding" => &[
            &["lease", "lease", "buffer"],
            &["lease", "buffer"],
            &["buffer"],
            &["lease"],
        ],
        "filling" => &[&["fill", "fill"], &["fill", "note"]],
        "copying" => &[&["note", "copy"], &["copy", "note"]],
        "crowding" => &[&["one"; 8]],
        "sealing" => &[&["lease", "buffer"], &["seal", "lease"], &["seal"]],
        other => return Err(format!("no load is called {other}").into()),
    };
    if load == "filling" {
        // Nobody has synced the name of this directory when it becomes a ledger.
        fs::DirBuilder::new().mode(0o700).create(place.join(LEDGER))?;
    }
    for generation in generations {
        let start = |role: &&str| {
            Command::new(std::env::current_exe()?)
                .args([load])
                .arg(place)
                .arg(role)
                .spawn()
        };
        let started = generation.iter().map(start).collect::<Result<Vec<_>, _>>()?;
        for mut process in started {
            if !process.wait()?.success() {
                return Err("a process failed".into());
            }
        }
    }
    Ok(())
}

fn play(role: &str, place: &Path) -> Outcome {
    let path = place.join(LEDGER);
    match role {
        "lease" => lease(&path, Durability::Synced),
        "buffer" => lease(&path, Durability::Buffered),
        "note" => note(&path, 2, 6, 300),
        // Eight of them meet so many others each time that they share their syncs.
        "one" => note(&path, 1, 40, 40),
        // The log is moved into the database when it has 16 MiB.
        "fill" => note(&path, 2, 5, 900_000),
        "seal" => seal(&path),
        "copy" => copy(&path, place),
        other => Err(format!("no role is called {other}").into()),
    }
}

/// Issues some leases and ends most of them.
fn lease(path: &Path, durability: Durability) -> Outcome {
    let registrar = Registrar::builder()
        .durability(durability)
        .checkpoint_interval(7)
        .open(path)?;
    println!("epoch {}", registrar.ledger().epoch()?);
    for number in 0..5 {
        let work = format!("work/{}/{number}", std::process::id());
        let lease = registrar.issue(work, Duration::from_mins(1)).wait()?;
        println!("token {}", lease.fencing_token);
        if durability == Durability::Synced {
            println!("issued {}", lease.lease_id);
        }
        if number > 1 {
            registrar
                .release(&*lease.lease_id, ReleaseReason::Completed)
                .wait()?;
            if durability == Durability::Synced {
                println!("released {}", lease.lease_id);
            }
        }
    }
    registrar.close().wait()?;
    Ok(())
}

/// Appends notes of some length in several threads, and raises the epoch now and then.
fn note(path: &Path, threads: usize, count: usize, length: usize) -> Outcome {
    let ledger = SqliteLedger::open(path)?;
    println!("epoch {}", ledger.epoch()?);
    let write = |thread: usize| -> Outcome {
        for number in 0..count {
            let name = format!("{}/{thread}/{number}", std::process::id());
            let note = EventRecord::new("note.made", "session", &*name, vec![b'.'; length]);
            let mut section = ledger.enter()?;
            let head = section.append(&ledger.head()?, &[NewRecord::from(note).with_key(name)])?;
            if number % 4 == 3 {
                println!("epoch {}", section.raise_epoch()?);
            }
            drop(section);
            ledger.sync()?;
            say_synced(&head);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || write(number)))
            .collect();
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().unwrap_or_else(|_| Err("a thread panicked".into())))
    })
}

fn say_synced(head: &Head) {
    let [first, second, third, fourth, ..] = head.hash;
    println!(
        "synced {} {first:02x}{second:02x}{third:02x}{fourth:02x}",
        head.sequence
    );
}

/// Seals the history so far.
fn seal(path: &Path) -> Outcome {
    let registrar = Registrar::builder().checkpoint_interval(7).open(path)?;
    println!("epoch {}", registrar.ledger().epoch()?);
    // As if another process had been killed before it made the folder's name durable.
    if let Err(error) = fs::DirBuilder::new().mode(0o700).create(path.join("sealed"))
        && error.kind() != ErrorKind::AlreadyExists
    {
        return Err(error.into());
    }
    let sealed = registrar.seal()?;
    say_synced(&sealed.head());
    registrar.close().wait()?;
    Ok(())
}

/// Backs the ledger up beside itself.
fn copy(path: &Path, place: &Path) -> Outcome {
    let ledger = SqliteLedger::open(path)?;
    println!("epoch {}", ledger.epoch()?);
    let copy = format!("copy-{}.lease", std::process::id());
    let head = ledger.backup(place.join(&copy))?;
    println!("copied {} {copy}", head.sequence);
    Ok(())
}
