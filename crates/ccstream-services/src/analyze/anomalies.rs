//! This module watches KPIs while a rule of the kind `anomaly` needs it, and collects what a batch writes about them. It
//! performs no I/O.

use crate::postgres::analysis::{AnomaliesBatch, StoredAnomalies};
use ccstream_analysis::SnapshotError;
use ccstream_analysis::anomalies::{Anomalies as Watched, Dimension, Reading};
use ccstream_analysis::windows::{Facts, Fields};
use ccstream_core::event::Micros;

/// After this number of minutes, the parts of the state are stored.
const STORE_EVERY: usize = 240;
/// A stream is live whose newest transaction is not older than this when it is committed. In one that is not, minutes
/// without transactions are not noticed.
const LIVE: i64 = 10 * 60_000_000;
/// How much longer than usual a transaction may take until it is missed.
const PATIENCE: i64 = 60_000_000;

/// Watches KPIs.
#[derive(Default)]
pub(super) struct Anomalies {
    watched: Option<Watched>,
    readings: Vec<Reading>,
    /// The number of minutes since the parts of the state were stored.
    minutes: usize,
    /// How long after its time the newest transaction was scored; None if the stream is not live.
    delay: Option<i64>,
}

impl Anomalies {
    /// Returns whether KPIs are watched.
    pub(super) fn is_watching(&self) -> bool {
        self.watched.is_some()
    }

    /// Begins to watch, with what is stored. Facts must have `fields`, and all places of [`Watched::places`] among them.
    ///
    /// Errors: what is stored cannot be used.
    pub(super) fn begin(&mut self, fields: &Fields, stored: &StoredAnomalies) -> Result<(), SnapshotError> {
        let mut watched = Watched::new(fields);
        for (part, data) in &stored.parts {
            watched.load(*part as usize, data)?;
        }
        for journal in &stored.journals {
            watched.replay(journal)?;
        }
        // These readings were stored before.
        watched.close_minutes(Micros(i64::MIN));
        if let Some(open) = &stored.open {
            watched.load_open(open)?;
        }
        *self = Self { watched: Some(watched), minutes: stored.journals.len(), ..Self::default() };
        Ok(())
    }

    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Counts a transaction. Returns the readings of the minutes that it has completed.
    pub(super) fn add(&mut self, facts: &Facts, time: Micros) -> &[Reading] {
        let Some(watched) = &mut self.watched else { return &[] };
        watched.event(facts, time);
        self.read(Micros(i64::MIN))
    }

    /// Lets the stream's minutes end by the clock if transactions are missing. Returns the readings of those minutes.
    pub(super) fn tick(&mut self, clock: Micros) -> &[Reading] {
        match self.delay {
            Some(delay) => self.read(Micros(clock.0 - delay - PATIENCE)),
            None => &[],
        }
    }

    fn read(&mut self, watermark: Micros) -> &[Reading] {
        let before = self.readings.len();
        if let Some(watched) = &mut self.watched {
            self.readings.append(&mut watched.close_minutes(watermark));
        }
        &self.readings[before..]
    }

    /// Returns whether there are readings that are not written.
    pub(super) fn has_readings(&self) -> bool {
        !self.readings.is_empty()
    }

    /// Returns what a batch writes. `time` is that of the newest transaction.
    pub(super) fn take_batch(&mut self, time: Option<Micros>, clock: Micros) -> AnomaliesBatch {
        let Some(watched) = &mut self.watched else { return AnomaliesBatch::default() };
        let journals = watched.take_journals();
        self.minutes += journals.len();
        self.delay = time.map(|time| (clock.0 - time.0).max(0)).filter(|delay| *delay < LIVE);
        let mut batch = AnomaliesBatch { journals, open: Some(watched.open_minutes()), ..AnomaliesBatch::default() };
        if self.minutes >= STORE_EVERY {
            self.minutes = 0;
            batch.parts = watched.snapshot().into_iter().map(|(part, data)| (part as i32, data)).collect();
        }
        batch.readings = std::mem::take(&mut self.readings);
        batch.readings.retain(is_stored);
        batch
    }
}

/// Returns whether a reading is stored: those of all transactions and of networks, and what belongs to an anomaly.
fn is_stored(reading: &Reading) -> bool {
    matches!(reading.dimension, Dimension::All | Dimension::Network) || reading.is_anomalous || reading.turn.is_some()
}
