//! Writes notes into a ledger, each read, appended and synced in its own section, and says on standard output which
//! sequence was acknowledged.
//!
//! `ledger-writer DIR NAME COUNT` appends `COUNT` notes. With `hold` instead of a count it enters the section, says
//! `inside` and stays there until its standard input ends; with `stay` it does the same outside the section, and with
//! `parent` beside a child that is another program and ends with the same standard input; with `seal` it appends notes
//! for ever and seals after every twenty; with `seal-once` it seals what there is. When a sync fails it says `unknown` and goes on with the next note; when the
//! section is refused because of one, `refused`.

use std::{
    error::Error,
    io::{Read, Write, stdin, stdout},
    process::{Command, Stdio},
};

use lease::{
    EventRecord,
    ledger::{Ledger, LedgerError, NewRecord, SqliteLedger},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(name), Some(task)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: ledger-writer DIR NAME COUNT|hold|stay|parent|seal|seal-once".into());
    };
    let ledger = SqliteLedger::open(path)?;
    match &*task {
        "hold" => {
            let section = ledger.enter()?;
            wait("inside")?;
            drop(section);
        }
        "stay" => wait("here")?,
        "parent" => {
            let mut child = Command::new("cat").stdout(Stdio::null()).spawn()?;
            wait("here")?;
            child.wait()?;
        }
        "seal-once" => ledger.seal(&ledger.head()?, b"")?,
        "seal" => loop {
            for number in 0..20 {
                let name = format!("{name}/{}", ledger.head()?.sequence);
                writeln!(stdout(), "{}", write(&ledger, &name, number)?)?;
            }
            ledger.seal(&ledger.head()?, b"")?;
        },
        count => {
            for number in 0..count.parse()? {
                writeln!(stdout(), "{}", write(&ledger, &name, number)?)?;
            }
        }
    }
    Ok(())
}

/// Appends one note, and returns its sequence or why it was not acknowledged.
fn write(ledger: &SqliteLedger, name: &str, number: u64) -> Result<String, LedgerError> {
    let text = format!("{name}/{number}");
    let note = EventRecord::new("note.made", "session", name, &*text);
    let mut section = match ledger.enter() {
        Err(LedgerError::SyncFailed { .. }) => return Ok("refused".to_owned()),
        entered => entered?,
    };
    let head = section.append(&ledger.head()?, &[NewRecord::from(note).with_key(text)])?;
    drop(section);
    match ledger.sync() {
        Err(LedgerError::SyncFailed { .. }) => Ok("unknown".to_owned()),
        synced => synced.map(|()| head.sequence.to_string()),
    }
}

/// Says that the moment has come, and waits for the end of standard input.
fn wait(word: &str) -> Result<(), Box<dyn Error>> {
    println!("{word}");
    stdout().flush()?;
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
