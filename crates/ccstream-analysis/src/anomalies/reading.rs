//! Describes what is known of a measure of a series in a window.

use super::measure::{Basis, Dimension, Kpi};

/// What becomes of an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It begins with this window.
    Opened,
    /// It is over, and this window is the first one without it.
    Closed,
}

/// A measure of a series in a window of five minutes.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The dimension of the series.
    pub dimension: Dimension,
    /// The value of the dimension; empty for all transactions.
    pub series: Box<str>,
    /// What is measured.
    pub kpi: Kpi,
    /// The end of the window, exclusive, in microseconds since 1970. It begins five minutes before.
    pub end: i64,
    /// What was expected: transactions, multiples of usual payments, or a share from 0 to 1.
    pub expected: f64,
    /// The lower end of the usual band.
    pub low: f64,
    /// The upper end of the usual band.
    pub high: f64,
    /// What was observed; None if an anomaly ends without a judgement: too little is expected, the series is not
    /// watched any more, or the stream has paused for a day.
    pub observed: Option<f64>,
    /// The deviation, in usual spreads: below 0 if less was observed than was expected.
    pub deviation: f64,
    /// What the expected value follows from.
    pub basis: Basis,
    /// The number of transactions that were expected.
    pub events: f64,
    /// Whether the window belongs to an anomaly.
    pub is_anomalous: bool,
    /// What becomes of the anomaly; None if nothing changes.
    pub turn: Option<Turn>,
}
