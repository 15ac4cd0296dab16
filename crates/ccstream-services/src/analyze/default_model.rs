//! This module holds the models that score streams of the simulated worlds for which they were trained.

use super::scorer::model_file;
use crate::postgres::analysis::ModelFile;

/// The worlds, as messages name them, and the names and files of their models.
const MODELS: [(&str, &str, &str); 1] = [("habits/2", "habits-2", include_str!("../../models/habits-2.json"))];

/// Returns the model for a world; None if there is none, or if it was made for other features.
pub(super) fn of(world: &str) -> Option<ModelFile> {
    let (_, name, text) = MODELS.iter().find(|(known, _, _)| *known == world)?;
    model_file((*name).to_owned(), (*text).to_owned()).ok()
}

/// Returns the model of a name; None if there is none.
pub(super) fn named(name: &str) -> Option<ModelFile> {
    let (world, _, _) = MODELS.iter().find(|(_, known, _)| *known == name)?;
    of(world)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccstream_core::generate::World;

    #[test]
    fn the_generators_world_has_a_model_for_these_features() {
        for (world, name, text) in MODELS {
            let model = model_file(name.to_owned(), text.to_owned()).unwrap();
            assert_eq!((of(world), named(name)), (Some(model.clone()), Some(model)));
        }
        assert!(of(World::default().name()).is_some());
        assert_eq!(of("habits/1"), None);
    }
}
