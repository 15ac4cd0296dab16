//! The columns in a file, so that a restart reads only what came since. It is of use to the same table alone
//! (its identity is in it), and to the same processor's byte order; anything else is read anew.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::Crc;

use super::codes::{Amounts, Codes};
use super::columns::{ATTRIBUTES, Block, COLUMNS, Columns, Coordinates};
use super::follow::{Identity, Known};
use super::seen::Seen;
use crate::error::{Error, Result};

/// Changes with the format.
const MAGIC: u64 = u64::from_be_bytes(*b"cckpi\0\0\x02");

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) known: Known,
    pub(crate) columns: Columns,
    pub(crate) pieces: Vec<u64>,
    pub(crate) followed: u64,
}

/// Writes the file, readable to its owner alone; the one before stays until the new one is whole.
pub(crate) fn write(path: &Path, known: &Known, columns: &Columns, pieces: &[u64], followed: u64) -> Result<()> {
    let refuse = |error: std::io::Error| broken(path, &format!("it cannot be written: {error}"));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(refuse)?;
    }
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&new).map_err(refuse)?;
    let mut out = Writer { file: BufWriter::with_capacity(1 << 20, file), sum: Crc::new() };
    out.all(known, columns, pieces, followed).map_err(refuse)?;
    fs::rename(&new, path).map_err(refuse)
}

/// Reads the file; None where there is none. Errors: it is damaged, or of another version.
pub(crate) fn read(path: &Path) -> Result<Option<Saved>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(broken(path, &format!("it cannot be read: {error}"))),
    };
    let damaged = || broken(path, "it is damaged, or of another version");
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
    let mut crc = Crc::new();
    crc.update(body);
    if crc.sum() != u32::from_ne_bytes(*sum) {
        return Err(damaged());
    }
    Reader { bytes: body }.all().map(Some).ok_or_else(damaged)
}

fn broken(path: &Path, reason: &str) -> Error {
    Error::File { path: path.display().to_string(), reason: reason.to_owned() }
}

struct Writer {
    file: BufWriter<fs::File>,
    sum: Crc,
}

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.sum.update(bytes);
        self.file.write_all(bytes)
    }

    fn number(&mut self, number: u64) -> std::io::Result<()> {
        self.bytes(&number.to_ne_bytes())
    }

    fn list<T: bytemuck::NoUninit>(&mut self, list: &[T]) -> std::io::Result<()> {
        self.number(list.len() as u64)?;
        self.bytes(bytemuck::cast_slice(list))
    }

    fn all(&mut self, known: &Known, columns: &Columns, pieces: &[u64], followed: u64) -> std::io::Result<()> {
        let Identity { system, database, table, file } = known.identity;
        for number in [
            MAGIC,
            u64::from(system.is_some()),
            system.unwrap_or_default() as u64,
            u64::from(database),
            u64::from(table),
            u64::from(file),
            known.changed as u64,
            known.stored as u64,
            u64::from(known.pages),
            known.page_bytes as u64,
            known.foreign,
            known.odd_amounts,
            followed,
            columns.next_row,
            columns.dropped_until.unwrap_or(i64::MIN) as u64,
        ] {
            self.number(number)?;
        }
        self.list(known.seen.words())?;
        self.list(pieces)?;
        for dictionary in columns.dictionaries() {
            let names: Vec<u64> = dictionary.names().map(|name| name.len() as u64).collect();
            self.list(&names)?;
            for name in dictionary.names() {
                self.bytes(name.as_bytes())?;
            }
        }
        self.list(columns.kinds())?;
        let (places, coordinates) = columns.places();
        self.list(places)?;
        let degrees = |one: &Coordinates| [one.latitude.unwrap_or(f64::NAN), one.longitude.unwrap_or(f64::NAN)];
        self.list(&coordinates.iter().map(degrees).collect::<Vec<[f64; 2]>>())?;
        self.number(columns.blocks.len() as u64)?;
        for block in &columns.blocks {
            for number in [block.start, block.first as u64, block.last as u64, block.untimed as u64] {
                self.number(number)?;
            }
            self.list(&block.time)?;
            match &block.amount {
                Amounts::Narrow(cents) => self.number(0).and_then(|()| self.list(cents))?,
                Amounts::Wide(cents) => self.number(1).and_then(|()| self.list(cents))?,
            }
            for codes in &block.codes {
                match codes {
                    Codes::Byte(codes) => self.number(0).and_then(|()| self.list(codes))?,
                    Codes::Short(codes) => self.number(1).and_then(|()| self.list(codes))?,
                    Codes::Long(codes) => self.number(2).and_then(|()| self.list(codes))?,
                }
            }
        }
        let sum = self.sum.sum();
        self.file.write_all(&sum.to_ne_bytes())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }
}

