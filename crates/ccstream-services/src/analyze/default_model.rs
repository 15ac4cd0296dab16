//! This module holds the models that score streams of the simulated worlds for which they were trained.

use super::scorer::model_file;
use crate::postgres::analysis::ModelFile;

/// The worlds, as messages name them, and the names and files of their models.
const MODELS: [(&str, &str, &str); 0] = [];

/// Returns the model for a world; None if there is none, or if it was made for other features.
pub(super) fn of(world: &str) -> Option<ModelFile> {
    let (_, name, text) = MODELS.iter().find(|(known, _, _)| *known == world)?;
    model_file((*name).to_owned(), (*text).to_owned()).ok()
}
