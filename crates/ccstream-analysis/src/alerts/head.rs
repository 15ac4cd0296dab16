//! Counts how often a rule fires, and suspends one that fires too often.

use super::cooldown::{self, Cooldown, Fired, fire};
use crate::bytes::{Number, Reader, Result};

const MINUTE: i64 = 60_000_000;
/// How long a rule is suspended, and the longest time in which another suspension is no second alert.
const SUSPENDED_FOR: i64 = 60 * MINUTE;
const LIMIT: i64 = 24 * SUSPENDED_FOR;
/// A rule that fires less often in a minute is not suspended, whatever its share.
const LEAST: u32 = 20;
/// From this number on, the end of the minute is not waited for.
const EARLY: u32 = 200;

/// What a rule knows besides its keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    minute: i64,
    rows: u32,
    fired: u32,
    suspended_until: i64,
    cooldown: Option<Cooldown>,
    /// Number of keys that were forgotten, because there was no room.
    pub(super) forgotten: u64,
}

/// Says that a rule is suspended from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspended {
    pub(super) what: Fired,
    pub(super) fired: u32,
    pub(super) rows: u32,
}

impl Head {
    /// Counts a transaction, before the rule is applied to it. Returns whether the rule is suspended from now on. `now` is
    /// the greatest time of a transaction so far.
    pub(super) fn see(&mut self, seq: u64, now: i64) -> Option<Suspended> {
        let minute = now.div_euclid(MINUTE);
        let is_over = minute != self.minute;
        let is_too_often = self.fired.saturating_mul(100) > self.rows;
        let suspended = (is_too_often && self.fired >= if is_over { LEAST } else { EARLY }).then(|| {
            self.suspended_until = now + SUSPENDED_FOR;
            let what = fire(&mut self.cooldown, (seq, now), SUSPENDED_FOR, LIMIT);
            Suspended { what, fired: self.fired, rows: self.rows }
        });
        if is_over || suspended.is_some() {
            (self.minute, self.rows, self.fired) = (minute, 0, 0);
        }
        self.rows += 1;
        suspended
    }

    pub(super) fn note_fired(&mut self) {
        self.fired += 1;
    }

    pub(super) fn is_suspended(&self, now: i64) -> bool {
        now < self.suspended_until
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.minute.push(out);
        self.rows.push(out);
        self.fired.push(out);
        self.suspended_until.push(out);
        self.forgotten.push(out);
        cooldown::write(self.cooldown, out);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            minute: reader.i64()?,
            rows: reader.u32()?,
            fired: reader.u32()?,
            suspended_until: reader.i64()?,
            forgotten: reader.u64()?,
            cooldown: cooldown::read(reader)?,
        })
    }
}
