//! Turns margins into probabilities without changing their order.

use serde::Deserialize;

use super::error::ModelError;
use super::limits::{MAX_KNOTS, check_size};
use super::list::List;
use super::number::{Exact, plain};

/// Slopes outside these bounds would make different margins equal, or a probability 0 or 1, by rounding.
const SLOPES: [f64; 2] = [1e-3, 1e3];

/// Holds the fields of all kinds. An enum with a tag would be read through a buffer in which numbers are rounded.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kind: String,
    slope: Option<Exact<f64>>,
    intercept: Option<Exact<f64>>,
    a: Option<Exact<f64>>,
    b: Option<Exact<f64>>,
    c: Option<Exact<f64>>,
    margins: Option<List<Exact<f64>, MAX_KNOTS>>,
    log_odds: Option<List<Exact<f64>, MAX_KNOTS>>,
}

/// Maps a margin to calibrated log odds by a strictly increasing function.
///
/// ```
/// use ccstream_analysis::models::Calibration;
///
/// let knots = r#"{"kind": "knots", "margins": [-2, 0, 4], "log_odds": [-3, -1, 1]}"#;
/// let calibration = Calibration::read(knots)?;
/// assert_eq!([-3.0, -1.0, 2.0, 6.0].map(|margin| calibration.log_odds(margin)), [-4.0, -2.0, 0.0, 2.0]);
/// assert_eq!(calibration.probability(2.0), 0.5);
///
/// let error = Calibration::read(r#"{"kind": "platt", "slope": -1, "intercept": 0}"#).unwrap_err();
/// assert_eq!(error.to_string(), "calibration: slope is -1; supported: 0.001 to 1000");
/// # Ok::<(), ccstream_analysis::models::ModelError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Calibration {
    /// Platt's: `slope * margin + intercept`.
    Platt {
        /// Above zero.
        slope: f64,
        /// The log odds at margin 0.
        intercept: f64,
    },
    /// The beta calibration of Kull, Silva Filho and Flach (2017): `a ln(p) - b ln(1 - p) + c`, where `p` is the
    /// margin's probability.
    Beta {
        /// The slope far below zero; above zero.
        a: f64,
        /// The slope far above zero; above zero.
        b: f64,
        /// The log odds at margin 0, less `(b - a) ln(2)`.
        c: f64,
    },
    /// Straight lines between knots, and on beyond the first and the last one.
    Knots {
        /// Strictly increasing.
        margins: Vec<f64>,
        /// The log odds at these margins; strictly increasing.
        log_odds: Vec<f64>,
    },
}

impl Calibration {
    /// Reads the JSON: `{"kind": "platt", "slope", "intercept"}`, `{"kind": "beta", "a", "b", "c"}` or
    /// `{"kind": "knots", "margins", "log_odds"}`.
    ///
    /// # Errors
    /// The text is no such JSON, or the function does not increase everywhere with a slope of 0.001 to 1000.
    pub fn read(json: &str) -> Result<Self, ModelError> {
        check_size(json)?;
        let document: Document = serde_json::from_str(json).map_err(|error| ModelError::json("calibration", &error))?;
        let Document { kind, slope, intercept, a, b, c, margins, log_odds } = document;
        match (kind.as_str(), (slope, intercept), (a, b, c), (margins, log_odds)) {
            ("platt", (Some(slope), Some(intercept)), (None, None, None), (None, None)) => {
                check_slope("slope", slope.0)?;
                Ok(Self::Platt { slope: slope.0, intercept: intercept.0 })
            }
            ("beta", (None, None), (Some(a), Some(b), Some(c)), (None, None)) => {
                check_slope("a", a.0)?;
                check_slope("b", b.0)?;
                Ok(Self::Beta { a: a.0, b: b.0, c: c.0 })
            }
            ("knots", (None, None), (None, None, None), (Some(margins), Some(log_odds))) => {
                check_knots(plain(&margins.0), plain(&log_odds.0))
            }
            ("platt" | "beta" | "knots", ..) => Err(ModelError::invalid(
                "calibration",
                format!("the fields are not those of {kind}: slope, intercept | a, b, c | margins, log_odds"),
            )),
            _ => Err(ModelError::unsupported("the kind of calibration", &kind, "platt, beta, knots")),
        }
    }

    /// Computes calibrated log odds.
    pub fn log_odds(&self, margin: f64) -> f64 {
        match self {
            Self::Platt { slope, intercept } => slope * margin + intercept,
            Self::Beta { a, b, c } => b * softplus(margin) - a * softplus(-margin) + c,
            Self::Knots { margins, log_odds } => {
                let last = margins.len() - 2;
                let at = margins.partition_point(|knot| *knot <= margin).saturating_sub(1).min(last);
                let slope = (log_odds[at + 1] - log_odds[at]) / (margins[at + 1] - margins[at]);
                let found = log_odds[at] + (margin - margins[at]) * slope;
                // Rounding must not lift the end of a line above the next one.
                if at < last { found.min(log_odds[at + 1]) } else { found }
            }
        }
    }

