//! Getting a file onto the disk whose sync has failed.
//!
//! Its bytes are still right in memory, but which of them are on the disk is unknown, and writing them again is not
//! always enough: ext4 keeps a fresh block marked as never written when its first write fails, and a page that is still
//! in memory does not look at that mark again, so that the block reads as zeros after the next start, all syncs having
//! succeeded (seen on Linux 6.18). Therefore the disk itself is asked, past the memory. If it differs although it takes
//! writes, the pages are dropped and the bytes written once more. Between the two they are nowhere but in this process,
//! and a reader may see what the disk has; records carry their hashes, so it is told.

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

/// A file from its start to its end, in the words of `fadvise`.
const WHOLE: Option<NonZeroU64> = None;

/// Writes every byte of the file again until the disk has them all. Nobody may write meanwhile.
pub(super) fn rewrite(file: &File, path: &Path) -> io::Result<()> {
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    let write = || file.write_all_at(&bytes, 0).and_then(|()| file.sync_all());
    // The first sync may only be told of the old error; what it was told to write is written again for the second. Both
    // take the inode along, whose new size may have been lost with the bytes.
    write().or_else(|_| write())?;
    if !is_on_disk(path, &bytes)? {
        fadvise(file, 0, WHOLE, Advice::DontNeed)?;
        write()?;
        if !is_on_disk(path, &bytes)? {
            return Err(io::Error::other("the disk does not have what was synced"));
        }
    }
    Ok(())
}

/// Whether the disk, not only the memory, has these bytes at this path. A file system that cannot be asked is believed.
fn is_on_disk(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let flags = OFlags::DIRECT | OFlags::NOFOLLOW;
    let direct = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let cannot_be_asked = |error: &io::Error| error.raw_os_error() == Some(Errno::INVAL.raw_os_error());
    let file = match direct {
        Err(error) if cannot_be_asked(&error) => return Ok(true),
        opened => opened?,
    };
    let mut memory = vec![0_u8; 2 * BLOCK];
    let start = memory.as_ptr().align_offset(BLOCK);
    let block = &mut memory[start..start + BLOCK];
    for (number, expected) in bytes.chunks(BLOCK).enumerate() {
        let read = match file.read_at(block, (number * BLOCK) as u64) {
            Err(error) if cannot_be_asked(&error) => return Ok(true),
            read => read?,
        };
        if block[..read] != *expected {
            return Ok(false);
        }
    }
    Ok(true)
}
