use super::{read::ReadError, *};
use crate::work::{
    event::EventRecord,
    ledger::{
        MAX_PAYLOAD, MAX_TEXT, NewRecord,
        chain::{Entry, link, sound},
    },
    tick::{ClockId, Tick},
};

fn chain(length: u64) -> Vec<Entry> {
    let batch: Vec<NewRecord> = (0..length)
        .map(|number| {
            let clock = ClockId([u8::try_from(number % 3).unwrap(); 16]);
            let tick = (number % 7 != 0).then(|| Tick::new(number * 1_000, 1_000, clock));
            let wall = if number % 5 == 0 {
                u64::MAX - number
            } else {
                number
            };
            let record = EventRecord::new(
                format!("note.{}", number % 4),
                "session",
                format!("actor-{}", number % 9),
                vec![7; usize::try_from(number % 50).unwrap()],
            )
            .at(wall, tick);
            let new = NewRecord::from(record);
            if number % 2 == 0 {
                new.with_key(format!("key-{number}"))
            } else {
                new
            }
        })
        .collect();
    link(&Head::default(), &batch).unwrap()
}

/// The records from `skip` on, sealed, and what was noted about them.
fn sealed(entries: &[Entry], skip: usize, statement: &[u8]) -> (Vec<u8>, Run) {
    let entries = &entries[skip..];
    let run = Run {
        first: entries[0].record.sequence,
        head: entries.last().unwrap().head(),
    };
    let mut writer = Writer::begin(Vec::new(), run, entries[0].record.previous_hash, statement).unwrap();
    for entry in entries {
        writer.push(entry.clone()).unwrap();
    }
    (writer.finish().unwrap(), run)
}

/// Everything in it, each record checked against its hash.
fn read_all(bytes: &[u8], run: Run) -> Result<Vec<Entry>, ReadError> {
    let entries = Reader::open(bytes, run)?.entries(0, usize::MAX)?;
    for entry in &entries {
        sound(entry.record.clone(), entry.unique_key.as_deref()).map_err(|_| ReadError::Record {
            sequence: entry.record.sequence,
            fault: crate::work::ledger::Fault::Altered,
        })?;
    }
    Ok(entries)
}

#[test]
fn records_come_back_as_they_were_sealed() {
    for (length, skip) in [(1, 0), (256, 0), (257, 0), (1_000, 0), (1_000, 300)] {
        let entries = chain(length);
        let (bytes, run) = sealed(&entries, skip, b"said");
        assert_eq!(
            read_all(&bytes, run).unwrap(),
            entries[skip..],
            "{length} from {skip}"
        );
        assert_eq!(Reader::open(&*bytes, run).unwrap().into_seal().statement, b"said");
    }
}

#[test]
fn any_part_can_be_read() {
    let entries = chain(1_000);
    let (bytes, run) = sealed(&entries, 100, b"");
    let reader = Reader::open(&*bytes, run).unwrap();
    for (after, limit) in [(100, 1), (355, 3), (356, 600), (999, 5), (500, 0), (0, 7)] {
        let from = usize::try_from(after.max(100)).unwrap();
        let expected: Vec<_> = entries[from..].iter().take(limit).cloned().collect();
        assert_eq!(
            reader.entries(after, limit).unwrap(),
            expected,
            "{limit} after {after}"
        );
    }
    assert!(reader.entries(1_000, 9).unwrap().is_empty());
    assert!(reader.entries(u64::MAX, 9).unwrap().is_empty());
}

#[test]
fn every_changed_byte_is_noticed() {
    let entries = chain(30);
    let (bytes, run) = sealed(&entries, 0, b"statement");
    let mut changed = bytes.clone();
    for at in 0..bytes.len() {
        changed[at] ^= 0x10;
        assert!(read_all(&changed, run).is_err(), "byte {at} of {}", bytes.len());
        changed[at] = bytes[at];
    }
}

#[test]
fn every_cut_is_noticed() {
    let (bytes, run) = sealed(&chain(40), 0, b"s");
    for length in 0..bytes.len() {
        let cut = Reader::open(&bytes[..length], run).map(drop);
        assert!(
            matches!(cut, Err(ReadError::Seal(SealFault::Damaged { .. }))),
            "{length}: {cut:?}"
        );
    }
    let longer = [bytes, vec![0]].concat();
    assert!(Reader::open(&*longer, run).is_err());
}

