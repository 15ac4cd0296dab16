//! The model file: features, model, calibration and card in one JSON object.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::calibration::{Calibration, probability};
use super::error::ModelError;
use super::limits::{MAX_FEATURES, check_size};
use super::list::List;
use super::logistic::Logistic;
use super::reasons::{Reason, greatest};
use super::trees::Trees;

/// The value of `format` in a model file.
pub const FORMAT: &str = "ccstream-model-1";
/// The greatest size of a card, in bytes: it is stored and shown with the model.
const MAX_CARD_BYTES: usize = 256 << 10;

const PART: &str = "model file";

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    #[serde(borrow)]
    features: &'a RawValue,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(borrow)]
    calibration: &'a RawValue,
    #[serde(borrow)]
    card: &'a RawValue,
}

#[derive(Deserialize)]
struct Features {
    version: String,
    names: List<String, MAX_FEATURES>,
}

/// Holds what a model file says about the model. Only the fields that a program needs are read.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Card {
    /// The time up to which labels were known in training, in UTC, as ISO 8601.
    pub as_of: Option<String>,
    /// The age, in days, at which an unlabelled transaction counts as genuine.
    pub maturity_days: Option<f64>,
    /// The share of frauds for which the probabilities are calibrated.
    pub fraud_share: Option<f64>,
    /// The whole card, as JSON text.
    #[serde(skip)]
    pub text: String,
}

impl Card {
    /// Reads the card of a model file, even if the program cannot use the model.
    ///
    /// # Errors
    /// The file is broken or exceeds a limit.
    pub fn of_file(json: &str) -> Result<Self, ModelError> {
        check_size(json)?;
        let document: Document<'_> = serde_json::from_str(json).map_err(|error| ModelError::json(PART, &error))?;
        read_card(document.card.get())
    }
}

#[derive(Debug, Clone)]
enum Kind {
    Trees(Trees),
    Logistic(Logistic),
}

/// Holds the score of a transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The model's output, before calibration. Trees compute it in single precision.
    pub margin: f64,
    /// The calibrated log odds. They have the order of the margins.
    pub log_odds: f64,
    /// The calibrated probability. Above log odds of 23, rounding can make two of them equal.
    pub probability: f64,
}

/// Holds a model that was read from a model file.
///
/// | field | meaning |
/// |---|---|
/// | `format` | [`FORMAT`] |
/// | `features` | `version`, a hash of the features' definitions, and `names`, in the order of a row |
/// | `kind` | `trees` or `logistic` |
/// | `model` | the JSON that [`Trees`] or [`Logistic`] reads |
/// | `calibration` | the JSON that [`Calibration`] reads |
/// | `card` | where the model comes from and how good it is; see [`Card`] |
///
/// ```
/// use ccstream_analysis::models::Model;
///
/// let json = r#"{
///     "format": "ccstream-model-1",
///     "features": {"version": "5e1f", "names": ["amount_ratio", "merchant_frauds"]},
///     "kind": "logistic",
///     "model": {"coefficients": [2, 1], "intercept": -4, "means": [1, 0.5], "scales": [2, 1]},
///     "calibration": {"kind": "platt", "slope": 1, "intercept": -1},
///     "card": {"as_of": "2018-08-08T00:00:00Z", "maturity_days": 7}
/// }"#;
/// let model = Model::read(json, "5e1f", &["amount_ratio", "merchant_frauds"])?;
///
/// let row = [8.0, 0.0];
/// let score = model.score(&row);
/// assert_eq!((score.margin, score.log_odds), (2.5, 1.5));
/// assert!((score.probability - 0.8176).abs() < 1e-4);
///
/// let reasons = model.reasons(&row);
/// assert_eq!(reasons.len(), 1);
/// assert_eq!((reasons[0].name, reasons[0].value, reasons[0].contribution), ("amount_ratio", 8.0, 7.0));
///
/// let error = Model::read(json, "77aa", &["amount_ratio", "merchant_frauds"]).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the model's features are not those of this program: the model has version 5e1f, the program version 77aa; \
///      train the model again with this version",
/// );
/// # Ok::<(), ccstream_analysis::models::ModelError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Model {
    kind: Kind,
    names: Vec<String>,
    calibration: Calibration,
    card: Card,
}

