//! Which file a ledger was made as.
//!
//! A copy has the same records and would hand out the same tokens; so a ledger remembers which file it is, and a file
//! that is another one is not used until somebody says that it shall be.

use std::path::Path;

use rusqlite::{Connection, params};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::work::ledger::LedgerError;

/// What a file keeps for as long as it is the same file, whatever it is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    inode: u64,
    /// Nanoseconds since 1970, 0 where the file system does not say.
    birth: u64,
}

impl Origin {
    /// The origin of the file at this path, which is not opened.
    pub(super) fn of(path: &Path) -> Result<Self, LedgerError> {
        let mask = StatxFlags::INO | StatxFlags::BTIME;
        let stat = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, mask)
            .map_err(|error| LedgerError::io("look at", path, error.into()))?;
        let seconds = u64::try_from(stat.stx_btime.tv_sec).unwrap_or(0);
        let known = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        Ok(Self {
            inode: stat.stx_ino,
            birth: if known {
                seconds
                    .wrapping_mul(1_000_000_000)
                    .wrapping_add(u64::from(stat.stx_btime.tv_nsec))
            } else {
                0
            },
        })
    }

    /// Whether both are the same file, as far as is known of both.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.inode == other.inode && (self.birth == 0 || other.birth == 0 || self.birth == other.birth)
    }

    /// What the ledger remembers.
    pub(super) fn remembered(connection: &Connection) -> rusqlite::Result<Self> {
        let number = |name: &str| {
            connection
                .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
                    row.get::<_, i64>(0)
                })
                .map(i64::cast_unsigned)
        };
        Ok(Self {
            inode: number("inode")?,
            birth: number("birth")?,
        })
    }

    /// Makes the ledger remember this.
    pub(super) fn remember(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (name, number) in [("inode", self.inode), ("birth", self.birth)] {
            connection.execute(
                "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)",
                params![name, number.cast_signed()],
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_birth_that_is_not_known_tells_no_files_apart() {
        let origin = |inode, birth| Origin { inode, birth };
        assert!(origin(7, 5).is(&origin(7, 5)));
        assert!(origin(7, 0).is(&origin(7, 5)));
        assert!(origin(7, 5).is(&origin(7, 0)));
        assert!(!origin(7, 4).is(&origin(7, 5)));
        assert!(!origin(7, 5).is(&origin(8, 5)));
    }
}