#[test]
fn another_run_and_a_newer_format_are_told_apart() {
    let entries = chain(40);
    let (mut bytes, run) = sealed(&entries, 0, b"");
    let mut other = run;
    other.head.hash[0] ^= 1;
    assert!(matches!(
        Reader::open(&*bytes, other),
        Err(ReadError::Seal(SealFault::Foreign { first: 1, last: 40 }))
    ));
    bytes[14] = b'2';
    assert!(matches!(
        Reader::open(&*bytes, run),
        Err(ReadError::Seal(SealFault::NewerFormat))
    ));
}

#[test]
fn a_statement_longer_than_any_can_be_is_refused() {
    let entries = chain(1);
    let open = |length| {
        let (bytes, run) = sealed(&entries, 0, &vec![7; length]);
        Reader::open(&*bytes, run).map(drop)
    };
    open(MAX_STATEMENT).unwrap();
    let refused = open(MAX_STATEMENT + 1);
    assert!(
        matches!(
            &refused,
            Err(ReadError::Seal(SealFault::Damaged { reason })) if reason.contains("too long")
        ),
        "{refused:?}"
    );
}

#[test]
fn a_run_that_no_ledger_has_is_refused() {
    let (mut bytes, mut run) = sealed(&chain(40), 0, b"");
    for (first, last) in [(10, 3), (0, 40), (0, u64::MAX), (5, 0), (u64::MAX - 3, u64::MAX)] {
        (run.first, run.head.sequence) = (first, last);
        bytes[16..24].copy_from_slice(&first.to_le_bytes());
        bytes[56..64].copy_from_slice(&last.to_le_bytes());
        let refused = Reader::open(&*bytes, run).map(drop);
        assert!(
            matches!(
                &refused,
                Err(ReadError::Seal(SealFault::Damaged { reason })) if reason.contains("no ledger")
            ),
            "{first} to {last}: {refused:?}"
        );
    }
}

/// Sealed records without a statement in their parts: header and blocks, index, and where the index says it begins.
fn parts(bytes: &[u8]) -> (&[u8], &[u8], u64) {
    let (rest, trailer) = bytes.split_at(bytes.len() - TRAILER);
    let index_at = u64::from_le_bytes(trailer[..8].try_into().unwrap());
    let (blocks, index) = rest.split_at(usize::try_from(index_at).unwrap());
    (blocks, index, index_at)
}

/// Where the index says that the blocks begin.
fn offsets(bytes: &[u8]) -> Vec<u64> {
    let offset = |entry: &[u8]| u64::from_le_bytes(entry[..8].try_into().unwrap());
    parts(bytes).1.chunks(INDEXED).map(offset).collect()
}

/// The same with such offsets, so many bytes more behind the last block, and a checksum that is right.
fn with_index(bytes: &[u8], offsets: &[u64], more: usize) -> Vec<u8> {
    let (blocks, index, index_at) = parts(bytes);
    let mut index = index.to_vec();
    for (entry, offset) in index.chunks_mut(INDEXED).zip(offsets) {
        entry[..8].copy_from_slice(&offset.to_le_bytes());
    }
    let index_at = index_at + more as u64;
    let sum = checksum(&blocks[..FIXED], &index, index_at);
    [blocks, &vec![0; more], &index, &index_at.to_le_bytes(), &sum].concat()
}

#[track_caller]
fn is_out_of_order(bytes: &[u8], run: Run) {
    let refused = Reader::open(bytes, run).map(drop);
    assert!(
        matches!(
            &refused,
            Err(ReadError::Seal(SealFault::Damaged { reason })) if reason.contains("out of order")
        ),
        "{refused:?}"
    );
}

