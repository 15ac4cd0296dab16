//! Decodes rows of `orders` from PostgreSQL's binary COPY.

use super::attribute::{Attribute, KINDS, PLACES};
use super::block::CodedColumn;
use super::codes::ABSENT;
use super::codes::FAR;
use super::columns::OrderRow;
use ccstream_core::binary::{COPY_HEADER, POSTGRES_EPOCH};
use ccstream_core::error::{Error, Result};

/// The first columns of every row, before those of its place and its kind.
const SINGLE: [&str; 8] =
    ["ctid", "kafka_partition", "timestamp", "value", "latitude", "longitude", "merchant", "card_token"];
const FIELDS: i16 = (SINGLE.len() + PLACES + KINDS) as i16;

/// Returns the columns to select from `orders`, separated by commas, in the order that the decoder expects. The columns
/// of a composite column are consecutive.
pub fn selection() -> String {
    let coded = |column| Attribute::coded_in(column).map(|attribute| attribute.definition().column);
    let all = SINGLE.into_iter().chain(coded(CodedColumn::Place)).chain(coded(CodedColumn::Kind));
    all.collect::<Vec<_>>().join(", ")
}

/// The maximum amount in cents: a billion units. This is ten times what `NUMERIC(10,2)` holds, and 64 bits hold the sum
/// of ninety million such amounts.
const MOST_CENTS: i64 = 100_000_000_000;

/// Holds a row and its position in the table.
#[derive(Debug, Clone, Copy)]
pub struct LocatedRow<'a> {
    /// The page of the row: the first part of PostgreSQL's `ctid`.
    pub page: u32,
    /// The number of the row in the page: the second part of the `ctid`.
    pub place: u16,
    /// Whether ccstream inserted the row. Rows of other programs have no Kafka partition.
    pub ours: bool,
    /// The values of the row.
    pub row: OrderRow<'a>,
    /// All bytes of the row in the COPY.
    pub raw: &'a [u8],
    /// Whether the amount is not a number of cents within the limit. The row then counts as one without an amount.
    pub odd_amount: bool,
}

/// Decodes the bytes of a COPY, which may arrive in pieces of any size. PostgreSQL sends each row as one piece, but
/// does not guarantee that.
#[derive(Debug, Default)]
pub struct Decoder {
    rest: Vec<u8>,
    begun: bool,
}

impl Decoder {
    /// Creates a decoder for rows without the header of a COPY.
    pub fn of_rows() -> Self {
        Self { rest: Vec::new(), begun: true }
    }

    /// Decodes more bytes and calls `take` with each complete row. Fails if the bytes are not the expected COPY, or if
    /// `take` fails.
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
            input = input.strip_prefix(COPY_HEADER).ok_or_else(|| strange("its header is not as expected"))?;
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

/// Returns an error for bytes that are not the expected COPY; `what` says what is wrong.
pub fn strange(what: &str) -> Error {
    Error::Inconsistent(format!("a COPY of orders cannot be decoded: {what}"))
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

    #[allow(clippy::option_option, reason = "an incomplete field differs from NULL")]
    /// Reads the next field. The outer None means that it is incomplete; the inner one that it is NULL.
    fn field(&mut self) -> Option<Option<&'a [u8]>> {
        let len = i32::from_be_bytes(self.take(4)?.try_into().ok()?);
        if len < 0 { Some(None) } else { self.take(len as usize).map(Some) }
    }

    /// Reads a number of fields and returns their bytes; None if these are incomplete.
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
            _ => return Err(strange("the number of its columns is not as expected")),
        }
        let mut single = [None; SINGLE.len()];
        for field in &mut single {
            let Some(found) = self.field() else { return Ok(Decoded::More) };
            *field = found;
        }
        let (Some(place), Some(kind)) = (self.fields(PLACES), self.fields(KINDS)) else { return Ok(Decoded::More) };
        let [ctid, partition, time, value, latitude, longitude, merchant, card] = single;
        let ctid: [u8; 6] = ctid.and_then(|ctid| ctid.try_into().ok()).ok_or_else(|| strange("a row has no ctid"))?;
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

/// Decodes a timestamp to microseconds since 1970; [`ABSENT`] for PostgreSQL's infinities and for times beyond [`FAR`].
fn time_of(field: &[u8]) -> Result<i64> {
    let micros = i64::from_be_bytes(field.try_into().map_err(|_| strange("a timestamp is not eight bytes"))?);
    let micros = micros.saturating_add(POSTGRES_EPOCH);
    Ok(if (-FAR..FAR).contains(&micros) { micros } else { ABSENT })
}

/// Decodes a NUMERIC to cents, rounded half away from zero as `::numeric(10,2)` does; None if it is not a number or
/// exceeds [`MOST_CENTS`]. The format has base-10,000 digits (`numeric_send` in PostgreSQL's numeric.c).
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
            // Half a cent is 50 ten-thousandths, so smaller digits cannot change the rounding.
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
    fn numerics_are_decoded_to_cents() {
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
    fn timestamps_are_decoded() {
        let time = |micros: i64| time_of(&micros.to_be_bytes()).unwrap();
        assert_eq!(time(-POSTGRES_EPOCH), 0);
        assert_eq!(time(FAR - 1 - POSTGRES_EPOCH), FAR - 1);
        for absent in [i64::MAX, i64::MIN, FAR - POSTGRES_EPOCH, -FAR - 1 - POSTGRES_EPOCH] {
            assert_eq!(time(absent), ABSENT);
        }
        assert!(time_of(&[0]).is_err());
    }

    #[test]
    fn rows_are_decoded_from_pieces_of_any_size() {
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
