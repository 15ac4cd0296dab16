//! Where payloads come from: the generator or a file.

use crate::error::Result;
use ccstream_core::codec::Encoder;
use ccstream_core::fields::Place;
use ccstream_core::generate::{Clock, Generator};
use ccstream_core::record::Record;
use ccstream_core::replay::Replay;
use ccstream_core::settings::{EventSource, ProducerConfig};

/// Where payloads come from, one after the other.
pub(crate) enum Payloads {
    Generated { generator: Box<Generator>, encoder: Encoder },
    Replayed(Box<Replay>),
}

impl Payloads {
    pub(crate) fn open(config: &ProducerConfig) -> Result<Self> {
        Ok(match config.source() {
            EventSource::Generate { seed, start_time } => {
                let clock = start_time.map_or(Clock::Now, Clock::From);
                let generator = Generator::new(seed.unwrap_or_else(rand::random), clock, config.rate);
                Self::Generated { generator: Box::new(generator), encoder: Encoder::new() }
            }
            EventSource::Replay(replay) => Self::Replayed(Box::new(Replay::open(&replay)?)),
        })
    }

    /// Makes the next event the one in `event`; false at the end.
    pub(crate) fn next(&mut self, event: &mut Record) -> Result<bool> {
        match self {
            Self::Generated { generator, encoder } => {
                let transaction = generator.next_transaction();
                event.payload.clear();
                encoder.encode(&transaction, &mut event.payload);
                let key = event.key.get_or_insert_default();
                key.clear();
                key.extend_from_slice(transaction.text(Place::CARD_TOKEN).unwrap_or_default().as_bytes());
                Ok(true)
            }
            Self::Replayed(replay) => Ok(replay.next_event()?.map(|next| *event = next).is_some()),
        }
    }
}
