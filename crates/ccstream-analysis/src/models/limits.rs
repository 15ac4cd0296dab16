//! Limits of what is read. They bound the memory that a broken or hostile file can take.

use super::error::ModelError;

/// The greatest size of a model file, in bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// The greatest number of features.
pub const MAX_FEATURES: usize = 128;
/// The greatest number of trees.
pub const MAX_TREES: usize = 10_000;
/// The greatest number of nodes in all trees of a model.
pub const MAX_NODES: usize = 1 << 20;
/// The greatest depth of a tree.
pub const MAX_DEPTH: usize = 32;
/// The greatest number of knots of a calibration.
pub const MAX_KNOTS: usize = 1000;

/// Refuses a text that is too large before anything of it is read.
pub(super) fn check_size(json: &str) -> Result<(), ModelError> {
    if json.len() > MAX_BYTES {
        return Err(ModelError::TooLarge { bytes: json.len(), limit: MAX_BYTES });
    }
    Ok(())
}
