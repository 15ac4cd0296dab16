//! Writes and reads buckets.

use hashbrown::HashMap;

use super::bucket::{Bucket, Group, WindowRow};
use super::cards::Cards;
use super::cell::{Cell, Totals};
use crate::bytes::{Number, Reader, Result, SnapshotError};

/// The first byte of a bucket. Another one means another format.
const FORMAT: u8 = 1;

impl Bucket {
    /// Returns the bucket as bytes.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        self.watermark.push(&mut out);
        (self.groups.len() as u32).push(&mut out);
        for (key, Group { values, cells }) in &self.groups {
            key.push(&mut out);
            write_bytes(values, &mut out);
            (cells.len() as u32).push(&mut out);
            for cell in cells {
                cell.start.push(&mut out);
                cell.last.push(&mut out);
                cell.totals.write(&mut out);
                cell.cards.write(&mut out);
            }
        }
        (self.closed.len() as u32).push(&mut out);
        for row in &self.closed {
            row.start.push(&mut out);
            row.end.push(&mut out);
            row.key.push(&mut out);
            write_bytes(&row.values, &mut out);
            row.totals.write(&mut out);
            row.cards.0.push(&mut out);
            u8::from(row.cards.1).push(&mut out);
        }
        (self.gone.len() as u32).push(&mut out);
        for (start, key) in &self.gone {
            start.push(&mut out);
            key.push(&mut out);
        }
        out
    }

    /// Reads a bucket. All of its cells count as changed, because the table may not have them as they are.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader(bytes);
        if reader.u8()? != FORMAT {
            return Err(SnapshotError::Magic);
        }
        // The next closing finds out by itself when the one after it is due.
        let mut bucket = Self { watermark: reader.i64()?, next_close: i64::MIN, ..Self::default() };
        let groups = reader.u32()?;
        bucket.groups = HashMap::with_capacity(groups.min(1 << 16) as usize);
        for _ in 0..groups {
            let key = reader.u64()?;
            let values = read_bytes(&mut reader)?;
            let cells: Vec<Cell> = (0..reader.u32()?).map(|_| read_cell(&mut reader)).collect::<Result<_>>()?;
            bucket.cells += cells.len();
            bucket.held += cells.iter().map(|cell| cell.cards.held()).sum::<usize>();
            bucket.groups.insert(key, Group { values, cells });
        }
        for _ in 0..reader.u32()? {
            bucket.closed.push(WindowRow {
                start: reader.i64()?,
                end: reader.i64()?,
                key: reader.u64()?,
                values: read_bytes(&mut reader)?,
                totals: Totals::read(&mut reader)?,
                cards: (reader.u64()?, reader.u8()? == 1),
                is_closed: true,
            });
        }
        for _ in 0..reader.u32()? {
            bucket.gone.push((reader.i64()?, reader.u64()?));
        }
        if reader.0.is_empty() { Ok(bucket) } else { Err(SnapshotError::Long) }
    }
}

fn read_cell(reader: &mut Reader<'_>) -> Result<Cell> {
    Ok(Cell {
        start: reader.i64()?,
        last: reader.i64()?,
        totals: Totals::read(reader)?,
        cards: Cards::read(reader)?,
        is_changed: true,
    })
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    (bytes.len() as u32).push(out);
    out.extend_from_slice(bytes);
}

fn read_bytes(reader: &mut Reader<'_>) -> Result<Box<[u8]>> {
    let length = reader.u32()? as usize;
    let (bytes, rest) = reader.0.split_at_checked(length).ok_or(SnapshotError::Short)?;
    reader.0 = rest;
    Ok(bytes.into())
}