    /// Computes the calibrated probability.
    pub fn probability(&self, margin: f64) -> f64 {
        probability(self.log_odds(margin))
    }
}

fn check_slope(name: &str, slope: f64) -> Result<(), ModelError> {
    let [least, greatest] = SLOPES;
    if (least..=greatest).contains(&slope) {
        return Ok(());
    }
    Err(ModelError::invalid("calibration", format!("{name} is {slope}; supported: {least} to {greatest}")))
}

fn check_knots(margins: Vec<f64>, log_odds: Vec<f64>) -> Result<Calibration, ModelError> {
    let (knots, values) = (margins.len(), log_odds.len());
    if knots != values || knots < 2 {
        let reason = format!("it has {knots} margins and {values} log odds; supported: 2 to {MAX_KNOTS} of each");
        return Err(ModelError::invalid("calibration", reason));
    }
    for at in 1..knots {
        let width = margins[at] - margins[at - 1];
        if width <= 0.0 {
            let reason = format!("margin {at} is not above the one before it (both counted from 0)");
            return Err(ModelError::invalid("calibration", reason));
        }
        check_slope(&format!("the slope before knot {at}"), (log_odds[at] - log_odds[at - 1]) / width)?;
    }
    Ok(Calibration::Knots { margins, log_odds })
}

/// Computes `ln(1 + exp(x))` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// Computes the probability of log odds.
pub(super) fn probability(log_odds: f64) -> f64 {
    // The exponent is never above zero, so nothing overflows and a small probability keeps all its digits.
    let exponential = libm::exp(-log_odds.abs());
    if log_odds < 0.0 { exponential / (1.0 + exponential) } else { 1.0 / (1.0 + exponential) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_calibration() -> impl Strategy<Value = Calibration> {
        let slope = || (-3.0..3.0f64).prop_map(|power| 10f64.powf(power));
        let steps = prop::collection::vec((0.01..5.0f64, slope()), 2..20);
        prop_oneof![
            (slope(), -9.0..9.0).prop_map(|(slope, intercept)| Calibration::Platt { slope, intercept }),
            (slope(), slope(), -9.0..9.0).prop_map(|(a, b, c)| Calibration::Beta { a, b, c }),
            (-20.0..5.0, steps).prop_map(|(mut margin, steps)| {
                let (mut margins, mut log_odds, mut value) = (vec![], vec![], -4.0);
                for (width, slope) in steps {
                    margin += width;
                    value += width * slope;
                    margins.push(margin);
                    log_odds.push(value);
                }
                Calibration::Knots { margins, log_odds }
            }),
        ]
    }

    proptest! {
        #[test]
        fn neighbouring_margins_keep_their_order(calibration in any_calibration(), margin in -30f32..30.0) {
            let (low, high) = (f64::from(margin), f64::from(margin.next_up()));
            let [low, high] = [low, high].map(|margin| calibration.log_odds(margin));
            prop_assert!(low < high, "{low} {high}");
            if high < 10.0 {
                prop_assert!(probability(low) < probability(high) || high < -700.0, "{low} {high}");
            }
        }
    }

    #[test]
    fn what_does_not_increase_is_refused() {
        for (text, reason) in [
            (r#"{"kind": "platt", "slope": 0, "intercept": 0}"#, "slope is 0;"),
            (r#"{"kind": "platt", "slope": 1}"#, "the fields are not those of platt"),
            (r#"{"kind": "platt", "slope": 1, "intercept": 0, "a": 1}"#, "the fields are not those of platt"),
            (r#"{"kind": "platt", "slope": 1, "intercept": NaN}"#, "cannot be read"),
            (r#"{"kind": "beta", "a": 1, "b": -1, "c": 0}"#, "b is -1;"),
            (r#"{"kind": "knots", "margins": [0, 1], "log_odds": [0, 0]}"#, "the slope before knot 1 is 0;"),
            (r#"{"kind": "knots", "margins": [0, 1, 1], "log_odds": [0, 1, 2]}"#, "margin 2 is not above"),
            (r#"{"kind": "knots", "margins": [0], "log_odds": [0]}"#, "1 margins and 1 log odds"),
            (r#"{"kind": "knots", "margins": [0, 1], "log_odds": [0, 1, 2]}"#, "2 margins and 3 log odds"),
            (r#"{"kind": "isotonic"}"#, "supported: platt, beta, knots"),
        ] {
            let error = Calibration::read(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn beta_with_equal_slopes_is_a_straight_line() {
        let beta = Calibration::read(r#"{"kind": "beta", "a": 2, "b": 2, "c": -1}"#).unwrap();
        for margin in [-40.0, -1.5, 0.0, 3.0, 800.0] {
            assert!((beta.log_odds(margin) - (2.0 * margin - 1.0)).abs() < 1e-12, "{margin}");
        }
        assert_eq!([-1e9, 1e9].map(|margin| beta.probability(margin).to_bits()), [0f64, 1.0].map(f64::to_bits));
    }
}
