//! Evaluates models that were trained elsewhere: XGBoost's trees and logistic regression.
//!
//! ```text
//! model file ──> Model::read ──> xgboost: trees, checked ──> packed: the same trees, laid out for speed
//!                           └──> logistic                        │
//!                           └──> calibration <── margin <────────┘
//!                                    └──> Score, and reasons from contributions
//! ```
//!
//! A score depends only on the model file and the row: sums run in a fixed order, and exponentials and logarithms are
//! computed by the crate `libm`, because the last digits of the system's functions differ between machines. The one
//! exception is described at [`Trees`].

mod calibration;
mod error;
mod file;
mod logistic;
mod number;
mod packed;
mod reasons;
mod tree;
mod trees;
mod xgboost;

pub use self::calibration::{Calibration, MAX_KNOTS};
pub use self::error::ModelError;
pub use self::file::{Card, FORMAT, MAX_BYTES, Model, Score};
pub use self::logistic::{Logistic, Shape};
pub use self::reasons::{MAX_REASONS, Reason};
pub use self::tree::{MAX_DEPTH, MAX_NODES};
pub use self::trees::{MAX_FEATURES, MAX_TREES, Trees};
