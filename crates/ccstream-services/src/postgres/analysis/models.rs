//! This module stores the models of the analysis in the table `models`.

use tokio_postgres::{Row, Transaction};

use super::AnalysisStore;
use super::lease::is_held;
use crate::error::{Error, Result};
use crate::postgres::begin;
use crate::postgres::table::{OwnColumn, Table};

/// The table of models.
pub(in crate::postgres) const MODELS: Table = Table {
    name: "models",
    comment: "ccstream: the models that score transactions",
    columns: &[
        OwnColumn::new("name", "TEXT PRIMARY KEY").meaning("as in scores"),
        OwnColumn::new("kind", "TEXT NOT NULL").meaning("trees or logistic"),
        OwnColumn::new("added_at", "TIMESTAMPTZ NOT NULL DEFAULT now()"),
        OwnColumn::new("is_active", "BOOLEAN NOT NULL DEFAULT false").meaning("whether it scores; at most one does"),
        OwnColumn::new("is_shadow", "BOOLEAN NOT NULL DEFAULT false")
            .meaning("whether it scores beside the active one, for comparison; at most one does"),
        OwnColumn::new("digest", "TEXT NOT NULL UNIQUE").meaning("SHA-256 of the file"),
        OwnColumn::new("file", "TEXT NOT NULL").meaning("the model file"),
    ],
    ..Table::USUAL
};

/// Names the models that score.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scoring {
    /// The active model; None if the rules score.
    pub(crate) active: Option<String>,
    /// The model that scores beside it.
    pub(crate) shadow: Option<String>,
}

/// A model in the table.
#[derive(Debug)]
pub(crate) struct StoredModel {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// In UTC, to the second.
    pub(crate) added_at: String,
    pub(crate) is_active: bool,
    pub(crate) is_shadow: bool,
    /// The model file.
    pub(crate) text: String,
}

/// A model file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelFile {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// The SHA-256 of the text, in hexadecimal digits.
    pub(crate) digest: String,
    pub(crate) text: String,
}

impl AnalysisStore {
    /// Adds a model, if it is not there, and makes it the active one. Returns its name; None if the lease is lost.
    pub(crate) async fn activate(&mut self, epoch: i64, model: &ModelFile) -> Result<Option<String>> {
        let transaction = begin(&mut self.client).await?;
        if !is_held(&transaction, epoch).await? {
            return Ok(None);
        }
        let name = add(&transaction, model).await?;
        activate(&transaction, &name).await?;
        transaction.commit().await.map_err(Error::postgres("adding a model"))?;
        Ok(Some(name))
    }

    /// Adds a model, if it is not there. Returns its name.
    pub(crate) async fn add_model(&mut self, model: &ModelFile) -> Result<String> {
        let transaction = begin(&mut self.client).await?;
        lock(&transaction).await?;
        let name = add(&transaction, model).await?;
        transaction.commit().await.map_err(Error::postgres("adding a model"))?;
        Ok(name)
    }

    /// Makes a model the active one, or none of them with the name of the rules. The analyzer notices it when it commits.
    pub(crate) async fn activate_model(&mut self, name: &str) -> Result<()> {
        let transaction = begin(&mut self.client).await?;
        lock(&transaction).await?;
        activate(&transaction, name).await?;
        transaction.commit().await.map_err(Error::postgres("activating a model"))
    }

    /// Makes a model the shadow, or none of them. The analyzer notices it when it commits.
    pub(crate) async fn shadow_model(&mut self, name: Option<&str>) -> Result<()> {
        let transaction = begin(&mut self.client).await?;
        lock(&transaction).await?;
        let shadow =
            "UPDATE models SET is_shadow = (name = coalesce($1, '')) WHERE is_shadow <> (name = coalesce($1, ''))";
        transaction.execute(shadow, &[&name]).await.map_err(Error::postgres("choosing a shadow model"))?;
        transaction.commit().await.map_err(Error::postgres("choosing a shadow model"))
    }

