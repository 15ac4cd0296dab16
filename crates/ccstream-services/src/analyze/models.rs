//! This module lists, adds and activates the models in the table `models`.

use std::path::Path;

use super::scorer::{RULES, Scorer, read_file, usable};
use crate::error::{Error, Result};
use crate::postgres::analysis::{AnalysisStore, StoredModel};
use crate::postgres::reconnecting::Reopened;
use ccstream_analysis::models::Card;
use ccstream_core::settings::DatabaseUrl;

/// A model that can score transactions, or the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name, as in `scores`.
    pub name: String,
    /// `trees`, `logistic` or `rules`.
    pub kind: String,
    /// Whether it scores transactions.
    pub is_active: bool,
    /// Whether it scores beside the active one, for comparison.
    pub is_shadow: bool,
    /// When it was added, in UTC, to the second; None for the rules.
    pub added_at: Option<String>,
    /// The time up to which labels were known in training, as ISO 8601; None if the card does not have it.
    pub as_of: Option<String>,
    /// The card: the JSON text that describes where the model comes from, and how good it is. None for the rules.
    pub card: Option<String>,
    /// Why this program cannot use the model; None if it can.
    pub problem: Option<String>,
}

impl ModelInfo {
    fn of(stored: StoredModel) -> Self {
        let StoredModel { name, kind, added_at, is_active, is_shadow, text } = stored;
        let card = Card::of_file(&text).ok();
        let as_of = card.as_ref().and_then(|card| card.as_of.clone());
        let problem = Scorer::of(name.clone(), &text).err().map(|error| error.to_string());
        let card = card.map(|card| card.text);
        Self { name, kind, is_active, is_shadow, added_at: Some(added_at), as_of, card, problem }
    }
}

/// Returns the rules, and all models in the order in which they were added.
///
/// Errors: PostgreSQL cannot be reached or read.
pub async fn list(url: &DatabaseUrl) -> Result<Vec<ModelInfo>> {
    let models = AnalysisStore::open(url, 0).await?.models().await?;
    let rules = ModelInfo {
        name: RULES.into(),
        kind: RULES.into(),
        is_active: !models.iter().any(|model| model.is_active),
        is_shadow: false,
        added_at: None,
        as_of: None,
        card: None,
        problem: None,
    };
    Ok(std::iter::once(rules).chain(models.into_iter().map(ModelInfo::of)).collect())
}

/// Adds the model of a file, if it is not there. Returns its name: that of the file, with eight digits of the file's
/// SHA-256 appended if another model has it. The tables of the analysis are created if they do not exist.
///
/// Errors: the file cannot be used, or PostgreSQL cannot be reached or written.
pub async fn add(url: &DatabaseUrl, path: &Path) -> Result<String> {
    let model = read_file(path)?;
    let mut store = AnalysisStore::open(url, 0).await?;
    store.prepare(url).await?;
    store.add_model(&model).await
}

/// Makes a model the active one, or the rules, if that is the name. A running analyzer scores by it from its next batch
/// on.
///
/// Errors: no model has the name, or this program cannot use it; PostgreSQL cannot be reached or written.
pub async fn activate(url: &DatabaseUrl, name: &str) -> Result<()> {
    let mut store = AnalysisStore::open(url, 0).await?;
    let models = store.models().await?;
    if name != RULES {
        check_usable(&models, name)?;
    }
    if models.is_empty() {
        // Only the rules can be active, and the tables may not exist.
        return Ok(());
    }
    store.activate_model(name).await
}

/// Makes a model the shadow, which scores beside the active one, or none of them. A running analyzer scores by it from its
/// next batch on.
///
/// Errors: no model has the name, it is the active one, or this program cannot use it; PostgreSQL cannot be reached or
/// written.
pub async fn shadow(url: &DatabaseUrl, name: Option<&str>) -> Result<()> {
    let mut store = AnalysisStore::open(url, 0).await?;
    let models = store.models().await?;
    if let Some(name) = name
        && check_usable(&models, name)?.is_active
    {
        return Err(Error::config("name", format!("the model {name:?} is the active one; a shadow is another model")));
    }
    if models.is_empty() {
        return Ok(());
    }
    store.prepare(url).await?;
    store.shadow_model(name).await
}

/// Returns the model of a name.
///
/// Errors: there is none, or this program cannot use it.
fn check_usable<'a>(models: &'a [StoredModel], name: &str) -> Result<&'a StoredModel> {
    let Some(model) = models.iter().find(|model| model.name == name) else {
        let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).chain([RULES]).collect();
        let why = format!("there is no model {name:?}, only {}; add its file first", names.join(", "));
        return Err(Error::config("name", why));
    };
    usable(name.into(), &model.text)?;
    Ok(model)
}
