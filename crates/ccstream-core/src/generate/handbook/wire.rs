//! Encodes the Handbook's transactions as messages.
//!
//! Only the id, the time, the customer, the terminal and the amount differ between messages. All messages have the same
//! fields in the same order, and the same length, so nothing but these values can distinguish frauds.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::HandbookTransaction;
use crate::json::{push_hundredths, push_timestamp};
use crate::record::Record;
use crate::units::{Cents, Micros};

/// Encodes transactions, and gives them ids.
///
/// ```
/// use ccstream_core::event::Micros;
/// use ccstream_core::generate::handbook::{Handbook, Settings, Writer};
/// use ccstream_core::record::Record;
/// let (mut writer, mut record) = (Writer::new(7), Record::default());
/// let mut handbook = Handbook::new(7, Micros(0), &Settings::default()).unwrap();
/// writer.write(&handbook.next().unwrap(), &mut record);
/// assert!(record.payload.starts_with(b"{\"transaction_id\":\""));
/// assert_eq!(record.key.unwrap().len(), "hb_c0000000".len());
/// ```
#[derive(Debug)]
pub struct Writer {
    rng: ChaCha8Rng,
    /// The length of every payload, which is that of the longest amount.
    length: usize,
}

impl Writer {
    /// Creates a writer. Writers with equal seeds give equal ids to equal transactions.
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(super::IDS_STREAM);
        let longest = HandbookTransaction {
            time: Micros(0),
            cents: Cents::MAX,
            customer: 0,
            terminal: 0,
            scenario: None,
            campaign: None,
        };
        let mut payload = Vec::new();
        push_fields(&longest, &id(&longest, 0), &token(0), &mut payload);
        Self { rng, length: payload.len() + 1 }
    }

    /// Writes a transaction's key, which is its card token, and its payload. Returns the transaction's id.
    pub fn write(&mut self, transaction: &HandbookTransaction, record: &mut Record) -> String {
        let id = id(transaction, self.rng.next_u64());
        let token = token(transaction.customer);
        record.payload.clear();
        push_fields(transaction, &id, &token, &mut record.payload);
        // JSON allows blanks before the closing brace.
        record.payload.resize(self.length - 1, b' ');
        record.payload.push(b'}');
        record.key = Some(token.into_bytes());
        id
    }
}

/// Returns a UUIDv7 with random bits, whose 12 bits after the milliseconds are the fraction of one (RFC 9562, section
/// 6.2, method 3), so that ids are in the order of their times.
fn id(transaction: &HandbookTransaction, random: u64) -> String {
    let micros = transaction.time.0 as u64;
    let fraction = (micros % 1000 * 4096 / 1000) as u16;
    let mut rest = [0; 10];
    rest[..2].copy_from_slice(&fraction.to_be_bytes());
    rest[2..].copy_from_slice(&random.to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(micros / 1000, &rest).into_uuid().hyphenated().to_string()
}

fn token(customer: u32) -> String {
    format!("hb_c{customer:07}")
}

/// Appends the fields, in the order of every message of ccstream, without the closing brace.
fn push_fields(transaction: &HandbookTransaction, id: &str, token: &str, out: &mut Vec<u8>) {
    let HandbookTransaction { time, cents, customer, terminal, .. } = *transaction;
    out.extend_from_slice(format!(r#"{{"transaction_id":"{id}","timestamp":"#).as_bytes());
    push_timestamp(time, out);
    let last4 = customer % 10_000;
    let card = format!(r#","card_token":"{token}","card_last4":"{last4:04}","merchant":"Terminal {terminal:07}""#);
    out.extend_from_slice(card.as_bytes());
    out.extend_from_slice(CATEGORY_TO_AMOUNT);
    push_hundredths(cents.0, out);
    out.extend_from_slice(CURRENCY_TO_TERMINAL);
    out.extend_from_slice(format!(r#""T{terminal:07}""#).as_bytes());
}

/// The constant fields between the merchant and the amount.
const CATEGORY_TO_AMOUNT: &[u8] = concat!(
    r#","mcc":"5311","category":"shopping_pos","location":"New York","country":"US""#,
    r#","latitude":40.71,"longitude":-74.01,"amount":"#
)
.as_bytes();
/// The constant fields between the amount and the terminal.
const CURRENCY_TO_TERMINAL: &[u8] = concat!(
    r#","currency":"USD","discount":0.00,"payment_method":"visa","entry_mode":"chip""#,
    r#","status":"approved","response_code":"00","risk_flag":false,"terminal_id":"#
)
.as_bytes();
