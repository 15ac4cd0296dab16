//! Opens alerts of anomalies of KPIs, and closes them when the KPI is usual again.

use serde_json::{Value, json};

use super::alert::Change;
use super::definition::Kind;
use super::observation::Observation;
use super::rule::Rule;
use super::turn::Turned;
use crate::anomalies::{Dimension, Kpi, Reading, Turn};

/// The anomalies that a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anomalous {
    /// Whether a KPI is watched, by its place in [`Kpi::ALL`].
    pub(super) kpis: [bool; 3],
    /// Whether the series of a dimension are watched: by its place in [`Dimension::ALL`].
    pub(super) dimensions: [bool; 6],
}

impl Anomalous {
    /// Lists the names of the KPIs that are watched.
    pub(super) fn kpi_names(self) -> Vec<&'static str> {
        Kpi::ALL.into_iter().zip(self.kpis).filter(|(_, is_watched)| *is_watched).map(|(kpi, _)| kpi.name()).collect()
    }

    /// Lists the names of the dimensions that are watched.
    pub(super) fn dimension_names(self) -> Vec<&'static str> {
        let watched = Dimension::ALL.into_iter().zip(self.dimensions).filter(|(_, is_watched)| *is_watched);
        watched.map(|(dimension, _)| dimension.name()).collect()
    }

    fn has(self, reading: &Reading) -> bool {
        let kpi = Kpi::ALL.into_iter().zip(self.kpis).any(|(kpi, is_watched)| is_watched && kpi == reading.kpi);
        let mut dimensions = Dimension::ALL.into_iter().zip(self.dimensions);
        kpi && dimensions.any(|(dimension, is_watched)| is_watched && dimension == reading.dimension)
    }
}

impl Rule {
    /// Applies the rule to a measure of a series. `seq` is the last place in the order.
    pub fn reading(&mut self, reading: &Reading, seq: u64, changes: &mut Vec<Change>, journal: &mut Vec<Observation>) {
        let Kind::Anomaly(anomalous) = self.definition.kind else { return };
        let Some(turn) = reading.turn.filter(|_| anomalous.has(reading)) else { return };
        let turned = Turned { key: Some(name(reading)), is_open: turn == Turn::Opened, seq, time: reading.end };
        self.turn(turned, || why(reading), changes, journal);
    }
}

/// Names what was measured, such as `approval_rate of issuer Alderbank`.
fn name(reading: &Reading) -> String {
    let kpi = reading.kpi.name();
    match reading.dimension {
        Dimension::All => format!("{kpi} of all transactions"),
        dimension => format!("{kpi} of {} {}", dimension.name(), reading.series),
    }
}

/// Says why an alert was opened, as JSON and in words.
fn why(reading: &Reading) -> (String, String) {
    let Reading { dimension, series, kpi, end, expected, low, high, observed, deviation, basis, events, .. } = reading;
    let observed = observed.unwrap_or_default();
    let why: Value = json!({
        "kind": "anomaly", "kpi": kpi.name(), "dimension": dimension.name(), "series": series, "end": end,
        "observed": observed, "expected": expected, "low": low, "high": high, "deviation": deviation,
        "basis": basis.name(), "events": events,
    });
    let number = |value: f64| match kpi {
        Kpi::Approval => format!("{:.1} %", 100.0 * value),
        Kpi::Rate => format!("{value:.0} transactions"),
        Kpi::Value => format!("the value of {value:.0} usual payments"),
    };
    let usual = match kpi {
        Kpi::Approval => format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high),
        Kpi::Rate | Kpi::Value => format!("{low:.0} to {high:.0}"),
    };
    (why.to_string(), format!("{}: {} within 5m; usual is {usual}", name(reading), number(observed)))
}