impl Model {
    /// Reads and checks a model file. `version` and `names` are those of the features that the program computes.
    ///
    /// # Errors
    /// The file is broken, exceeds a limit, or was made for other features.
    pub fn read(json: &str, version: &str, names: &[&str]) -> Result<Self, ModelError> {
        check_size(json)?;
        let document: Document<'_> = serde_json::from_str(json).map_err(|error| ModelError::json(PART, &error))?;
        if document.format != FORMAT {
            return Err(ModelError::unsupported("the format of the model file", &document.format, FORMAT));
        }
        let features: Features =
            serde_json::from_str(document.features.get()).map_err(|error| ModelError::json("features", &error))?;
        check_features(&features, version, names)?;
        let kind = read_kind(&document)?;
        let (count, names) = (kind.features(), features.names.0);
        if count != names.len() {
            let reason = format!("it has {count} features, but the file names {}", names.len());
            return Err(ModelError::invalid("model", reason));
        }
        if let Kind::Trees(trees) = &kind
            && !trees.names().is_empty()
            && trees.names() != names
        {
            return Err(ModelError::invalid("feature_names", "they are not the names in `features`, in their order"));
        }
        let calibration = Calibration::read(document.calibration.get())?;
        Ok(Self { kind, names, calibration, card: read_card(document.card.get())? })
    }

    /// Computes the score of a row, whose values are in the order of the features. NaN is a missing value.
    ///
    /// # Panics
    /// The row is not as long as [`names`](Self::names).
    pub fn score(&self, row: &[f32]) -> Score {
        let margin = match &self.kind {
            Kind::Trees(trees) => f64::from(trees.margin(row)),
            Kind::Logistic(logistic) => logistic.margin(double(row, &mut [0.0; MAX_FEATURES])),
        };
        let log_odds = self.calibration.log_odds(margin);
        Score { margin, log_odds, probability: probability(log_odds) }
    }

    /// Computes what each feature adds to the margin of a row; returns the rest, the same for all rows.
    ///
    /// # Panics
    /// The row or the contributions are not as long as [`names`](Self::names).
    pub fn contributions(&self, row: &[f32], contributions: &mut [f64]) -> f64 {
        match &self.kind {
            Kind::Trees(trees) => trees.contributions(row, contributions),
            Kind::Logistic(logistic) => logistic.contributions(double(row, &mut [0.0; MAX_FEATURES]), contributions),
        }
    }

    /// Returns the features that raise the score of a row most: at most [`MAX_REASONS`](super::MAX_REASONS) of them.
    ///
    /// # Panics
    /// The row is not as long as [`names`](Self::names).
    pub fn reasons(&self, row: &[f32]) -> Vec<Reason<'_>> {
        let mut contributions = vec![0.0; self.names.len()];
        self.contributions(row, &mut contributions);
        greatest(&self.names, row, &contributions)
    }

    /// Returns the names of the features, in the order of a row.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the kind of the model, as in the file.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Trees(_) => "trees",
            Kind::Logistic(_) => "logistic",
        }
    }

    /// Returns the calibration.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Returns the card.
    pub fn card(&self) -> &Card {
        &self.card
    }
}

impl Kind {
    fn features(&self) -> usize {
        match self {
            Self::Trees(trees) => trees.features(),
            Self::Logistic(logistic) => logistic.features(),
        }
    }
}

fn read_kind(document: &Document<'_>) -> Result<Kind, ModelError> {
    match document.kind.as_ref() {
        "trees" => Ok(Kind::Trees(Trees::read(document.model.get())?)),
        "logistic" => Ok(Kind::Logistic(Logistic::read(document.model.get())?)),
        kind => Err(ModelError::unsupported("the kind of the model", kind, "trees, logistic")),
    }
}

fn read_card(json: &str) -> Result<Card, ModelError> {
    if json.len() > MAX_CARD_BYTES {
        let reason = format!("it has {} bytes; at most {MAX_CARD_BYTES} are supported", json.len());
        return Err(ModelError::invalid("card", reason));
    }
    let mut card: Card = serde_json::from_str(json).map_err(|error| ModelError::json("card", &error))?;
    json.clone_into(&mut card.text);
    Ok(card)
}

fn check_features(found: &Features, version: &str, names: &[&str]) -> Result<(), ModelError> {
    let differ = |reason: String| Err(ModelError::Features { reason });
    if found.version != version {
        let found: String = found.version.chars().take(80).collect();
        return differ(format!("the model has version {found}, the program version {version}"));
    }
    if found.names.0.len() != names.len() {
        return differ(format!("the model has {} names, the program {}", found.names.0.len(), names.len()));
    }
    match found.names.0.iter().zip(names).enumerate().find(|(_, (found, name))| found != *name) {
        Some((at, (found, name))) => differ(format!("feature {at} is {found:.80} in the model, {name} in the program")),
        None => Ok(()),
    }
}

/// Widens a row to double precision.
fn double<'a>(row: &[f32], buffer: &'a mut [f64; MAX_FEATURES]) -> &'a [f64] {
    let buffer = &mut buffer[..row.len()];
    for (double, value) in buffer.iter_mut().zip(row) {
        *double = f64::from(*value);
    }
    buffer
}
