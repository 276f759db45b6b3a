//! Getting a file onto the disk whose sync has failed.
//!
//! Its bytes are still right in memory, but which of them are on the disk is unknown, and writing them again is not
//! always enough: ext4 keeps a fresh block marked as never written when its first write fails, and a page that is still
//! in memory does not look at that mark again, so that the block reads as zeros after the next start, all syncs having
//! succeeded (seen on Linux 6.18). Therefore the disk itself is asked, past the memory. Where it differs although it
//! takes writes, the pages are dropped and the bytes written once more, and again if they went the same way. Between the
//! two they are nowhere but in this process, and a reader may see what the disk has; records carry their hashes, so it is
//! told.

use std::{
    fs::{File, OpenOptions},
    io,
    num::NonZeroU64,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use rustix::{
    fs::{Advice, OFlags, fadvise},
    io::Errno,
};

/// Bytes of one read past the memory, and what its place in the file and in memory must be a multiple of.
const BLOCK: usize = 1 << 16;

/// How often bytes are written that are lost again. Three times were seen to do.
pub(super) const ATTEMPTS: usize = 8;

/// A file from its start to its end, in the words of `fadvise`.
const WHOLE: Option<NonZeroU64> = None;

/// Writes every byte of the file again until the disk has them all. Nobody may write meanwhile.
pub(super) fn rewrite(file: &File, path: &Path) -> io::Result<()> {
    let write = || {
        each_block(file, |at, bytes| file.write_all_at(bytes, at))?;
        file.sync_all()
    };
    // The first sync may only be told of the old error; what it was told to write is written again for the second. Both
    // take the inode along, whose new size may have been lost with the bytes.
    write().or_else(|_| write())?;
    match past_memory(path)? {
        Some(disk) => mend(file, &disk),
        None => Ok(()),
    }
}

/// The file at this path, to be read from the disk and not from memory; `None` on a file system that cannot do that and
/// has to be believed.
pub(super) fn past_memory(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::DIRECT | OFlags::NOFOLLOW;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    match opened {
        Err(error) if cannot_be_asked(&error) => Ok(None),
        opened => opened.map(Some),
    }
}

/// Writes again what the disk, which was told to have it, has not. Nobody may write meanwhile.
pub(super) fn mend(file: &File, disk: &File) -> io::Result<()> {
    let mut missing = missing(file, disk)?;
    for _ in 0..ATTEMPTS {
        // Those that need no writing too: zeros are the same whether their block is marked as never written or not, and
        // what is written there next must look at the mark.
        fadvise(file, 0, WHOLE, Advice::DontNeed)?;
        if missing.is_empty() {
            return Ok(());
        }
        write(file, &missing)?;
        // Not compared with the memory, which may have lost them again.
        let mut disk = Disk::new(disk);
        let mut left = Vec::new();
        for (at, bytes) in missing {
            if !disk.has(at, &bytes)? {
                left.push((at, bytes));
            }
        }
        missing = left;
    }
    Err(io::Error::other("the disk does not have what was synced"))
}

/// Writes these bytes, each at its place, and syncs them.
pub(super) fn write(file: &File, places: &[(u64, Vec<u8>)]) -> io::Result<()> {
    for (at, bytes) in places {
        file.write_all_at(bytes, *at)?;
    }
    file.sync_all()
}

/// Whether the disk has the file as it is in memory.
pub(super) fn is_on_disk(file: &File, disk: &File) -> io::Result<bool> {
    missing(file, disk).map(|missing| missing.is_empty())
}

/// The blocks of the file that are not on the disk as they are in memory, each with its place.
fn missing(file: &File, disk: &File) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut disk = Disk::new(disk);
    let mut missing = Vec::new();
    let compared = each_block(file, |at, bytes| {
        if !disk.has(at, bytes)? {
            missing.push((at, bytes.to_owned()));
        }
        Ok(())
    });
    match compared {
        Err(error) if cannot_be_asked(&error) => Ok(Vec::new()),
        compared => compared.map(|()| missing),
    }
}

/// A file that is read past the memory.
struct Disk<'a> {
    file: &'a File,
    /// Has a whole block at a place where one may be read to.
    memory: Vec<u8>,
}

impl<'a> Disk<'a> {
    fn new(file: &'a File) -> Self {
        let memory = vec![0_u8; 2 * BLOCK];
        Self { file, memory }
    }

    /// Whether the disk has this block.
    fn has(&mut self, at: u64, bytes: &[u8]) -> io::Result<bool> {
        let start = self.memory.as_ptr().align_offset(BLOCK);
        let block = &mut self.memory[start..start + BLOCK];
        let length = self.file.read_at(block, at)?;
        Ok(block[..length] == *bytes)
    }
}

/// Shows every block of the file, as it is in memory, with its place.
fn each_block(file: &File, mut show: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut block = vec![0_u8; BLOCK];
    for at in (0..length).step_by(BLOCK) {
        let rest = usize::try_from(length - at).unwrap_or(BLOCK).min(BLOCK);
        file.read_exact_at(&mut block[..rest], at)?;
        show(at, &block[..rest])?;
    }
    Ok(())
}

fn cannot_be_asked(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INVAL.raw_os_error())
}
