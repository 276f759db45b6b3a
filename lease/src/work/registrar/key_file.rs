//! The key that lies beside a ledger.
//!
//! It is made, and exchanged, under the ledger's write section, and never half: written to a temporary file, synced,
//! renamed, and the directory synced. Whoever finds it there syncs the directory too, before anything is signed with it:
//! who gave the file its name may have died before he could, and a key that a power cut takes is missed for ever. A key
//! that others can read proves nothing and is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::sync::Arc;
use crate::work::registrar::key_source::KeySource;
use crate::work::registrar::{PublicKey, RegistrarError, Signer};

/// The key file of one ledger.
pub(super) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    pub(super) const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Puts a key there, in place of whatever is there.
    fn keep(&self, signer: &Signer) -> Result<(), RegistrarError> {
        let temporary = self.path.with_extension("new");
        let written = write(&temporary, signer).and_then(|()| {
            fs::rename(&temporary, &self.path)?;
            self.sync_name()
        });
        written.map_err(|error| {
            // The first error is the one to tell; what is left of the file is removed by the next attempt.
            let _ = fs::remove_file(&temporary);
            self.failed(error)
        })
    }

    fn sync_name(&self) -> io::Result<()> {
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    fn failed(&self, error: io::Error) -> RegistrarError {
        RegistrarError::KeyFile {
            path: self.path.clone(),
            source: Arc::new(error),
        }
    }
}

impl KeySource for KeyFile {
    fn load(&self) -> Result<Option<Signer>, RegistrarError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        // Of the open file, so that what is judged is what is read.
        let metadata = file.metadata().map_err(|error| self.failed(error))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(RegistrarError::KeyExposed {
                path: self.path.clone(),
                mode,
            });
        }
        let mut bytes = Vec::with_capacity(33);
        // One byte more than a key, so that a longer file is seen to be longer.
        file.take(33)
            .read_to_end(&mut bytes)
            .map_err(|error| self.failed(error))?;
        let secret = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| RegistrarError::KeyMalformed {
            path: self.path.clone(),
            len: metadata.len(),
        })?;
        self.sync_name().map_err(|error| self.failed(error))?;
        Ok(Some(Signer::from_bytes(&secret)))
    }

    fn create(&self) -> Result<Signer, RegistrarError> {
        let signer = Signer::generate();
        self.keep(&signer)?;
        Ok(signer)
    }

    fn replace(&self, old: PublicKey, next: &Signer) -> Result<(), RegistrarError> {
        match self.load()?.map(|kept| kept.public_key()) {
            Some(kept) if ![old, next.public_key()].contains(&kept) => Err(RegistrarError::KeyExchanged {
                path: self.path.clone(),
                public_key: kept,
            }),
            // Written anew if it is there already: whoever put it there may have died before it was on disk.
            _ => self.keep(next),
        }
    }

    fn missing(&self) -> RegistrarError {
        RegistrarError::SignerMissing {
            path: self.path.clone(),
        }
    }
}

fn write(path: &Path, signer: &Signer) -> io::Result<()> {
    // A half-written one of a process that died here may lie in the way, with any mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&signer.to_bytes())?;
    file.sync_all()
}
