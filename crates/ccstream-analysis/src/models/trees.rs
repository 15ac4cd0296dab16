//! Boosted trees in XGBoost's JSON.

use super::error::ModelError;
use super::packed::Packed;
use super::tree::Tree;
use super::xgboost;

/// Holds boosted trees as `Booster.save_model("model.json")` of XGBoost writes them (tested with 3.0.5 and 3.2.0).
///
/// The objective is `binary:logistic` and the booster `gbtree`, without categorical splits. The margin equals
/// `predict(output_margin=True)` to the last bit, and contributions equal
/// `predict(pred_contribs=True, approx_contribs=True)` to single precision. All trees are used, also after early
/// stopping, as `Booster.predict` does.
///
/// XGBoost converts `base_score` to a margin by the logarithm of the system's library, so this type does so too. For
/// three in a thousand values of `base_score`, libraries may differ in the last bit. `ccstream.training` chooses a value
/// for which they agree, so that its models give the same bits on every machine.
///
/// ```
/// use ccstream_analysis::models::Trees;
///
/// // One tree: 1 point less below 2.5, 3 points more otherwise; a missing value goes to the left.
/// let json = r#"{"learner": {
///     "feature_names": ["ratio"],
///     "gradient_booster": {"name": "gbtree", "model": {"tree_info": [0], "trees": [{
///         "left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
///         "split_conditions": [2.5E0, -1E0, 3E0], "default_left": [1, 0, 0], "sum_hessian": [4E1, 1E1, 3E1]
///     }]}},
///     "learner_model_param": {"base_score": "[5E-1]", "num_class": "0", "num_feature": "1", "num_target": "1"},
///     "objective": {"name": "binary:logistic"}
/// }, "version": [3, 2, 0]}"#;
/// let trees = Trees::read(json)?;
/// assert_eq!([2.4, 2.5, f32::NAN].map(|ratio| trees.margin(&[ratio])), [-1.0, 3.0, -1.0]);
///
/// let mut contributions = [0.0];
/// let bias = trees.contributions(&[7.0], &mut contributions);
/// assert_eq!((bias, contributions), (2.0, [1.0]));
/// # Ok::<(), ccstream_analysis::models::ModelError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trees {
    checked: Vec<Tree>,
    packed: Packed,
    features: usize,
    names: Vec<String>,
    base_margin: f32,
}

impl Trees {
    /// Reads and checks XGBoost's JSON.
    ///
    /// # Errors
    /// The text is no such JSON, describes another kind of model, contradicts itself, or exceeds a limit of this
    /// module.
    pub fn read(json: &str) -> Result<Self, ModelError> {
        let model = xgboost::read(json)?;
        // XGBoost computes in single precision, in this order.
        let base_margin = -(1.0 / model.base_score - 1.0).ln();
        if !base_margin.is_finite() {
            let found = format!("{:e}", model.base_score);
            return Err(ModelError::unsupported("base_score", &found, "a number whose log odds are finite"));
        }
        let packed = Packed::new(&model.trees);
        Ok(Self { checked: model.trees, packed, features: model.features, names: model.names, base_margin })
    }

    /// Returns the number of features in a row.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Returns the names of the features, or nothing if the model was trained without names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the number of trees.
    pub fn len(&self) -> usize {
        self.checked.len()
    }

    /// Returns whether there is no tree.
    pub fn is_empty(&self) -> bool {
        self.checked.is_empty()
    }

    /// Computes the margin (uncalibrated log odds) of a row. NaN is a missing value.
    ///
    /// # Panics
    /// The row is not as long as [`features`](Self::features).
    pub fn margin(&self, row: &[f32]) -> f32 {
        assert_eq!(row.len(), self.features, "a row has one value per feature");
        self.packed.add(row, self.base_margin)
    }

    /// Computes what each feature adds to the margin of a row; returns the rest, the same for all rows.
    ///
    /// A split changes the mean output of the training rows that are left; the change is the contribution of the
    /// split's feature. The sum of contributions and rest is the margin, up to rounding.
    ///
    /// # Panics
    /// The row or the contributions are not as long as [`features`](Self::features).
    pub fn contributions(&self, row: &[f32], contributions: &mut [f64]) -> f64 {
        assert_eq!((row.len(), contributions.len()), (self.features, self.features), "one value per feature");
        contributions.fill(0.0);
        let bias: f64 = self.checked.iter().map(|tree| tree.contribute(row, contributions)).sum();
        bias + f64::from(self.base_margin)
    }
}
