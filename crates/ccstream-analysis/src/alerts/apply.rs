//! Applies an observation to what a rule remembers.

use super::cooldown::{Fired, fire};
use super::definition::{Definition, Kind, Limit};
use super::keys::{MAX_VALUES, What};
use super::observation::{HIT, Observation, SUSPENDED, TICK};
use super::rate::{Rate, Wanted};
use super::rule::{KEYED, Rule, part_of};

/// How exactly a rule knows when a value was used last, and when the last transaction came.
const HOUR: i64 = 3_600_000_000;
const SECOND: i64 = 1_000_000;

/// What an observation did.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Whether something is remembered that was not.
    pub(super) is_changed: bool,
    pub(super) fired: Option<Fired>,
    /// The place at which the alert was opened that is over.
    pub(super) closed: Option<u64>,
    /// What was counted: the transactions of a rate and those that meet the condition, or the values before.
    pub(super) counts: (u64, u64),
}

impl Rule {
    /// Applies an observation to what is remembered of the highest scores, of the keys, or of both.
    pub(super) fn apply(&mut self, observed: &Observation, to_top: bool, to_keys: bool) -> Applied {
        let mut applied = Applied::default();
        let Observation { seq, key, time, value, .. } = *observed;
        if let Kind::Score(Limit::Budget(budget)) = self.definition.kind
            && to_top
            && self.top.add(time, key, f64::from_bits(value), budget)
        {
            (applied.is_changed, self.is_changed[KEYED]) = (true, true);
        }
        let mut fires = !observed.is(SUSPENDED) && observed.is(HIT);
        let remembers = !matches!(self.definition.kind, Kind::Transaction | Kind::Score(_) | Kind::Amount(_));
        if !to_keys || !remembers && !fires {
            return applied;
        }
        let part = part_of(key);
        let (known, forgotten) = self.parts[part].get(key, self.definition.keys.div_ceil(KEYED));
        self.head.forgotten += forgotten;
        let mut is_changed = forgotten > 0;
        match (self.definition.kind, &mut known.what) {
            (Kind::Rate { least, distinct, share, size, is_tumbling, holds_for }, what) => {
                let wanted = Wanted { least, share, size, is_tumbling, holds_for };
                let value = distinct.map(|_| value);
                if !matches!(what, What::Rate(_)) {
                    *what = What::Rate(Rate::default());
                }
                if let What::Rate(rate) = what {
                    fires &= rate.add(time, observed.is(HIT), value, &wanted);
                    applied.counts = rate.counts();
                }
                is_changed = true;
            }
            (Kind::NewValue(_), What::Values(values, last)) => {
                let is_new = !values.contains(&value);
                applied.counts.0 = values.len() as u64;
                if is_new {
                    if values.len() == MAX_VALUES {
                        values.remove(0);
                    }
                    values.push(value);
                }
                fires &= is_new;
                if is_new || time > *last + HOUR {
                    (*last, is_changed) = (time.max(*last), true);
                }
            }
            (Kind::NewValue(_), what) => {
                // The first value of a key is not new.
                *what = What::Values(vec![value], time);
                (fires, is_changed) = (false, true);
            }
            (Kind::Absence(_), What::Came(_, is_open, _)) if observed.is(TICK) => {
                (*is_open, fires, is_changed) = (true, true, true);
            }
            (Kind::Absence(_), What::Came(came, is_open, _)) => {
                fires = false;
                is_changed |= *is_open || value as i64 - *came >= SECOND;
                if is_changed {
                    *came = value as i64;
                }
                if std::mem::take(is_open) {
                    applied.closed = known.cooldown.map(|last| last.opened());
                }
            }
            (Kind::Absence(_), what) => {
                *what = What::Came(value as i64, false, observed.text.clone());
                (fires, is_changed) = (false, true);
            }
            (Kind::Anomaly(_) | Kind::System(_), What::Came(_, is_open, _)) if observed.is(TICK) => {
                if std::mem::take(is_open) {
                    applied.closed = known.cooldown.map(|last| last.opened());
                }
                is_changed = true;
            }
            (Kind::Anomaly(_) | Kind::System(_), what) => {
                *what = What::Came(time, observed.is(HIT), None);
                is_changed = true;
            }
            (Kind::Transaction | Kind::Score(_) | Kind::Amount(_), _) => {}
        }
        if fires {
            let Definition { cooldown, cooldown_limit, .. } = self.definition;
            applied.fired = Some(fire(&mut known.cooldown, (seq, time), cooldown, cooldown_limit));
            is_changed = true;
        }
        if is_changed {
            known.used = seq;
            (applied.is_changed, self.is_changed[part]) = (true, true);
        }
        applied
    }
}
