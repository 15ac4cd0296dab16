//! Represents a message to be sent to Kafka, whether it is generated, read from a file, or re-sent.

/// Holds the key and the payload of a message.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Record {
    /// The card token; None if the transaction has none.
    pub key: Option<Vec<u8>>,
    /// The JSON text.
    pub payload: Vec<u8>,
    /// Whether the payload is null, which Kafka takes as a mark of deletion; `payload` is empty then.
    pub is_tombstone: bool,
}
