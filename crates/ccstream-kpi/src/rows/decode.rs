//! Rows of `orders` out of PostgreSQL's binary COPY.

use super::attribute::{Attribute, KINDS, PLACES};
use super::block::CodedColumn;
use super::codes::ABSENT;
use super::codes::FAR;
use super::columns::OrderRow;
use ccstream_core::binary::{COPY_HEADER, POSTGRES_EPOCH};
use ccstream_core::error::{Error, Result};

/// What is read of every row, before its place and its kind.
const SINGLE: [&str; 8] =
    ["ctid", "kafka_partition", "timestamp", "value", "latitude", "longitude", "merchant", "card_token"];
const FIELDS: i16 = (SINGLE.len() + PLACES + KINDS) as i16;

/// What is read of `orders`, in this order: what goes into a column of the engine together lies together.
pub fn selection() -> String {
    let coded = |column| Attribute::coded_in(column).map(|attribute| attribute.definition().column);
    let all = SINGLE.into_iter().chain(coded(CodedColumn::Place)).chain(coded(CodedColumn::Kind));
    all.collect::<Vec<_>>().join(", ")
}

/// A billion units: ten times what `NUMERIC(10,2)` holds, and ninety million of them can be added up.
const MOST_CENTS: i64 = 100_000_000_000;

/// A row with where it lies.
#[derive(Debug, Clone, Copy)]
pub struct LocatedRow<'a> {
    /// Page and place in it: PostgreSQL's `ctid`.
    pub page: u32,
    /// See `page`.
    pub place: u16,
    /// It came from Kafka: another program's rows name no partition.
    pub ours: bool,
    /// What it holds.
    pub row: OrderRow<'a>,
    /// All of its bytes, as they came.
    pub raw: &'a [u8],
    /// It has an amount that is no number of cents; it counts as one without.
    pub odd_amount: bool,
}

/// Bytes of one COPY that arrive in pieces; PostgreSQL sends one row in each, but does not promise to.
#[derive(Debug, Default)]
pub struct Decoder {
    rest: Vec<u8>,
    begun: bool,
}

impl Decoder {
    /// For the bytes of rows alone.
    pub fn of_rows() -> Self {
        Self { rest: Vec::new(), begun: true }
    }

    /// Hands over every row that is complete. Errors: not the COPY that was asked for.
    pub fn feed<E: From<Error>>(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(LocatedRow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let owned;
        let mut input = if self.rest.is_empty() {
            bytes
        } else {
            self.rest.extend_from_slice(bytes);
            owned = std::mem::take(&mut self.rest);
            &owned
        };
        if !self.begun {
            if input.len() < COPY_HEADER.len() {
                self.rest = input.to_vec();
                return Ok(());
            }
            input = input.strip_prefix(COPY_HEADER).ok_or_else(|| strange("it has another header"))?;
            self.begun = true;
        }
        while !input.is_empty() {
            let mut reader = RowReader { input };
            match reader.row()? {
                Decoded::Row(found) => take(found)?,
                Decoded::End => return Ok(()),
                Decoded::More => break,
            }
            input = reader.input;
        }
        self.rest = input.to_vec();
        Ok(())
    }
}

/// An error for bytes that are not the COPY that was asked for.
pub fn strange(what: &str) -> Error {
    Error::Inconsistent(format!("a COPY of orders cannot be read: {what}"))
}

#[allow(clippy::large_enum_variant, reason = "a row lives for one call")]
enum Decoded<'a> {
    Row(LocatedRow<'a>),
    End,
    More,
}

struct RowReader<'a> {
    input: &'a [u8],
}

