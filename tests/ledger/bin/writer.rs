//! Writes notes into a ledger, each read, appended and synced in its own section, and says on standard output which
//! sequence was acknowledged.
//!
//! `ledger-writer DIR NAME COUNT` appends `COUNT` notes. With `hold` instead of a count it enters the section, says
//! `inside` and stays there until its standard input ends; with `stay` it does the same outside the section. Once a
//! sync has failed it tries everything again and says `distrusted` if everything is refused.

use std::{
    error::Error,
    io::{Read, Write, stdin, stdout},
};

use lease::{
    EventRecord,
    ledger::{Ledger, LedgerError, NewRecord, SqliteLedger},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(name), Some(task)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: ledger-writer DIR NAME COUNT|hold|stay".into());
    };
    let ledger = SqliteLedger::open(path)?;
    match &*task {
        "hold" => {
            let section = ledger.enter()?;
            wait("inside")?;
            drop(section);
        }
        "stay" => wait("here")?,
        count => {
            if let Err(error) = write(&ledger, &name, count.parse()?) {
                let again = [ledger.enter().map(drop), ledger.sync()];
                if again
                    .iter()
                    .all(|result| matches!(result, Err(LedgerError::SyncFailed { .. })))
                {
                    println!("distrusted");
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

fn write(ledger: &SqliteLedger, name: &str, count: u64) -> Result<(), Box<dyn Error>> {
    for number in 0..count {
        let text = format!("{name}/{number}");
        let note = EventRecord::new("note.made", "session", name, &*text);
        let mut section = ledger.enter()?;
        let head = section.append(&ledger.head()?, &[NewRecord::from(note).with_key(text)])?;
        drop(section);
        ledger.sync()?;
        writeln!(stdout(), "{}", head.sequence)?;
    }
    Ok(())
}

/// Says that the moment has come, and waits for the end of standard input.
fn wait(word: &str) -> Result<(), Box<dyn Error>> {
    println!("{word}");
    stdout().flush()?;
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
