//! Writes and reads a terminal for snapshots.

use super::{FALLBACKS, TIMES, Terminal};
use crate::bytes::{Number, Reader, Result, check};
use crate::table::Entry;

impl Terminal {
    /// Writes the terminal. Only days with a count are written.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.key.push(out);
        self.day.push(out);
        self.fallbacks.push(out);
        self.fallback.push(out);
        self.next.push(out);
        self.times.iter().for_each(|second| second.push(out));
        let kept = self.active | self.fraud | self.other;
        kept.push(out);
        for before in (0..u64::BITS).filter(|before| kept >> before & 1 == 1) {
            let tile = self.tile(self.day, before);
            tile.transactions.push(out);
            tile.frauds.push(out);
            tile.others.push(out);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self> {
        let mut read = Self::new(from.u64()?);
        read.day = check(from.i32()?, |day| (0..1 << 24).contains(&day), "day")?;
        read.fallbacks = check(from.u8()?, |count| count <= FALLBACKS, "count of fallbacks")?;
        read.fallback = check(from.positive("share of fallbacks")?, |share| share <= 1.0, "share of fallbacks")?;
        read.next = check(from.u8()?, |next| usize::from(next) < TIMES, "place of a time")?;
        for second in &mut read.times {
            *second = from.u32()?;
        }
        let kept = from.u64()?;
        for before in (0..u64::BITS).filter(|before| kept >> before & 1 == 1) {
            let day = read.day - before as i32;
            let at = Self::tile_of(day);
            (read.transactions[at], read.frauds[at], read.others[at]) = (from.u16()?, from.u8()?, from.u8()?);
            read.fraud |= u64::from(read.frauds[at] > 0) << before;
            read.other |= u64::from(read.others[at] > 0) << before;
            read.mark(day);
        }
        Ok(read)
    }
}
