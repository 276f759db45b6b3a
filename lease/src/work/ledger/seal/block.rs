//! A block: some records in a row, without what repeats.
//!
//! Numbers have as many bytes as they need. Texts that a block has had are named by their number. Times are told as the
//! difference to the one before.

use crate::work::{
    event::EventRecord,
    ledger::{MAX_PAYLOAD, MAX_TEXT, chain::Entry},
    tick::{ClockId, Tick},
};

/// The most bytes that a record takes: a type, a session, an actor, a payload and a key of their largest lengths, and
/// 160 for the eleven numbers, two kinds, clock and hash.
pub(super) const LONGEST: u64 = (MAX_PAYLOAD + 4 * MAX_TEXT + 160) as u64;

/// What the next record is told in terms of.
#[derive(Default)]
struct Context {
    texts: Vec<String>,
    wall: u64,
    tick: Option<Tick>,
}

/// The record does not say its own sequence and previous hash.
pub(super) fn encode(entries: &[Entry], out: &mut Vec<u8>) {
    let mut context = Context::default();
    for entry in entries {
        let record = &entry.record;
        for text in [&record.event_type, &record.session_id, &record.actor_id] {
            put_text(text, &mut context, out);
        }
        put_bytes(&record.payload, out);
        put_difference(context.wall, record.wall, out);
        context.wall = record.wall;
        put_tick(record.tick, &mut context, out);
        match &entry.unique_key {
            None => out.push(0),
            Some(key) => {
                out.push(1);
                put_bytes(key.as_bytes(), out);
            }
        }
        out.extend_from_slice(&record.hash);
    }
}

/// Where in a block something cannot be read.
pub(super) struct Unreadable {
    /// The record, counted from the block's first.
    pub(super) record: u64,
    pub(super) column: &'static str,
}

/// Reads `count` records, the first with this sequence and behind this hash; none of them is checked against its hash.
pub(super) fn decode(
    mut bytes: &[u8],
    first: u64,
    previous_hash: [u8; 32],
    count: u64,
) -> Result<Vec<Entry>, Unreadable> {
    let mut context = Context::default();
    let mut entries: Vec<Entry> = Vec::new();
    for record in 0..count {
        let previous = entries.last().map_or(previous_hash, |entry| entry.record.hash);
        let mut entry =
            take_entry(&mut bytes, &mut context).map_err(|column| Unreadable { record, column })?;
        entry.record.sequence = first + record;
        entry.record.previous_hash = previous;
        entries.push(entry);
    }
    if bytes.is_empty() {
        Ok(entries)
    } else {
        Err(Unreadable {
            record: count.saturating_sub(1),
            column: "hash",
        })
    }
}

fn take_entry(bytes: &mut &[u8], context: &mut Context) -> Result<Entry, &'static str> {
    let mut text = |name| take_text(bytes, context).ok_or(name);
    let event_type = text("event_type")?;
    let session_id = text("session_id")?;
    let actor_id = text("actor_id")?;
    let payload = take_bytes(bytes, MAX_PAYLOAD).ok_or("payload")?;
    let wall = take_difference(context.wall, bytes).ok_or("wall")?;
    context.wall = wall;
    let tick = take_tick(bytes, context)?;
    let unique_key = take_key(bytes)?;
    let mut record = EventRecord::new(event_type, session_id, actor_id, payload).at(wall, tick);
    record.hash = *take(bytes).ok_or("hash")?;
    Ok(Entry { record, unique_key })
}

/// 0 and a new text, or the number of one that was told before, counted from 1.
fn put_text(text: &str, context: &mut Context, out: &mut Vec<u8>) {
    if let Some(known) = context.texts.iter().position(|known| known == text) {
        put_number(known as u64 + 1, out);
    } else {
        out.push(0);
        put_bytes(text.as_bytes(), out);
        context.texts.push(text.to_owned());
    }
}

fn take_text(bytes: &mut &[u8], context: &mut Context) -> Option<String> {
    match usize::try_from(take_number(bytes)?).ok()? {
        0 => {
            let text = String::from_utf8(take_bytes(bytes, MAX_TEXT)?).ok()?;
            context.texts.push(text.clone());
            Some(text)
        }
        number => context.texts.get(number - 1).cloned(),
    }
}

/// 0 for none, 1 for one of the same rate and clock as the last, 2 for a whole one.
fn put_tick(tick: Option<Tick>, context: &mut Context, out: &mut Vec<u8>) {
    match (tick, context.tick) {
        (None, _) => out.push(0),
        (Some(tick), Some(last)) if (tick.rate, tick.clock) == (last.rate, last.clock) => {
            out.push(1);
            put_difference(last.value, tick.value, out);
        }
        (Some(tick), _) => {
            out.push(2);
            put_number(tick.value, out);
            put_number(tick.rate, out);
            out.extend_from_slice(&tick.clock.0);
        }
    }
    context.tick = tick.or(context.tick);
}

fn take_tick(bytes: &mut &[u8], context: &mut Context) -> Result<Option<Tick>, &'static str> {
    let [kind] = take(bytes).ok_or("tick")?;
    let tick = match (kind, context.tick) {
        (0, _) => return Ok(None),
        (1, Some(last)) => take_difference(last.value, bytes).map(|value| Tick { value, ..last }),
        (2, _) => take_whole_tick(bytes),
        _ => None,
    };
    let tick = tick.ok_or("tick")?;
    context.tick = Some(tick);
    Ok(Some(tick))
}

fn take_whole_tick(bytes: &mut &[u8]) -> Option<Tick> {
    let (value, rate) = (take_number(bytes)?, take_number(bytes)?);
    Some(Tick::new(value, rate, ClockId(*take(bytes)?)))
}

fn take_key(bytes: &mut &[u8]) -> Result<Option<String>, &'static str> {
    let key = match take(bytes) {
        Some([0]) => return Ok(None),
        Some([1]) => take_bytes(bytes, MAX_TEXT).and_then(|key| String::from_utf8(key).ok()),
        _ => None,
    };
    key.map(Some).ok_or("unique_key")
}

/// The difference, small ones of either sign in few bytes.
fn put_difference(from: u64, to: u64, out: &mut Vec<u8>) {
    let difference = to.wrapping_sub(from).cast_signed();
    put_number(((difference << 1) ^ (difference >> 63)).cast_unsigned(), out);
}

fn take_difference(from: u64, bytes: &mut &[u8]) -> Option<u64> {
    let folded = take_number(bytes)?;
    let difference = (folded >> 1) ^ (folded & 1).wrapping_neg();
    Some(from.wrapping_add(difference))
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn put_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = *take(bytes)?;
        let bits = u64::from(byte & 0x7F);
        // The tenth byte has room for one bit.
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Allocates no more than there is.
fn take_bytes(bytes: &mut &[u8], limit: usize) -> Option<Vec<u8>> {
    let length = usize::try_from(take_number(bytes)?).ok()?;
    if length > limit {
        return None;
    }
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken.to_vec())
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(taken)
}
