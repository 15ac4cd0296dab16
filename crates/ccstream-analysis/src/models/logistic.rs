//! Logistic regression, in a small JSON format of this project.

use serde::Deserialize;

use super::error::ModelError;
use super::limits::{MAX_FEATURES, check_size};
use super::list::List;
use super::number::{Exact, plain};

/// Names the function that is applied to a feature before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// The value itself.
    Identity,
    /// The logarithm of one plus the size of the value, with the value's sign.
    Log,
}

impl Shape {
    fn apply(self, value: f64) -> f64 {
        match self {
            Self::Identity => value,
            Self::Log => libm::log1p(value.abs()).copysign(value),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    coefficients: List<Exact<f64>, MAX_FEATURES>,
    intercept: Exact<f64>,
    means: List<Exact<f64>, MAX_FEATURES>,
    scales: Option<List<Exact<f64>, MAX_FEATURES>>,
    shapes: Option<List<Shape, MAX_FEATURES>>,
}

/// Holds a logistic regression.
///
/// | field | meaning |
/// |---|---|
/// | `coefficients`, `intercept` | `coef_[0]` and `intercept_[0]` of scikit-learn |
/// | `means` | the mean of each feature in training, after its shape |
/// | `scales` | with it, `(x - mean) / scale` is multiplied by the coefficient; without it, `x` is |
/// | `shapes` | `identity` (everywhere, if the field is absent) or `log`: `sign(x) ln(1 + abs(x))` |
///
/// The margin equals scikit-learn's `decision_function` in double precision, up to the order of the sum. A missing
/// value is replaced by the feature's mean.
///
/// ```
/// use ccstream_analysis::models::Logistic;
///
/// let model = Logistic::read(r#"{"coefficients": [2, -1], "intercept": 0.5, "means": [1, 10], "scales": [2, 5]}"#)?;
/// assert_eq!(model.margin(&[3.0, 15.0]), 0.5 + 2.0 - 1.0);
/// let mut contributions = [0.0; 2];
/// assert_eq!(model.contributions(&[3.0, f64::NAN], &mut contributions), 0.5);
/// assert_eq!(contributions, [2.0, 0.0]);
/// # Ok::<(), ccstream_analysis::models::ModelError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    coefficients: Vec<f64>,
    intercept: f64,
    means: Vec<f64>,
    scales: Option<Vec<f64>>,
    shapes: Vec<Shape>,
}

impl Logistic {
    /// Reads and checks the JSON.
    ///
    /// # Errors
    /// The text is no such JSON, contradicts itself, or exceeds a limit of this module.
    pub fn read(json: &str) -> Result<Self, ModelError> {
        check_size(json)?;
        let document: Document =
            serde_json::from_str(json).map_err(|error| ModelError::json("logistic regression", &error))?;
        let features = document.coefficients.0.len();
        if features == 0 {
            return Err(ModelError::unsupported("the number of coefficients", "0", format!("1 to {MAX_FEATURES}")));
        }
        let scales = document.scales.map(|scales| plain(&scales.0));
        let shapes = document.shapes.map_or_else(|| vec![Shape::Identity; features], |shapes| shapes.0);
        let lengths = [
            ("means", document.means.0.len()),
            ("scales", scales.as_ref().map_or(features, Vec::len)),
            ("shapes", shapes.len()),
        ];
        for (field, length) in lengths {
            if length != features {
                let reason = format!("it has {length} elements, but there are {features} coefficients");
                return Err(ModelError::invalid(field, reason));
            }
        }
        if let Some(at) = scales.iter().flatten().position(|scale| *scale <= 0.0) {
            return Err(ModelError::invalid("scales", format!("element {at} is not above zero")));
        }
        Ok(Self {
            coefficients: plain(&document.coefficients.0),
            intercept: document.intercept.0,
            means: plain(&document.means.0),
            scales,
            shapes,
        })
    }

    /// Returns the number of features in a row.
    pub fn features(&self) -> usize {
        self.coefficients.len()
    }

    /// Returns a feature's shaped value, from the mean and in units of the scale if there is one.
    fn centered(&self, at: usize, value: f64) -> f64 {
        if value.is_nan() {
            return 0.0;
        }
        let centered = self.shapes[at].apply(value) - self.means[at];
        self.scales.as_ref().map_or(centered, |scales| centered / scales[at])
    }

    /// Computes the margin (uncalibrated log odds) of a row. NaN is a missing value.
    ///
    /// # Panics
    /// The row is not as long as [`features`](Self::features).
    pub fn margin(&self, row: &[f64]) -> f64 {
        assert_eq!(row.len(), self.features(), "a row has one value per feature");
        let mut sum = 0.0;
        for (at, (coefficient, value)) in self.coefficients.iter().zip(row).enumerate() {
            sum += coefficient
                * if self.scales.is_some() {
                    self.centered(at, *value)
                } else if value.is_nan() {
                    self.means[at]
                } else {
                    self.shapes[at].apply(*value)
                };
        }
        sum + self.intercept
    }

    /// Computes what each feature adds to the margin of a row, compared with its mean; returns the rest.
    ///
    /// # Panics
    /// The row or the contributions are not as long as [`features`](Self::features).
    pub fn contributions(&self, row: &[f64], contributions: &mut [f64]) -> f64 {
        assert_eq!((row.len(), contributions.len()), (self.features(), self.features()), "one value per feature");
        let mut bias = self.intercept;
        for (at, contribution) in contributions.iter_mut().enumerate() {
            *contribution = self.coefficients[at] * self.centered(at, row[at]);
            if self.scales.is_none() {
                bias += self.coefficients[at] * self.means[at];
            }
        }
        bias
    }
}
