//! Decides whether a rule that fires opens an alert, or counts up the last one of the key.

use crate::bytes::{Number, Reader, Result};

/// The last alert of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cooldown {
    opened: u64,
    /// Until when it only counts up.
    until: i64,
    length: i64,
}

impl Cooldown {
    /// Returns the place in the order at which the alert was opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }
}

/// What becomes of a rule that fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fired {
    Opens,
    /// It counts up the alert that was opened at this place.
    Repeats(u64),
}

/// Notes that a rule fires. Who fires again soon after a cooldown waits twice as long the next time, up to a limit.
pub(super) fn fire(last: &mut Option<Cooldown>, (seq, time): (u64, i64), usual: i64, limit: i64) -> Fired {
    let length = match last {
        Some(last) if time < last.until => return Fired::Repeats(last.opened),
        Some(last) if time < last.until + last.length => (2 * last.length).min(limit),
        _ => usual,
    };
    *last = Some(Cooldown { opened: seq, until: time + length, length });
    Fired::Opens
}

pub(super) fn write(cooldown: Option<Cooldown>, out: &mut Vec<u8>) {
    let Some(Cooldown { opened, until, length }) = cooldown else { return 0u8.push(out) };
    1u8.push(out);
    opened.push(out);
    until.push(out);
    length.push(out);
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<Cooldown>> {
    if reader.u8()? == 0 {
        return Ok(None);
    }
    Ok(Some(Cooldown { opened: reader.u64()?, until: reader.i64()?, length: reader.i64()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cooldown_doubles_to_its_limit_and_starts_over_after_a_quiet_time() {
        let mut last = None;
        let mut fire = |seq, time| super::fire(&mut last, (seq, time), 10, 25);
        assert_eq!([fire(1, 0), fire(2, 9), fire(3, 5)], [Fired::Opens, Fired::Repeats(1), Fired::Repeats(1)]);
        // It fires at the end of the cooldown, and waits for 20.
        assert_eq!([fire(4, 10), fire(5, 29), fire(6, 30)], [Fired::Opens, Fired::Repeats(4), Fired::Opens]);
        // 25 is the limit.
        assert_eq!([fire(7, 54), fire(8, 55)], [Fired::Repeats(6), Fired::Opens]);
        // It was quiet for longer than the cooldown after its end.
        assert_eq!([fire(9, 105), fire(10, 115)], [Fired::Opens, Fired::Opens]);
    }
}
