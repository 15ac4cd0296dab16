//! This module computes scores, by a model or by the rules.

use std::fmt::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::postgres::analysis::ModelFile;
use ccstream_analysis::explain;
use ccstream_analysis::features::{DEFINITIONS, Features};
use ccstream_analysis::models::{MAX_BYTES, Model, ModelError};
use ccstream_analysis::rules;
use ccstream_analysis::state::Scored;
use ccstream_analysis::version;
use ccstream_core::Error as CoreError;
use ccstream_core::event::Micros;

/// The name under which the rules score.
pub(super) const RULES: &str = "rules";
/// The maximum number of characters of a model's name.
const MAX_NAME: usize = 60;

/// Scores transactions.
#[derive(Debug)]
pub(super) enum Scorer {
    /// Rules, which need no model.
    Rules,
    /// A model, by its name.
    Model(String, Box<Model>),
}

impl Scorer {
    /// Reads an active model.
    pub(super) fn of(name: String, text: &str) -> Result<Self, ModelError> {
        Ok(Self::Model(name, Box::new(read(text)?)))
    }

    /// Returns the name of the model, or [`RULES`].
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Rules => RULES,
            Self::Model(name, _) => name,
        }
    }

    /// Returns the probability that a transaction is a fraud, from 0 to 1.
    pub(super) fn score(&self, scored: &Scored) -> f64 {
        match self {
            Self::Rules => scored.verdict.probability,
            Self::Model(_, model) => model.score(&scored.features.0).probability,
        }
    }

    /// Returns up to three reasons for a score in words, the weightiest first.
    pub(super) fn reasons(&self, features: &Features, time: Micros) -> Vec<String> {
        match self {
            Self::Rules => explain::of_rules(&rules::score(features), features, time),
            Self::Model(_, model) => explain::of_model(model, features, time),
        }
    }

    /// Returns the age in microseconds from which a transaction without a label counts as genuine, if the model was
    /// trained for one.
    pub(super) fn maturity(&self) -> Option<i64> {
        match self {
            Self::Rules => None,
            Self::Model(_, model) => model.card().maturity_days.map(|days| (days * 86_400e6) as i64),
        }
    }
}

/// Returns what scores by a model.
///
/// Errors: this program cannot use the model.
pub(super) fn usable(name: String, text: &str) -> Result<Scorer> {
    let named = name.clone();
    Scorer::of(name, text)
        .map_err(|error| CoreError::config("model", format!("the model {named:?} cannot be used: {error}")).into())
}

fn read(text: &str) -> Result<Model, ModelError> {
    let names: Vec<&str> = DEFINITIONS.iter().map(|definition| definition.name).collect();
    Model::read(text, version(), &names)
}

/// Reads a model file and checks it. Its name is that of the file, without the ending.
///
/// Errors: [`CoreError::Config`] of the setting `model`.
pub(super) fn read_file(path: &Path) -> Result<ModelFile> {
    let refuse = |why: String| CoreError::config("model", format!("{}: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
    if size > MAX_BYTES as u64 {
        return Err(refuse(format!("it has {size} bytes; at most {MAX_BYTES} are supported")).into());
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let name: String = path.file_stem().unwrap_or_default().to_string_lossy().chars().take(MAX_NAME).collect();
    if name.is_empty() || name == RULES || name.chars().any(char::is_control) {
        return Err(refuse(format!("a model cannot have the name {name:?}; rename the file")).into());
    }
    Ok(model_file(name, text).map_err(|error| refuse(error.to_string()))?)
}

/// Checks the text of a model file.
pub(super) fn model_file(name: String, text: String) -> Result<ModelFile, ModelError> {
    let kind = read(&text)?.kind().to_owned();
    let mut digest = String::new();
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(digest, "{byte:02x}");
    }
    Ok(ModelFile { name, kind, digest, text })
}

/// Returns the text of the warning about a model that was chosen and cannot be used.
pub(super) fn unusable(name: &str, is_active: bool, error: &ModelError) -> String {
    let (which, so) = if is_active { ("active", "the rules score") } else { ("shadow", "there is no shadow") };
    format!("the {which} model {name:?} cannot be used, so {so}: {error}")
}
