//! Stores the codes and amounts of a block. Those of a full block are stored as narrow as possible.

use std::ops::Range;

/// The value of an absent time and of an absent amount.
pub const ABSENT: i64 = i64::MIN;
/// The number of microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// The number of microseconds in a day.
pub const DAY: i64 = 86_400 * SECOND;
/// The limit of times, in microseconds before and after 1970: 73,000 years. Times beyond count as absent.
pub const FAR: i64 = 1 << 61;

/// Holds the codes of a column of a block.
#[derive(Debug)]
pub enum Codes {
    /// The codes of a sealed block with none above 255.
    Byte(Vec<u8>),
    /// The codes of a sealed block with none above 65,535.
    Short(Vec<u16>),
    /// The codes of a block that is not sealed, and of a sealed one with larger codes.
    Long(Vec<u32>),
}

/// Runs an expression with the codes as a vector of their width.
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

    /// Returns the code of a row.
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

    /// Returns the largest code; None if there are no rows.
    pub(crate) fn max(&self) -> Option<u32> {
        match self {
            Self::Byte(codes) => codes.iter().max().map(|code| u32::from(*code)),
            Self::Short(codes) => codes.iter().max().map(|code| u32::from(*code)),
            Self::Long(codes) => codes.iter().max().copied(),
        }
    }

    /// Replaces the content of `out` by the codes of consecutive rows.
    pub fn copy(&self, rows: Range<usize>, out: &mut Vec<u32>) {
        out.clear();
        match self {
            Self::Byte(codes) => out.extend(codes[rows].iter().map(|code| u32::from(*code))),
            Self::Short(codes) => out.extend(codes[rows].iter().map(|code| u32::from(*code))),
            Self::Long(codes) => out.extend_from_slice(&codes[rows]),
        }
    }

    /// Replaces the content of `out` by the codes of the given rows.
    pub fn gather(&self, rows: &[u16], out: &mut Vec<u32>) {
        out.clear();
        let rows = rows.iter().map(|row| usize::from(*row));
        match self {
            Self::Byte(codes) => out.extend(rows.map(|row| u32::from(codes[row]))),
            Self::Short(codes) => out.extend(rows.map(|row| u32::from(codes[row]))),
            Self::Long(codes) => out.extend(rows.map(|row| codes[row])),
        }
    }

    /// Replaces each code by its new code, which must not be greater: it has to fit the same width.
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

/// Holds the amounts of a block, in cents.
#[derive(Debug)]
pub enum Amounts {
    /// The amounts of a sealed block, if all fit 32 bits. `i32::MIN` is an absent amount.
    Narrow(Vec<i32>),
    /// The amounts of a block that is not sealed, and of a sealed one with larger amounts. [`ABSENT`] is an absent
    /// amount.
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

    /// Returns the amount of a row, or [`ABSENT`].
    pub fn get(&self, row: usize) -> i64 {
        match self {
            Self::Narrow(cents) => widened(cents[row]),
            Self::Wide(cents) => cents[row],
        }
    }

    /// Replaces the content of `out` by the amounts of the given rows.
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
