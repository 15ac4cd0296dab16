//! Opens an alert of something that lasts, and closes it when that is over.

use super::alert::{Alert, Change};
use super::keys::What;
use super::observation::{HIT, Observation, TICK};
use super::rule::{Rule, part_of};
use crate::key::{self, Key};

/// Something that has begun or is over.
#[derive(Debug)]
pub(super) struct Turned {
    /// What it is about; None if the rule has only one.
    pub(super) key: Option<String>,
    /// Whether it has begun.
    pub(super) is_open: bool,
    /// The last place in the order.
    pub(super) seq: u64,
    /// When, in microseconds since 1970.
    pub(super) time: i64,
}

impl Rule {
    /// Opens or closes an alert. `why` says why it is opened, as JSON and in words.
    pub(super) fn turn(
        &mut self,
        turned: Turned,
        why: impl FnOnce() -> (String, String),
        changes: &mut Vec<Change>,
        journal: &mut Vec<Observation>,
    ) {
        let Turned { key: name, is_open, seq, time } = turned;
        let (rule, key) = (self.number, name.as_deref().map_or(0, key::of));
        let flags = if is_open { HIT } else { TICK };
        let observed = Observation { rule, seq, key, time, flags, value: time as u64, text: None };
        let applied = self.apply(&observed, true, true);
        changes.extend(self.change(&applied, &observed, None).map(|change| match change {
            Change::Opened(alert) => {
                let (why, text) = why();
                Change::Opened(Alert { key: name, why, text, ..alert })
            }
            other => other,
        }));
        journal.push(observed);
    }

    /// Returns whether an alert of a key is open.
    pub(super) fn is_open(&self, key: Key) -> bool {
        let known = self.parts[part_of(key)].0.get(&key);
        known.is_some_and(|known| matches!(known.what, What::Came(_, true, _)))
    }
}
