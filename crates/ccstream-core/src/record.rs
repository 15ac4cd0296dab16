//! A message on its way to Kafka, from whatever source: generated, replayed from a file, or re-sent.

/// A key and a payload.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Record {
    /// The card token, if there is one.
    pub key: Option<Vec<u8>>,
    /// The JSON.
    pub payload: Vec<u8>,
}
