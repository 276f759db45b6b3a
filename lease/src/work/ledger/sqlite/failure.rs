//! What SQLite says, in the ledger's words.

use std::{path::Path, time::Duration};

use rusqlite::{ErrorCode, ffi};

use crate::work::ledger::LedgerError;

impl LedgerError {
    /// SQLite failed to do `action` on the database at `path`.
    pub(super) fn from_sqlite(action: &'static str, path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        let extended = error.sqlite_error().map(|failure| failure.extended_code);
        if let Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) = extended {
            return Self::SyncFailed {
                reason: error.to_string(),
            };
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::LedgerBusy {
                pid: None,
                waited: Duration::ZERO,
            },
            Some(ErrorCode::DiskFull) => Self::StorageFull { path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::Unwritable { path },
            Some(ErrorCode::NotADatabase) => Self::NotALedger {
                path,
                reason: "the database is no SQLite file".to_owned(),
            },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged {
                path,
                reason: error.to_string(),
            },
            _ => Self::Storage {
                action,
                path,
                source: Box::new(error),
            },
        }
    }

    /// The same error; if it says that somebody was in the way, then for so long.
    pub(super) fn after(self, patience: Duration) -> Self {
        match self {
            // A lock that SQLite could not get is held by somebody who did not come through the gate.
            Self::LedgerBusy { pid: None, .. } => Self::LedgerBusy {
                pid: None,
                waited: patience,
            },
            other => other,
        }
    }
}
