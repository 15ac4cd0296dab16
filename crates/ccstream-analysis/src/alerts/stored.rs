//! Restores what a rule remembers, and returns what has to be stored of it.

use super::head::Head;
use super::keys::Part;
use super::observation::{self, Journal, Observation};
use super::rule::{KEYED, PARTS, Rule, part_of};
use super::top::Top;
use crate::SnapshotError;
use crate::bytes::Reader;

impl Rule {
    /// Loads a part that is complete up to a journal.
    ///
    /// Errors: the bytes were not written by [`snapshot`](Self::snapshot).
    pub fn load(&mut self, part: usize, journal: i64, data: &[u8]) -> Result<(), SnapshotError> {
        match self.parts.get_mut(part) {
            Some(one) => *one = Part::read(data)?,
            None if part == KEYED => self.top = Top::read(&mut Reader(data))?,
            None => return Err(SnapshotError::Bucket),
        }
        self.written[part] = journal;
        Ok(())
    }

    /// Brings rules up to date by a journal. The journals must be in order.
    ///
    /// Errors: the bytes are no journal.
    pub fn replay(rules: &mut [Self], journal: i64, data: &[u8]) -> Result<(), SnapshotError> {
        let (mut heads, observations): Journal = observation::read(data)?;
        for one in &observations {
            let Some(rule) = rules.iter_mut().find(|rule| rule.number == one.rule) else { continue };
            let (top, keys) = (journal > rule.written[KEYED], journal > rule.written[part_of(one.key)]);
            rule.apply(one, top, keys);
        }
        for rule in rules {
            rule.head = heads.remove(&rule.number).unwrap_or_else(|| rule.head.clone());
        }
        Ok(())
    }

    /// Returns the journal of a batch.
    pub fn journal(rules: &[Self], observations: &[Observation]) -> Vec<u8> {
        let heads: Vec<(i32, &Head)> = rules.iter().map(|rule| (rule.number, &rule.head)).collect();
        observation::write(&heads, observations)
    }

    /// Returns the parts that have changed since they were last written, the longest unwritten first, up to a number of
    /// bytes and at least one.
    pub fn snapshot(&mut self, journal: i64, most: usize) -> Vec<(usize, Vec<u8>)> {
        let mut changed: Vec<usize> = (0..PARTS).filter(|at| self.is_changed[*at]).collect();
        changed.sort_by_key(|at| self.written[*at]);
        let (mut parts, mut bytes) = (Vec::new(), 0);
        for at in changed {
            if bytes >= most {
                break;
            }
            let data = self.parts.get(at).map_or_else(|| self.top_bytes(), Part::write);
            bytes += data.len();
            (self.is_changed[at], self.written[at]) = (false, journal);
            parts.push((at, data));
        }
        parts
    }

    /// Returns the journal after which all others are needed to bring the parts up to date; None if none is needed.
    pub fn needs_after(&self) -> Option<i64> {
        (0..PARTS).filter(|at| self.is_changed[*at]).map(|at| self.written[at]).min()
    }

    fn top_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.top.write(&mut out);
        out
    }
}