impl<'a> RowReader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.input.split_at_checked(len)?;
        self.input = rest;
        Some(taken)
    }

    #[allow(clippy::option_option, reason = "not all there, and NULL")]
    /// The next field; the outer None where it is not all there, the inner one for NULL.
    fn field(&mut self) -> Option<Option<&'a [u8]>> {
        let len = i32::from_be_bytes(self.take(4)?.try_into().ok()?);
        if len < 0 { Some(None) } else { self.take(len as usize).map(Some) }
    }

    /// The bytes of so many fields; None where they are not all there.
    fn fields(&mut self, count: usize) -> Option<&'a [u8]> {
        let whole = self.input;
        for _ in 0..count {
            self.field()?;
        }
        Some(&whole[..whole.len() - self.input.len()])
    }

    fn row(&mut self) -> Result<Decoded<'a>> {
        let whole = self.input;
        let Some(count) = self.take(2) else { return Ok(Decoded::More) };
        match i16::from_be_bytes([count[0], count[1]]) {
            FIELDS => {}
            -1 => return Ok(Decoded::End),
            _ => return Err(strange("it has another number of columns")),
        }
        let mut single = [None; SINGLE.len()];
        for field in &mut single {
            let Some(found) = self.field() else { return Ok(Decoded::More) };
            *field = found;
        }
        let (Some(place), Some(kind)) = (self.fields(PLACES), self.fields(KINDS)) else { return Ok(Decoded::More) };
        let [ctid, partition, time, value, latitude, longitude, merchant, card] = single;
        let ctid: [u8; 6] = ctid.and_then(|ctid| ctid.try_into().ok()).ok_or_else(|| strange("a row has no place"))?;
        let cents = value.map(cents_of).transpose()?;
        Ok(Decoded::Row(LocatedRow {
            page: u32::from_be_bytes([ctid[0], ctid[1], ctid[2], ctid[3]]),
            place: u16::from_be_bytes([ctid[4], ctid[5]]),
            ours: partition.is_some(),
            odd_amount: cents == Some(None),
            raw: &whole[..whole.len() - self.input.len()],
            row: OrderRow {
                time: time.map(time_of).transpose()?.unwrap_or(ABSENT),
                cents: cents.flatten().unwrap_or(ABSENT),
                latitude: degrees(latitude),
                longitude: degrees(longitude),
                merchant,
                card,
                place,
                kind,
            },
        }))
    }
}

fn degrees(field: Option<&[u8]>) -> Option<f64> {
    Some(f64::from_be_bytes(field?.try_into().ok()?)).filter(|degrees| degrees.is_finite())
}

/// Microseconds since 1970; [`ABSENT`] for PostgreSQL's infinities, and what is as far away as to be none.
fn time_of(field: &[u8]) -> Result<i64> {
    let micros = i64::from_be_bytes(field.try_into().map_err(|_| strange("a timestamp is not eight bytes"))?);
    let micros = micros.saturating_add(POSTGRES_EPOCH);
    Ok(if (-FAR..FAR).contains(&micros) { micros } else { ABSENT })
}

