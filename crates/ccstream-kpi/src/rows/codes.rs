//! A block's codes and amounts, as narrow as they fit once it takes no more rows.

use std::ops::Range;

/// The time of a row without one, and the cents of one without an amount.
pub const ABSENT: i64 = i64::MIN;
/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of a day.
pub const DAY: i64 = 86_400 * SECOND;
/// Times this many microseconds and more from 1970 are none: 73,000 years.
pub const FAR: i64 = 1 << 61;

/// The codes of a block's column, as narrow as they fit.
#[derive(Debug)]
pub enum Codes {
    /// None above 255.
    Byte(Vec<u8>),
    /// None above 65,535.
    Short(Vec<u16>),
    /// Any; of a block that still takes rows.
    Long(Vec<u32>),
}

/// Runs the same code for each width of codes.
macro_rules! with_codes {
    ($codes:expr, $values:ident => $run:expr) => {
        match $codes {
            $crate::rows::codes::Codes::Byte($values) => $run,
            $crate::rows::codes::Codes::Short($values) => $run,
            $crate::rows::codes::Codes::Long($values) => $run,
        }
    };
}
pub(crate) use with_codes;

impl Codes {
    pub(crate) fn push(&mut self, code: u32) {
        match self {
            Self::Long(codes) => codes.push(code),
            Self::Byte(_) | Self::Short(_) => unreachable!("a sealed block takes no more rows"),
        }
    }

    /// Of one row.
    pub fn get(&self, row: usize) -> u32 {
        match self {
            Self::Byte(codes) => u32::from(codes[row]),
            Self::Short(codes) => u32::from(codes[row]),
            Self::Long(codes) => codes[row],
        }
    }

    pub(crate) fn len(&self) -> usize {
        with_codes!(self, codes => codes.len())
    }

    /// The greatest.
    pub(crate) fn max(&self) -> Option<u32> {
        match self {
            Self::Byte(codes) => codes.iter().max().map(|code| u32::from(*code)),
            Self::Short(codes) => codes.iter().max().map(|code| u32::from(*code)),
            Self::Long(codes) => codes.iter().max().copied(),
        }
    }

    /// Of a run of rows, in place of what `out` holds.
    pub fn copy(&self, rows: Range<usize>, out: &mut Vec<u32>) {
        out.clear();
        match self {
            Self::Byte(codes) => out.extend(codes[rows].iter().map(|code| u32::from(*code))),
            Self::Short(codes) => out.extend(codes[rows].iter().map(|code| u32::from(*code))),
            Self::Long(codes) => out.extend_from_slice(&codes[rows]),
        }
    }

    /// Of some rows, in place of what `out` holds.
    pub fn gather(&self, rows: &[u16], out: &mut Vec<u32>) {
        out.clear();
        let rows = rows.iter().map(|row| usize::from(*row));
        match self {
            Self::Byte(codes) => out.extend(rows.map(|row| u32::from(codes[row]))),
            Self::Short(codes) => out.extend(rows.map(|row| u32::from(codes[row]))),
            Self::Long(codes) => out.extend(rows.map(|row| codes[row])),
        }
    }

    /// Puts other codes in place of these; none is greater than the one before it.
    pub(crate) fn recode(&mut self, new: &[u32]) {
        match self {
            Self::Byte(codes) => codes.iter_mut().for_each(|code| *code = new[usize::from(*code)] as u8),
            Self::Short(codes) => codes.iter_mut().for_each(|code| *code = new[usize::from(*code)] as u16),
            Self::Long(codes) => codes.iter_mut().for_each(|code| *code = new[*code as usize]),
        }
    }

    pub(crate) fn seal(&mut self) {
        let Self::Long(codes) = self else { return };
        let max = codes.iter().copied().max().unwrap_or_default();
        if u8::try_from(max).is_ok() {
            *self = Self::Byte(codes.iter().map(|code| *code as u8).collect());
        } else if u16::try_from(max).is_ok() {
            *self = Self::Short(codes.iter().map(|code| *code as u16).collect());
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Byte(codes) => codes.capacity(),
            Self::Short(codes) => codes.capacity() * 2,
            Self::Long(codes) => codes.capacity() * 4,
        }
    }
}

/// Amounts in cents; a sealed block's are narrow where they fit, and then hold `i32::MIN` for [`ABSENT`].
#[derive(Debug)]
pub enum Amounts {
    /// All fit 32 bits.
    Narrow(Vec<i32>),
    /// Any; of a block that still takes rows.
    Wide(Vec<i64>),
}

impl Amounts {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Narrow(cents) => cents.len(),
            Self::Wide(cents) => cents.len(),
        }
    }

    pub(crate) fn push(&mut self, amount: i64) {
        match self {
            Self::Wide(cents) => cents.push(amount),
            Self::Narrow(_) => unreachable!("a sealed block takes no more rows"),
        }
    }

    /// Of one row.
    pub fn get(&self, row: usize) -> i64 {
        match self {
            Self::Narrow(cents) => widened(cents[row]),
            Self::Wide(cents) => cents[row],
        }
    }

    /// Of some rows, in place of what `out` holds.
    pub fn gather(&self, rows: &[u16], out: &mut Vec<i64>) {
        out.clear();
        let rows = rows.iter().map(|row| usize::from(*row));
        match self {
            Self::Narrow(cents) => out.extend(rows.map(|row| widened(cents[row]))),
            Self::Wide(cents) => out.extend(rows.map(|row| cents[row])),
        }
    }

    pub(crate) fn seal(&mut self) {
        let Self::Wide(cents) = self else { return };
        let fits = |cents: &i64| *cents == ABSENT || (*cents > i64::from(i32::MIN) && *cents <= i64::from(i32::MAX));
        if cents.iter().all(fits) {
            let narrow = |cents: &i64| i32::try_from(*cents).unwrap_or(i32::MIN);
            *self = Self::Narrow(cents.iter().map(narrow).collect());
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Narrow(cents) => cents.capacity() * 4,
            Self::Wide(cents) => cents.capacity() * 8,
        }
    }
}

fn widened(cents: i32) -> i64 {
    if cents == i32::MIN { ABSENT } else { i64::from(cents) }
}
