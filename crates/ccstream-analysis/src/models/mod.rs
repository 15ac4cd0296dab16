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

mod error;
mod limits;
mod list;
mod number;

mod packed;
mod tree;
mod trees;
mod xgboost;

mod calibration;
mod logistic;
mod reasons;

mod file;

pub use self::calibration::Calibration;
pub use self::error::ModelError;
pub use self::file::{Card, FORMAT, Model, Score};
pub use self::limits::{MAX_BYTES, MAX_DEPTH, MAX_FEATURES, MAX_KNOTS, MAX_NODES, MAX_TREES};
pub use self::logistic::{Logistic, Shape};
pub use self::reasons::{MAX_REASONS, Reason};
pub use self::trees::Trees;