/// The cents of a NUMERIC, rounded half away from zero as `::numeric(10,2)` does; None for one that is no
/// number, or so great that sums of them may not fit 64 bits (`numeric_send` in PostgreSQL's numeric.c: base-10,000 digits).
fn cents_of(field: &[u8]) -> Result<Option<i64>> {
    let word = |at: usize| field.get(at * 2..at * 2 + 2).map(|two| i16::from_be_bytes([two[0], two[1]]));
    let (Some(count), Some(weight), Some(sign)) = (word(0), word(1), word(2)) else {
        return Err(strange("a number is too short"));
    };
    let negative = match sign as u16 {
        0 => false,
        0x4000 => true,
        _ => return Ok(None),
    };
    let mut ten_thousandths: i128 = 0;
    for at in 0..count {
        let digit = word(4 + at as usize).ok_or_else(|| strange("a number is too short"))?;
        let exponent = i32::from(weight) - i32::from(at) + 1;
        if exponent > 6 {
            return Ok(None);
        }
        if exponent < 0 {
            // Half a cent is 50 ten-thousandths: what is below them cannot change the rounding.
            continue;
        }
        ten_thousandths += i128::from(digit) * 10_000i128.pow(exponent as u32);
    }
    let cents = (ten_thousandths + 50) / 100;
    Ok(i64::try_from(if negative { -cents } else { cents }).ok().filter(|cents| cents.abs() <= MOST_CENTS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccstream_core::binary::push_numeric;

    #[test]
    fn numbers() {
        for cents in [0, 1, -1, 99, 100, 12_345, -12_345, 1_000_000, 999_999, 9_999_999_999, -9_999_999_999] {
            let mut bytes = Vec::new();
            push_numeric(cents, &mut bytes);
            assert_eq!(cents_of(&bytes[4..]).unwrap(), Some(cents));
        }
        let number = |weight: i16, sign: u16, digits: &[i16]| {
            let mut bytes = Vec::new();
            for word in [digits.len() as i16, weight, sign as i16, 6].iter().chain(digits) {
                bytes.extend_from_slice(&word.to_be_bytes());
            }
            cents_of(&bytes).unwrap()
        };
        assert_eq!(number(0, 0, &[1, 2350]), Some(124), "1.2350");
        assert_eq!(number(0, 0, &[1, 2349, 9999]), Some(123), "1.23499999");
        assert_eq!(number(0, 0x4000, &[1, 2350]), Some(-124), "-1.2350");
        assert_eq!(number(0, 0xC000, &[]), None, "NaN");
        assert_eq!(number(40, 0, &[1]), None, "1e160");
        assert_eq!(number(2, 0, &[10]), Some(MOST_CENTS), "a billion");
        assert_eq!(number(2, 0x4000, &[10, 0, 0, 100]), None, "a billion and a cent");
        assert!(cents_of(&[0, 1, 0]).is_err());
    }

    #[test]
    fn times() {
        let time = |micros: i64| time_of(&micros.to_be_bytes()).unwrap();
        assert_eq!(time(-POSTGRES_EPOCH), 0);
        assert_eq!(time(FAR - 1 - POSTGRES_EPOCH), FAR - 1);
        for absent in [i64::MAX, i64::MIN, FAR - POSTGRES_EPOCH, -FAR - 1 - POSTGRES_EPOCH] {
            assert_eq!(time(absent), ABSENT);
        }
        assert!(time_of(&[0]).is_err());
    }

    #[test]
    fn rows_in_pieces_of_any_size() {
        let mut bytes = COPY_HEADER.to_vec();
        for n in 0..3u8 {
            bytes.extend_from_slice(&FIELDS.to_be_bytes());
            let mut fields: Vec<Option<Vec<u8>>> = vec![None; FIELDS as usize];
            fields[0] = Some(vec![0, 0, 0, n, 0, 9]);
            fields[1] = (n == 1).then(|| vec![0, 0, 0, 1]);
            fields[2] = Some((i64::from(n) - POSTGRES_EPOCH).to_be_bytes().to_vec());
            fields[6] = Some("Bücher".into());
            fields[FIELDS as usize - 1] = Some(vec![n]);
            for field in fields {
                match field {
                    None => bytes.extend_from_slice(&(-1i32).to_be_bytes()),
                    Some(value) => {
                        bytes.extend_from_slice(&(value.len() as i32).to_be_bytes());
                        bytes.extend_from_slice(&value);
                    }
                }
            }
        }
        bytes.extend_from_slice(&(-1i16).to_be_bytes());
        for size in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for piece in bytes.chunks(size) {
                let take = |found: LocatedRow<'_>| {
                    let row = found.row;
                    let merchant = row.merchant.map(<[u8]>::to_vec);
                    seen.push((found.page, found.place, found.ours, row.time, merchant, row.kind.last().copied()));
                    assert_eq!((row.cents, row.card, row.place), (ABSENT, None, [255; 8].as_slice()));
                    assert_eq!(row.kind.len(), 4 * KINDS + 1);
                    Ok(())
                };
                decoder.feed::<Error>(piece, take).unwrap();
            }
            let row = |n: u8| (u32::from(n), 9, n == 1, i64::from(n), Some("Bücher".into()), Some(n));
            assert_eq!(seen, [row(0), row(1), row(2)], "in pieces of {size}");
        }
        assert!(Decoder::default().feed::<Error>(&[7; 40], |_| Ok(())).is_err());
    }
}
