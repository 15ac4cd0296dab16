//! Writes and reads what rules have observed, so that their state can be brought up to date.

use std::collections::BTreeMap;

use super::head::Head;
use crate::bytes::{Number, Reader, Result};
use crate::key::Key;

/// The transaction meets the condition; of a score, that it is high enough.
pub(super) const HIT: u8 = 1;
/// The rule was suspended.
pub(super) const SUSPENDED: u8 = 2;
/// No transaction was observed, but that there was none.
pub(super) const TICK: u8 = 4;

/// What a rule has observed. Its state changes by this alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The number of the rule.
    pub rule: i32,
    pub(super) seq: u64,
    pub(super) key: Key,
    pub(super) time: i64,
    pub(super) flags: u8,
    /// A score, the hash of a value, or a time of the clock, by the kind of the rule.
    pub(super) value: u64,
    /// The text of the key, if the rule has to know it later.
    pub(super) text: Option<Box<str>>,
}

impl Observation {
    pub(super) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Returns the journal of a batch: what rules know besides their keys, and what they have observed.
pub(super) fn write(heads: &[(i32, &Head)], observations: &[Observation]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 * heads.len() + 48 * observations.len());
    (heads.len() as u32).push(&mut out);
    for (rule, head) in heads {
        rule.push(&mut out);
        head.write(&mut out);
    }
    for one in observations {
        one.rule.push(&mut out);
        one.seq.push(&mut out);
        one.key.push(&mut out);
        one.time.push(&mut out);
        one.flags.push(&mut out);
        one.value.push(&mut out);
        let text = one.text.as_deref().unwrap_or_default();
        (text.len() as u16).push(&mut out);
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// The journal of a batch: what each rule knows besides its keys, and what rules have observed.
pub(super) type Journal = (BTreeMap<i32, Head>, Vec<Observation>);

/// Reads the journal of a batch.
pub(super) fn read(data: &[u8]) -> Result<Journal> {
    let mut reader = Reader(data);
    let heads = reader.u32()?;
    let heads = (0..heads).map(|_| Ok((reader.i32()?, Head::read(&mut reader)?))).collect::<Result<_>>()?;
    let mut observations = Vec::new();
    while !reader.0.is_empty() {
        let (rule, seq, key) = (reader.i32()?, reader.u64()?, reader.u64()?);
        let (time, flags, value) = (reader.i64()?, reader.u8()?, reader.u64()?);
        let text = text(&mut reader)?;
        observations.push(Observation { rule, seq, key, time, flags, value, text });
    }
    Ok((heads, observations))
}

/// Reads a text with its length; None if it is empty.
pub(super) fn text(reader: &mut Reader<'_>) -> Result<Option<Box<str>>> {
    use crate::SnapshotError;
    let length = reader.u16()?;
    let (text, rest) = reader.0.split_at_checked(length.into()).ok_or(SnapshotError::Short)?;
    reader.0 = rest;
    let text = str::from_utf8(text).map_err(|_| SnapshotError::Value("text"))?;
    Ok(Some(text).filter(|text| !text.is_empty()).map(Box::from))
}