    /// Returns all models, in the order in which they were added; none if the table does not exist.
    pub(crate) async fn models(&mut self) -> Result<Vec<StoredModel>> {
        let step = || Error::postgres("reading models");
        let found = self.client.query_one("SELECT to_regclass('models') IS NOT NULL", &[]).await.map_err(step())?;
        if !found.get::<_, bool>(0) {
            return Ok(Vec::new());
        }
        // A table of an earlier version has no shadow until an analyzer starts.
        let query = "SELECT name, kind, to_char(added_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS\"+00\"'),
                            is_active, coalesce((to_jsonb(m) ->> 'is_shadow')::boolean, false), file
                     FROM models AS m ORDER BY added_at, name";
        let rows = self.client.query(query, &[]).await.map_err(step())?;
        let stored = |row: &Row| StoredModel {
            name: row.get(0),
            kind: row.get(1),
            added_at: row.get(2),
            is_active: row.get(3),
            is_shadow: row.get(4),
            text: row.get(5),
        };
        Ok(rows.iter().map(stored).collect())
    }

    /// Returns the models that score, and the texts of their files.
    pub(crate) async fn scoring(&mut self) -> Result<(Scoring, Vec<(String, String)>)> {
        let query = "SELECT name, is_active, is_shadow, file FROM models WHERE is_active OR is_shadow ORDER BY name";
        let rows = self.client.query(query, &[]).await.map_err(Error::postgres("reading models"))?;
        let first = |flag: usize| rows.iter().find(|row| row.get(flag)).map(|row| row.get(0));
        let scoring = Scoring { active: first(1), shadow: first(2) };
        Ok((scoring, rows.iter().map(|row| (row.get(0), row.get(3))).collect()))
    }

    /// Returns whether a model was ever added.
    pub(crate) async fn has_models(&mut self) -> Result<bool> {
        let row = self.client.query_one("SELECT EXISTS (SELECT FROM models)", &[]).await;
        Ok(row.map_err(Error::postgres("reading models"))?.get(0))
    }
}

/// Locks the position of the analysis, so that no two sessions change which model is active at the same time. Otherwise
/// both models could be active afterwards.
async fn lock(transaction: &Transaction<'_>) -> Result<()> {
    let locked = transaction.execute("SELECT FROM analysis FOR NO KEY UPDATE", &[]).await;
    locked.map(drop).map_err(Error::postgres("locking the position of the analysis"))
}

/// Adds a model, if it is not there. Returns its name, which has the first digits of its digest appended if another model
/// has the file's name.
async fn add(transaction: &Transaction<'_>, model: &ModelFile) -> Result<String> {
    let step = || Error::postgres("adding a model");
    let ModelFile { name, kind, digest, text } = model;
    let found = transaction.query_opt("SELECT name FROM models WHERE digest = $1", &[digest]).await;
    if let Some(row) = found.map_err(step())? {
        return Ok(row.get(0));
    }
    let taken = transaction.query_opt("SELECT FROM models WHERE name = $1", &[name]).await;
    let is_taken = taken.map_err(step())?.is_some();
    let name = if is_taken { format!("{name}-{}", &digest[..8]) } else { name.clone() };
    let insert = "INSERT INTO models (name, kind, digest, file) VALUES ($1, $2, $3, $4)";
    transaction.execute(insert, &[&name, kind, digest, text]).await.map_err(step())?;
    Ok(name)
}

/// Makes a model the active one; none of them, if none has the name.
async fn activate(transaction: &Transaction<'_>, name: &str) -> Result<()> {
    let activate = "UPDATE models SET is_active = (name = $1), is_shadow = is_shadow AND name <> $1
                    WHERE is_active <> (name = $1)";
    transaction.execute(activate, &[&name]).await.map(drop).map_err(Error::postgres("activating a model"))
}