/// Every step is None where the bytes end too early; the checksum has vouched for what they say.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.take(8)?.try_into().ok()?))
    }

    fn list<T: bytemuck::Pod>(&mut self) -> Option<Vec<T>> {
        let len = usize::try_from(self.number()?).ok()?;
        let bytes = self.take(len.checked_mul(size_of::<T>())?)?;
        Some(bytemuck::allocation::pod_collect_to_vec(bytes))
    }

    fn all(&mut self) -> Option<Saved> {
        if self.number()? != MAGIC {
            return None;
        }
        let has_system = self.number()? == 1;
        let mut number = || self.number();
        let identity = Identity {
            system: Some(number()? as i64).filter(|_| has_system),
            database: number()? as u32,
            table: number()? as u32,
            file: number()? as u32,
        };
        let (changed, stored, pages, page_bytes) =
            (number()? as i64, number()? as i64, number()? as u32, number()? as usize);
        let (foreign, odd_amounts, followed, next_row) = (number()?, number()?, number()?, number()?);
        let dropped_until = Some(number()? as i64).filter(|time| *time != i64::MIN);
        let seen = Seen::restore(page_bytes, self.list()?);
        let pieces = self.list()?;
        let mut columns = Columns::default();
        (columns.next_row, columns.dropped_until) = (next_row, dropped_until);
        for attribute in 0..ATTRIBUTES {
            for len in self.list::<u64>()? {
                let name = std::str::from_utf8(self.take(usize::try_from(len).ok()?)?).ok()?;
                columns.push_name(attribute, name);
            }
        }
        for parts in self.list::<[u32; 6]>()? {
            columns.push_kind(parts);
        }
        let (places, degrees) = (self.list::<[u32; 2]>()?, self.list::<[f64; 2]>()?);
        let known = |degrees: f64| Some(degrees).filter(|degrees| degrees.is_finite());
        for (parts, [latitude, longitude]) in places.into_iter().zip(degrees) {
            columns.push_place(parts, Coordinates { latitude: known(latitude), longitude: known(longitude) });
        }
        for _ in 0..self.number()? {
            let block = self.block()?;
            columns.push_block(block);
        }
        let known = Known { identity, changed, stored, pages, page_bytes, seen, foreign, odd_amounts };
        Some(Saved { known, columns, pieces, followed })
    }

    fn block(&mut self) -> Option<Block> {
        let start = self.number()?;
        let (first, last) = (self.number()? as i64, self.number()? as i64);
        let untimed = self.number()? as usize;
        let time = self.list()?;
        let amount = match self.number()? {
            0 => Amounts::Narrow(self.list()?),
            _ => Amounts::Wide(self.list()?),
        };
        let mut codes = Vec::with_capacity(COLUMNS);
        for _ in 0..COLUMNS {
            codes.push(match self.number()? {
                0 => Codes::Byte(self.list()?),
                1 => Codes::Short(self.list()?),
                _ => Codes::Long(self.list()?),
            });
        }
        Some(Block { start, time, amount, codes: codes.try_into().ok()?, first, last, untimed })
    }
}
