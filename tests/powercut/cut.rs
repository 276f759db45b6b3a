//! Cutting the power: what a disk may have afterwards, drawn at random.
//!
//! What was synced is there. Of the rest, in each image anew:
//!
//! - The changes to a file came to the disk in their order up to some moment, or every page (4,096 bytes) or every
//!   sector (512 bytes, which are written whole or not at all) is as it was after some change of its own.
//! - The length is the last one, the synced one, or one in between, whatever became of the bytes; what was not written
//!   of a longer file is zeros.
//! - The changes to a directory came there in their order up to some moment, as journals have it, or each by itself; a
//!   rename within a directory is one change, one between two directories is two.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::disk::{Change, Disk, FileChange, NameChange, Names, Node, Store};

/// Random numbers (splitmix64), so that an image can be drawn again.
pub(crate) struct Dice(pub u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % limit as u64).unwrap()
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// Writes the directory of `disk` as it may be after a power cut now to `place`, which is made.
pub(crate) fn image(disk: &Disk, dice: &mut Dice, place: &Path) {
    write(disk, 0, dice, place);
}

fn write(disk: &Disk, node: usize, dice: &mut Dice, place: &Path) {
    match disk.node(node) {
        Node::Directory(directory) => {
            fs::DirBuilder::new().mode(0o700).create(place).unwrap();
            for (name, node) in names(directory, dice) {
                write(disk, node, dice, &place.join(name));
            }
        }
        Node::File(file) => {
            let mut made = fs::OpenOptions::new();
            let mut made = made.write(true).create_new(true).mode(0o600).open(place).unwrap();
            made.write_all(&bytes(file, dice)).unwrap();
        }
    }
}

fn names(directory: &Store<Names, NameChange>, dice: &mut Dice) -> Names {
    let mut names = directory.synced.clone();
    let count = directory.pending.len();
    let in_order = dice.one_in(2);
    let end = if in_order { dice.below(count + 1) } else { count };
    for pending in &directory.pending[..end] {
        if in_order || dice.one_in(2) {
            pending.change.apply(&mut names);
        }
    }
    names
}

fn bytes(file: &Store<Vec<u8>, FileChange>, dice: &mut Dice) -> Vec<u8> {
    let count = file.pending.len();
    let unit = match dice.below(5) {
        0 => return after(file, dice.below(count + 1)),
        1 => return after(file, count),
        2 => return after(file, 0),
        3 => 4096,
        _ => 512,
    };
    let lengths = lengths(file);
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mut bytes = file.synced.clone();
    bytes.resize(longest, 0);
    // How likely a unit is to be there differs between images, else none would have nearly all or nearly nothing.
    let odds = 2 + dice.below(20);
    let mostly_there = dice.one_in(2);
    let reached: Vec<usize> = (0..longest.div_ceil(unit))
        .map(|_| match (dice.one_in(odds), mostly_there) {
            (true, _) => dice.below(count + 1),
            (false, true) => count,
            (false, false) => 0,
        })
        .collect();
    for (index, pending) in file.pending.iter().enumerate() {
        let (start, end) = match &pending.change {
            FileChange::Write { at, bytes } => (*at, at + bytes.len()),
            FileChange::SetLength(length) => (*length, longest),
        };
        let mut from = start;
        while from < end {
            let number = from / unit;
            let to = end.min((number + 1) * unit);
            if index < reached[number] {
                match &pending.change {
                    FileChange::Write { at, bytes: new } => {
                        bytes[from..to].copy_from_slice(&new[from - at..to - at]);
                    }
                    FileChange::SetLength(_) => bytes[from..to].fill(0),
                }
            }
            from = to;
        }
    }
    let length = match dice.below(3) {
        0 => lengths[0],
        1 => lengths[count],
        _ => lengths[dice.below(count + 1)],
    };
    bytes.resize(length, 0);
    bytes
}

/// The file after its first `count` changes.
fn after(file: &Store<Vec<u8>, FileChange>, count: usize) -> Vec<u8> {
    let mut bytes = file.synced.clone();
    file.pending[..count]
        .iter()
        .for_each(|pending| pending.change.apply(&mut bytes));
    bytes
}

/// The synced length, and the one after each change.
fn lengths(file: &Store<Vec<u8>, FileChange>) -> Vec<usize> {
    let mut lengths = vec![file.synced.len()];
    for pending in &file.pending {
        let last = lengths[lengths.len() - 1];
        lengths.push(match &pending.change {
            FileChange::Write { at, bytes } => last.max(at + bytes.len()),
            FileChange::SetLength(length) => *length,
        });
    }
    lengths
}
