//! The column file keeps the engine's rows, so that a restart reads only the rows that came since. It is only usable
//! for the same table, whose identity is in the file, and on a processor of the same byte order. Otherwise the whole
//! table is read again.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use flate2::Crc;

use super::follow::Known;
use super::search::Spots;
use super::seen::{Pages, Seen};
use super::snapshot::Identity;
use crate::error::{Error, Result};
use ccstream_kpi::rows::attribute::{Attribute, FINGERPRINT, KINDS, PLACES};
use ccstream_kpi::rows::block::{Block, COLUMNS};
use ccstream_kpi::rows::codes::{Amounts, Codes};
use ccstream_kpi::rows::columns::{Columns, Coordinates};

/// Identifies the file's format. It changes with the version, which is in the last byte, and with the attributes.
const MAGIC: u64 = u64::from_be_bytes(*b"cckpi\0\0\x05") ^ FINGERPRINT;

/// Holds what a file contains.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) known: Known,
    pub(crate) columns: Columns,
    /// The time of the snapshot that the rows are from, in microseconds since 1970 UTC.
    pub(crate) at: i64,
    /// The number of the first row of each piece of the last full reading.
    pub(crate) pieces: Vec<u64>,
    /// The number of the first row that came by following.
    pub(crate) followed: u64,
}

/// Writes the file, which only its owner can read. The previous file is replaced once the new one is complete.
///
/// Errors: the file cannot be written.
pub(crate) fn write(
    path: &Path,
    known: &Known,
    columns: &Columns,
    at: i64,
    pieces: &[u64],
    followed: u64,
) -> Result<()> {
    let refuse = |error: std::io::Error| broken(path, &format!("it cannot be written: {error}"));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(refuse)?;
    }
    // The temporary file has a random name: another engine may be writing the same file, and nobody else can have
    // created a file at a name that they cannot guess.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}", rand::random::<u64>()));
    let new = Path::new(&name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(new).map_err(refuse)?;
    let mut out = ColumnFileWriter { file: BufWriter::with_capacity(1 << 20, file), sum: Crc::new() };
    let written = out.all(known, columns, at, pieces, followed).and_then(|()| fs::rename(new, path));
    written.map_err(|error| {
        let _ = fs::remove_file(new);
        refuse(error)
    })
}

/// Reads the file; None if there is none.
///
/// Errors: the file cannot be read, is damaged or of another version, or users other than its owner may write it.
pub(crate) fn read(path: &Path) -> Result<Option<Saved>> {
    let refuse = |error: std::io::Error| broken(path, &format!("it cannot be read: {error}"));
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(error)),
    };
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&file.metadata().map_err(refuse)?) & 0o022 != 0 {
        return Err(broken(path, "other users may write it; run chmod 600 on it"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(refuse)?;
    let damaged = || broken(path, "it is damaged, or of another version");
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
    let mut crc = Crc::new();
    crc.update(body);
    if crc.sum() != u32::from_ne_bytes(*sum) {
        return Err(damaged());
    }
    ColumnFileReader { bytes: body }.all().map(Some).ok_or_else(damaged)
}

/// Returns the error for a file that is not usable.
fn broken(path: &Path, reason: &str) -> Error {
    ccstream_core::Error::File { path: path.display().to_string(), reason: reason.to_owned() }.into()
}

/// Writes a file and computes its checksum.
struct ColumnFileWriter {
    file: BufWriter<fs::File>,
    sum: Crc,
}

impl ColumnFileWriter {
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

    fn all(&mut self, known: &Known, columns: &Columns, at: i64, pieces: &[u64], followed: u64) -> std::io::Result<()> {
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
            known.horizon as u64,
            u64::from(known.pages),
            known.page_bytes as u64,
            known.foreign,
            known.odd_amounts,
            at as u64,
            followed,
            columns.next_row,
            columns.dropped_until.unwrap_or(i64::MIN) as u64,
            columns.folded.iter().rev().fold(0, |bits, folded| bits << 1 | u64::from(*folded)),
        ] {
            self.number(number)?;
        }
        self.number(known.seen.stretches().len() as u64)?;
        for stretch in known.seen.stretches() {
            self.number(u64::from(stretch.is_some()))?;
            if let Some(pages) = stretch {
                self.list(&pages.words)?;
                self.list(&pages.sums)?;
            }
        }
        self.list(pieces)?;
        for names in columns.names() {
            let names: Vec<&str> = names.collect();
            self.list(&names.iter().map(|name| name.len() as u64).collect::<Vec<_>>())?;
            for name in names {
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
            self.number(block.start)?;
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

/// Reads a file's content, whose checksum was verified before. Each method returns None if the bytes end too early or
/// do not fit together.
struct ColumnFileReader<'a> {
    bytes: &'a [u8],
}

impl<'a> ColumnFileReader<'a> {
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
        let (changed, stored, horizon) = (number()? as i64, number()? as i64, number()? as i64);
        let (pages, page_bytes) = (number()? as u32, number()? as usize);
        let (foreign, odd_amounts, at) = (number()?, number()?, number()? as i64);
        let (followed, next_row) = (number()?, number()?);
        let dropped_until = Some(number()? as i64).filter(|time| *time != i64::MIN);
        let folded = self.number()?;
        let mut stretches = Vec::new();
        for _ in 0..self.number()? {
            let pages = |reader: &mut Self| Some(Pages { words: reader.list()?, sums: reader.list()? });
            stretches.push(if self.number()? == 1 { Some(pages(self)?) } else { None });
        }
        let seen = Seen::restore(page_bytes, stretches)?;
        let pieces = self.list()?;
        let mut columns = Columns::default();
        (columns.next_row, columns.dropped_until) = (next_row, dropped_until);
        columns.folded = std::array::from_fn(|at| folded >> at & 1 == 1);
        for attribute in Attribute::all() {
            for len in self.list::<u64>()? {
                let name = std::str::from_utf8(self.take(usize::try_from(len).ok()?)?).ok()?;
                columns.push_name(attribute, name);
            }
        }
        for parts in self.list::<[u32; KINDS]>()? {
            columns.push_kind(parts)?;
        }
        let (places, degrees) = (self.list::<[u32; PLACES]>()?, self.list::<[f64; 2]>()?);
        let known = |degrees: f64| Some(degrees).filter(|degrees| degrees.is_finite());
        for (parts, [latitude, longitude]) in places.into_iter().zip(degrees) {
            columns.push_place(parts, Coordinates { latitude: known(latitude), longitude: known(longitude) })?;
        }
        for _ in 0..self.number()? {
            let block = self.block()?;
            columns.push_block(block)?;
        }
        let spots = Spots::default();
        let known = Known { identity, changed, stored, horizon, pages, page_bytes, seen, spots, foreign, odd_amounts };
        Some(Saved { known, columns, at, pieces, followed })
    }

    fn block(&mut self) -> Option<Block> {
        let start = self.number()?;
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
        Block::restore(start, time, amount, codes.try_into().ok()?)
    }
}
