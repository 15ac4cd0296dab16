//! Holds what a rule remembers of its keys, in parts. When a part is full, the keys that were used longest ago are
//! forgotten.

use hashbrown::HashMap;

use super::cooldown::{self, Cooldown};
use super::observation::text;
use super::rate::Rate;
use crate::SnapshotError;
use crate::bytes::{Number, Reader, Result};
use crate::key::Key;

/// The maximum number of values of a key that a rule remembers.
pub(super) const MAX_VALUES: usize = 64;
/// The share of a part's keys that is forgotten at once.
const FORGOTTEN: usize = 16;

/// What a rule remembers of a key.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Known {
    /// The place in the order at which it was used last.
    pub(super) used: u64,
    pub(super) cooldown: Option<Cooldown>,
    pub(super) what: What,
}

/// What a rule remembers of a key, by the kind of the rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum What {
    #[default]
    Nothing,
    Rate(Rate),
    /// The values, and a time at which one was seen.
    Values(Vec<Key>, i64),
    /// When the last transaction came by the clock, or something that lasts began; whether an alert of it is open; and the text of the
    /// key.
    Came(i64, bool, Option<Box<str>>),
}

/// A share of a rule's keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part(pub(super) HashMap<Key, Known>);

impl Part {
    /// Returns what is known of a key. With `most` keys, others are forgotten first; returns their number.
    pub(super) fn get(&mut self, key: Key, most: usize) -> (&mut Known, u64) {
        let mut forgotten = 0;
        if self.0.len() >= most && !self.0.contains_key(&key) {
            let mut used: Vec<(u64, Key)> = self.0.iter().map(|(key, known)| (known.used, *key)).collect();
            let count = (most / FORGOTTEN).max(1);
            used.select_nth_unstable(count - 1);
            for (_, key) in &used[..count] {
                self.0.remove(key);
            }
            forgotten = count as u64;
        }
        (self.0.entry(key).or_default(), forgotten)
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut all: Vec<(&Key, &Known)> = self.0.iter().collect();
        all.sort_by_key(|(key, _)| **key);
        let mut out = Vec::new();
        for (key, known) in all {
            key.push(&mut out);
            known.used.push(&mut out);
            cooldown::write(known.cooldown, &mut out);
            match &known.what {
                What::Nothing => 0u8.push(&mut out),
                What::Rate(rate) => {
                    if rate.has_values() { 4u8 } else { 1u8 }.push(&mut out);
                    rate.write(&mut out);
                }
                What::Values(values, time) => {
                    2u8.push(&mut out);
                    time.push(&mut out);
                    (values.len() as u8).push(&mut out);
                    for value in values {
                        value.push(&mut out);
                    }
                }
                What::Came(time, is_open, text) => {
                    3u8.push(&mut out);
                    time.push(&mut out);
                    u8::from(*is_open).push(&mut out);
                    let text = text.as_deref().unwrap_or_default();
                    (text.len() as u16).push(&mut out);
                    out.extend_from_slice(text.as_bytes());
                }
            }
        }
        out
    }

    pub(super) fn read(data: &[u8]) -> Result<Self> {
        let (mut reader, mut part) = (Reader(data), Self::default());
        while !reader.0.is_empty() {
            let (key, used, cooldown) = (reader.u64()?, reader.u64()?, cooldown::read(&mut reader)?);
            let what = match reader.u8()? {
                0 => What::Nothing,
                kind @ (1 | 4) => What::Rate(Rate::read(&mut reader, kind == 4)?),
                2 => {
                    let (time, count) = (reader.i64()?, reader.u8()?);
                    What::Values((0..count).map(|_| reader.u64()).collect::<Result<_>>()?, time)
                }
                3 => What::Came(reader.i64()?, reader.u8()? == 1, text(&mut reader)?),
                _ => return Err(SnapshotError::Value("kind")),
            };
            part.0.insert(key, Known { used, cooldown, what });
        }
        Ok(part)
    }
}
