//! Writes and reads the numbers of a snapshot, lowest byte first.

use ccstream_core::event::Micros;

/// Says why bytes are no snapshot of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes end too early.
    #[error("the snapshot of a bucket ends too early")]
    Short,
    /// Bytes follow after the last entry.
    #[error("the snapshot of a bucket has bytes after its end")]
    Long,
    /// The bytes do not begin as a snapshot of a bucket does.
    #[error("this is not the snapshot of a bucket")]
    Magic,
    /// The features had other definitions when the snapshot was written.
    #[error("the snapshot is of features of version {0:016x}, not of this version; rebuild the state from the events")]
    Version(u64),
    /// The snapshot is of another bucket.
    #[error("the snapshot is of another bucket")]
    Bucket,
    /// A value cannot be part of a state.
    #[error("the snapshot of a bucket has an invalid {0}")]
    Value(&'static str),
}

pub(crate) type Result<T> = std::result::Result<T, SnapshotError>;

/// Reads numbers from bytes.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

macro_rules! numbers {
    ($($name:ident: $type:ty),+) => {
        impl Reader<'_> {
            $(pub(crate) fn $name(&mut self) -> Result<$type> {
                let (bytes, rest) = self.0.split_first_chunk().ok_or(SnapshotError::Short)?;
                self.0 = rest;
                Ok(<$type>::from_le_bytes(*bytes))
            })+
        }

        $(impl Number for $type {
            fn push(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        })+
    };
}

/// A number that can be written.
pub(crate) trait Number {
    fn push(self, out: &mut Vec<u8>);
}

numbers!(u8: u8, i8: i8, u16: u16, i16: i16, u32: u32, i32: i32, u64: u64, i64: i64, f32: f32, f64: f64);

impl Reader<'_> {
    /// Reads the time of the newest transaction: a valid timestamp, or `i64::MIN` for none.
    pub(crate) fn time(&mut self) -> Result<i64> {
        check(self.i64()?, |time| time == i64::MIN || (0..=Micros::END.0).contains(&time), "time")
    }

    /// Reads a number that must be finite.
    pub(crate) fn finite(&mut self, name: &'static str) -> Result<f64> {
        check(self.f64()?, f64::is_finite, name)
    }

    /// Reads a number that must be finite and at least 0.
    pub(crate) fn positive(&mut self, name: &'static str) -> Result<f32> {
        check(self.f32()?, |value| value.is_finite() && value >= 0.0, name)
    }
}

/// Returns a value if it is valid.
pub(crate) fn check<T: Copy>(value: T, is_valid: impl Fn(T) -> bool, name: &'static str) -> Result<T> {
    if is_valid(value) { Ok(value) } else { Err(SnapshotError::Value(name)) }
}