/// Whoever can write the file can compute its checksum.
#[test]
fn blocks_that_do_not_follow_each_other_are_refused_before_any_is_read() {
    let (bytes, run) = sealed(&chain(600), 0, b"");
    let [first, second, third] = offsets(&bytes)[..] else {
        panic!("600 records are three blocks");
    };
    assert_eq!(with_index(&bytes, &[], 0), bytes);
    for hostile in [
        [first, 1 << 62, third],
        [first, u64::MAX, third],
        [first, second, u64::MAX],
        [first, third, second],
        [first, second, second],
        [first, second, bytes.len() as u64],
        [first - 1, second, third],
        [0, second, third],
        [first + 1, second, third],
    ] {
        is_out_of_order(&with_index(&bytes, &hostile, 0), run);
    }
}

#[test]
fn a_block_longer_than_its_records_can_be_is_refused() {
    // The last block has one record.
    let (bytes, run) = sealed(&chain(257), 0, b"");
    let length = parts(&bytes).2 - offsets(&bytes)[1];
    let more = usize::try_from(block::LONGEST - length).unwrap();
    Reader::open(&*with_index(&bytes, &[], more), run).unwrap();
    is_out_of_order(&with_index(&bytes, &[], more + 1), run);
}

/// The column in which a block of this entry, changed so, cannot be read.
fn unreadable(entry: &Entry, change: impl FnOnce(&mut Vec<u8>)) -> Option<&'static str> {
    let mut bytes = Vec::new();
    block::encode(std::slice::from_ref(entry), &mut bytes);
    change(&mut bytes);
    let decoded = block::decode(&bytes, 1, [0; 32], 1);
    decoded.err().map(|unreadable| unreadable.column)
}

#[test]
fn what_is_longer_than_it_can_be_is_not_read() {
    let with = |change: fn(&mut Entry)| {
        let mut entry = chain(1).remove(0);
        change(&mut entry);
        unreadable(&entry, |_| {})
    };
    let too_long = with(|entry| entry.record.event_type = "t".repeat(MAX_TEXT + 1));
    assert_eq!(too_long, Some("event_type"));
    let too_long = with(|entry| entry.record.payload = vec![7; MAX_PAYLOAD + 1]);
    assert_eq!(too_long, Some("payload"));
    let too_long = with(|entry| entry.unique_key = Some("k".repeat(MAX_TEXT + 1)));
    assert_eq!(too_long, Some("unique_key"));
}

#[test]
fn a_number_beyond_64_bits_and_bytes_behind_the_last_record_are_not_read() {
    let mut entry = chain(1).remove(0);
    // The longest difference: nine times 0xFF, and one bit.
    entry.record.wall = 1 << 63;
    assert_eq!(unreadable(&entry, |_| {}), None);
    let beyond = |bytes: &mut Vec<u8>| {
        let at = bytes.windows(10).position(|ten| ten[..9] == [0xFF; 9]).unwrap();
        bytes[at + 9] = 2;
    };
    assert_eq!(unreadable(&entry, beyond), Some("wall"));
    assert_eq!(unreadable(&entry, |bytes| bytes.push(0)), Some("hash"));
}

#[test]
fn the_longest_record_there_can_be_comes_back() {
    let text = |letter: &str| letter.repeat(MAX_TEXT);
    let record = EventRecord::new(text("t"), text("s"), text("a"), vec![7; MAX_PAYLOAD]);
    let tick = Tick::new(u64::MAX, u64::MAX, ClockId([7; 16]));
    let new = NewRecord::from(record.at(1 << 63, Some(tick))).with_key(text("k"));
    let entries = link(&Head::default(), &[new]).unwrap();
    let (bytes, run) = sealed(&entries, 0, b"");
    assert_eq!(read_all(&bytes, run).unwrap(), entries);
}

#[test]
fn sealed_records_are_compact() {
    let plain: usize = chain(1_000)
        .iter()
        .map(|entry| entry.record.payload.len() + entry.record.session_id.len() + 150)
        .sum();
    let (bytes, _) = sealed(&chain(1_000), 0, b"");
    assert!(bytes.len() < plain * 2 / 3, "{} of {plain}", bytes.len());
}

#[test]
fn the_form_is_frozen() {
    let (bytes, _) = sealed(&chain(300), 0, b"statement");
    assert_eq!(blake3::hash(&bytes).to_hex().as_str(), FROZEN);
}

const FROZEN: &str = "32b52ec0de39a008ffde4e43587783f899acf969bef4780248da0ab80e82b28b";
