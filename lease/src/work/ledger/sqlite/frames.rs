//! How much of SQLite's write-ahead log is whole, and whether the database has it.
//!
//! SQLite looks at the log's checksums only when it starts afresh; later it believes its index, and so would a checkpoint
//! copy into the database whatever stands in the log. After a failed sync that may not be what was written, so it is
//! looked at before anything is moved, and the database afterwards, before the log is given up. The format is SQLite's
//! (<https://sqlite.org/fileformat2.html#the_write_ahead_log>).

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt};

use super::storage::Log;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// How many frames from the start of the log on are those that were written.
pub(super) fn whole(log: &File) -> io::Result<i64> {
    let mut count = 0;
    each_whole(log, |_| count += 1)?;
    Ok(count)
}

/// The pages of the database that are not as the log has them, of those that were moved there, each with its place.
/// Nobody may write meanwhile.
pub(super) fn unmoved(log: &File, is: &Log, database: &File) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut number = 0;
    let mut newest = BTreeMap::new();
    let mut pages = 0;
    let mut length = 0;
    each_whole(log, |frame| {
        number += 1;
        if number <= is.pages {
            newest.insert(frame.page, number);
            length = frame.bytes.len();
            // What was cut off behind is not moved.
            pages = frame.pages.unwrap_or(pages);
        }
    })?;
    let mut unmoved = Vec::new();
    let mut found = vec![0; length];
    for (page, number) in newest {
        if number > is.moved || page > pages {
            continue;
        }
        let mut moved = vec![0; length];
        let at = (number.cast_unsigned() - 1) * (FRAME_HEADER + length) as u64;
        log.read_exact_at(&mut moved, at + (HEADER + FRAME_HEADER) as u64)?;
        let at = u64::from(page.saturating_sub(1)) * length as u64;
        if !filled(database, &mut found, at)? || found != moved {
            unmoved.push((at, moved));
        }
    }
    Ok(unmoved)
}

/// A page as a transaction left it.
struct Frame<'a> {
    page: u32,
    /// How many pages the database has by then, in a transaction's last frame.
    pages: Option<u32>,
    bytes: &'a [u8],
}

/// Shows every frame, from the start of the log on, up to the first that is not what was written.
fn each_whole(log: &File, mut show: impl FnMut(Frame<'_>)) -> io::Result<()> {
    let mut header = [0; HEADER];
    if !filled(log, &mut header, 0)? {
        return Ok(());
    }
    let word = |bytes: &[u8], index: usize| {
        let bytes = &bytes[4 * index..4 * index + 4];
        u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    };
    let is_big_endian = match word(&header, 0) {
        0x377F_0682 => false,
        0x377F_0683 => true,
        _ => return Ok(()),
    };
    let salt = header[16..24].to_owned();
    let mut sum = Sum {
        is_big_endian,
        first: 0,
        second: 0,
    };
    sum.add(&header[..24]);
    if !sum.is(word(&header, 6), word(&header, 7)) {
        return Ok(());
    }
    let length = usize::try_from(word(&header, 2)).map_err(io::Error::other)? + FRAME_HEADER;
    let mut frame = vec![0; length];
    let mut at = HEADER as u64;
    while filled(log, &mut frame, at)? {
        sum.add(&frame[..8]);
        sum.add(&frame[FRAME_HEADER..]);
        if frame[8..16] != salt || !sum.is(word(&frame, 4), word(&frame, 5)) {
            break;
        }
        show(Frame {
            page: word(&frame, 0),
            pages: Some(word(&frame, 1)).filter(|pages| *pages > 0),
            bytes: &frame[FRAME_HEADER..],
        });
        at += length as u64;
    }
    Ok(())
}

/// Whether the file has enough to fill the bytes.
fn filled(file: &File, bytes: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(bytes, at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// The checksum of everything up to some place in the log.
struct Sum {
    is_big_endian: bool,
    first: u32,
    second: u32,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let word = |at: usize| {
                let bytes = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                if self.is_big_endian {
                    u32::from_be_bytes(bytes)
                } else {
                    u32::from_le_bytes(bytes)
                }
            };
            let (one, other) = (word(0), word(4));
            self.first = self.first.wrapping_add(one).wrapping_add(self.second);
            self.second = self.second.wrapping_add(other).wrapping_add(self.first);
        }
    }

    fn is(&self, first: u32, second: u32) -> bool {
        (self.first, self.second) == (first, second)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// A log, and how many frames SQLite says it has.
    fn log() -> (std::path::PathBuf, i64) {
        let path = std::env::temp_dir().join(format!("lease-frames-{}", crate::work::random::hex::<8>()));
        let database = Connection::open(&path).unwrap();
        let statements = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x);
            INSERT INTO t VALUES (zeroblob(9000)); INSERT INTO t VALUES (randomblob(100))";
        database.execute_batch(statements).unwrap();
        let count = database
            .query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))
            .unwrap();
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        let kept = path.with_extension("kept");
        std::fs::copy(log, &kept).unwrap();
        drop(database);
        std::fs::remove_file(path).unwrap();
        (kept, count)
    }

    #[test]
    fn every_frame_of_an_untouched_log_is_whole_and_none_behind_a_damaged_byte() {
        let (path, count) = log();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        assert!(count > 4);
        assert_eq!(whole(&file).unwrap(), count);
        // In the last frame, then in the third one, then in the header.
        let length = 4096 + FRAME_HEADER as u64;
        let end = 32 + count.cast_unsigned() * length;
        for (at, left) in [(end - 1, count - 1), (32 + 2 * length + 500, 2), (17, 0)] {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[!byte[0]], at).unwrap();
            assert_eq!(whole(&file).unwrap(), left);
        }
        file.set_len(0).unwrap();
        assert_eq!(whole(&file).unwrap(), 0);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_page_that_the_database_has_not_as_it_was_moved_is_given_from_the_log() {
        let path = std::env::temp_dir().join(format!("lease-frames-{}", crate::work::random::hex::<8>()));
        let database = Connection::open(&path).unwrap();
        let statements = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x);
            INSERT INTO t VALUES (randomblob(50000)); INSERT INTO t VALUES (randomblob(100))";
        database.execute_batch(statements).unwrap();
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        let log = File::open(log).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let look = |statement| {
            let log = |row: &rusqlite::Row<'_>| {
                let (pages, moved) = (row.get(1)?, row.get(2)?);
                Ok(Log {
                    is_busy: false,
                    pages,
                    moved,
                })
            };
            database.query_row(statement, [], log).unwrap()
        };
        let none_moved = look("PRAGMA wal_checkpoint(NOOP)");
        assert_eq!(unmoved(&log, &none_moved, &file).unwrap(), []);
        let all_moved = look("PRAGMA wal_checkpoint(PASSIVE)");
        assert_eq!(unmoved(&log, &all_moved, &file).unwrap(), []);
        let mut page = [0; 4096];
        for at in [0, 5 * 4096] {
            file.read_exact_at(&mut page, at).unwrap();
            file.write_all_at(&[7], at + 9).unwrap();
            assert_eq!(unmoved(&log, &all_moved, &file).unwrap(), [(at, page.to_vec())]);
            assert_eq!(unmoved(&log, &none_moved, &file).unwrap(), [], "it may be older");
            file.write_all_at(&page, at).unwrap();
        }
        file.read_exact_at(&mut page, 5 * 4096).unwrap();
        file.set_len(5 * 4096).unwrap();
        assert_eq!(
            unmoved(&log, &all_moved, &file).unwrap()[0],
            (5 * 4096, page.to_vec())
        );
        drop(database);
        std::fs::remove_file(path).unwrap();
    }
}
