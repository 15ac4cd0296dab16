//! Defines the functions for models: `ccstream.list_models`, `add_model`, `activate_model` and `shadow_model`.

use std::path::PathBuf;

use ccstream_services::analyze::models::{self, ModelInfo};
use pyo3::prelude::*;

use crate::record::record;
use crate::run::ask;
use crate::settings::database_url as url_of;

record!(
    /// Describes a model that can score transactions, or the rules.
    PyModelInfo, "ModelInfo", ModelInfo, {
        /// The model's name, as in the column ``model`` of ``scores``.
        name: String = |one| one.name.clone(),
        /// The kind of the model: ``trees``, ``logistic`` or ``rules``.
        kind: String = |one| one.kind.clone(),
        /// Whether the model is the active one, which scores transactions.
        active: bool = |one| one.is_active,
        /// Whether the model is the shadow, which scores beside the active one for comparison.
        shadow: bool = |one| one.is_shadow,
        /// The time of the addition to the second, in UTC, such as ``2026-01-01 10:00:00+00``; None for the rules.
        added_at: Option<String> = |one| one.added_at.clone(),
        /// The time up to which labels were known in training, as ISO 8601; None if there is no card that has it.
        as_of: Option<String> = |one| one.as_of.clone(),
        /// The model's card: JSON that describes where the model comes from, and how good it is. None for the rules.
        card: Option<String> = |one| one.card.clone(),
        /// The reason why this version of ccstream cannot use the model; None if it can.
        problem: Option<String> = |one| one.problem.clone(),
    }
);

/// Lists the rules, and the models in the table ``models`` in the order in which they were added.
///
/// Args:
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///
/// Returns:
///     A list whose first element is the rules. One element is active.
///
/// Raises:
///     ConfigError: The URL cannot be used.
///     PostgresError: The database cannot be reached or read.
///
/// Example:
///     >>> {one.name: one.active for one in ccstream.list_models()}
///     {'rules': True}
#[pyfunction]
#[pyo3(signature = (*, database_url=None))]
pub(crate) fn list_models(py: Python<'_>, database_url: Option<String>) -> PyResult<Vec<PyModelInfo>> {
    let url = url_of(py, database_url)?;
    Ok(ask(py, || models::list(&url))?.into_iter().map(PyModelInfo).collect())
}

/// Adds a model to the table ``models``, without making it active. A model that is there already is not added again.
///
/// Args:
///     model: The model file, as ``ccstream train`` writes it.
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///
/// Returns:
///     The model's name: that of the file without its ending. If another model has this name, eight digits are
///     appended.
///
/// Raises:
///     ConfigError: The file or the URL cannot be used.
///     PostgresError: The database cannot be reached or written.
///     SchemaError: The tables cannot be used.
#[pyfunction]
#[allow(clippy::needless_pass_by_value, reason = "pyo3 creates the path, and does not lend it")]
#[pyo3(signature = (model, *, database_url=None))]
pub(crate) fn add_model(py: Python<'_>, model: PathBuf, database_url: Option<String>) -> PyResult<String> {
    let url = url_of(py, database_url)?;
    ask(py, || models::add(&url, &model))
}

/// Makes a model the active one. An analyzer that runs scores by it from its next batch on.
///
/// Scores that are stored do not change.
///
/// Args:
///     name: The name of the model, or ``rules``.
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///
/// Raises:
///     ConfigError: There is no such model, this version of ccstream cannot use it, or the URL cannot be used.
///     PostgresError: The database cannot be reached or written.
///
/// Example:
///     >>> ccstream.activate_model("rules")
#[pyfunction]
#[pyo3(signature = (name, *, database_url=None))]
pub(crate) fn activate_model(py: Python<'_>, name: &str, database_url: Option<String>) -> PyResult<()> {
    let url = url_of(py, database_url)?;
    ask(py, || models::activate(&url, name))
}

/// Makes a model the shadow, which scores beside the active one for comparison.
///
/// An analyzer that runs scores by it from its next batch on, and stores the results in the column ``shadow`` of
/// ``scores``. A shadow uses the features as the active model's maturity of labels gives them.
///
/// Args:
///     name: The name of the model, or None for no shadow.
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///
/// Raises:
///     ConfigError: There is no such model, it is the active one, this version of ccstream cannot use it, or the URL
///         cannot be used.
///     PostgresError: The database cannot be reached or written.
///
/// Example:
///     >>> ccstream.shadow_model(None)
#[pyfunction]
#[pyo3(signature = (name, *, database_url=None))]
pub(crate) fn shadow_model(py: Python<'_>, name: Option<&str>, database_url: Option<String>) -> PyResult<()> {
    let url = url_of(py, database_url)?;
    ask(py, || models::shadow(&url, name))
}
