//! A complete minute: all that the state changes by. It is what has to be stored for each minute.

use super::cell::Cell;
use super::currencies::{self, Code, Paid};
use super::measure::Dimension;
use crate::SnapshotError;
use crate::bytes::{Number, Reader, Result};

/// A value of a dimension that is not watched, and the number of its transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) dimension: Dimension,
    pub(super) name: Box<str>,
    pub(super) events: u32,
}

/// What was counted in a minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Minute {
    /// Minutes since 1970.
    pub(super) number: i64,
    /// The cells of series that have transactions, by the place of the series.
    pub(super) cells: Vec<(u16, Cell)>,
    pub(super) paid: Vec<(Code, Paid)>,
    /// The largest values that are not watched.
    pub(super) others: Vec<Other>,
}

impl Minute {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + 18 * self.cells.len() + 15 * self.paid.len() + 40 * self.others.len());
        self.number.push(&mut out);
        write_cells(&self.cells, &mut out);
        write_paid(&self.paid, &mut out);
        write_others(&self.others, &mut out);
        out
    }

    pub(super) fn read(data: &[u8]) -> Result<Self> {
        let mut reader = Reader(data);
        let number = reader.i64()?;
        let minute = Self {
            number,
            cells: read_cells(&mut reader)?,
            paid: read_paid(&mut reader)?,
            others: read_others(&mut reader)?,
        };
        if reader.0.is_empty() { Ok(minute) } else { Err(SnapshotError::Long) }
    }
}

pub(super) fn write_cells(cells: &[(u16, Cell)], out: &mut Vec<u8>) {
    (cells.len() as u16).push(out);
    for (at, cell) in cells {
        at.push(out);
        cell.write(out);
    }
}

pub(super) fn read_cells(reader: &mut Reader<'_>) -> Result<Vec<(u16, Cell)>> {
    (0..reader.u16()?).map(|_| Ok((reader.u16()?, Cell::read(reader)?))).collect()
}

pub(super) fn write_paid(all: &[(Code, Paid)], out: &mut Vec<u8>) {
    (all.len() as u8).push(out);
    for (code, paid) in all {
        out.extend_from_slice(code);
        paid.count.push(out);
        paid.logs.push(out);
    }
}

pub(super) fn read_paid(reader: &mut Reader<'_>) -> Result<Vec<(Code, Paid)>> {
    let count = reader.u8()?;
    let mut one = || Ok((currencies::code(reader)?, Paid { count: reader.u32()?, logs: reader.i64()? }));
    (0..count).map(|_| one()).collect()
}

pub(super) fn write_others(others: &[Other], out: &mut Vec<u8>) {
    (others.len() as u16).push(out);
    for other in others {
        (other.dimension as u8).push(out);
        other.events.push(out);
        write_name(&other.name, out);
    }
}

pub(super) fn read_others(reader: &mut Reader<'_>) -> Result<Vec<Other>> {
    let count = reader.u16()?;
    let mut one = || {
        let (dimension, events) = (dimension(reader)?, reader.u32()?);
        Ok(Other { dimension, events, name: name(reader)? })
    };
    (0..count).map(|_| one()).collect()
}

/// Reads a dimension.
pub(super) fn dimension(reader: &mut Reader<'_>) -> Result<Dimension> {
    Dimension::of(reader.u8()?).ok_or(SnapshotError::Value("dimension"))
}

pub(super) fn write_name(name: &str, out: &mut Vec<u8>) {
    // A text of a field has at most 200 characters.
    (name.len() as u16).push(out);
    out.extend_from_slice(name.as_bytes());
}

/// Reads the name of a series.
pub(super) fn name(reader: &mut Reader<'_>) -> Result<Box<str>> {
    let length = reader.u16()?;
    let (name, rest) = reader.0.split_at_checked(length.into()).ok_or(SnapshotError::Short)?;
    reader.0 = rest;
    Ok(str::from_utf8(name).map_err(|_| SnapshotError::Value("name"))?.into())
}
