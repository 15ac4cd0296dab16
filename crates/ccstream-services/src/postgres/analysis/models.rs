//! This module stores the models of the analysis in the table `models`.

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
        OwnColumn::new("digest", "TEXT NOT NULL UNIQUE").meaning("SHA-256 of the file"),
        OwnColumn::new("file", "TEXT NOT NULL").meaning("the model file"),
    ],
    ..Table::USUAL
};

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
    /// Adds a model, unless the table has it, and makes it the active one. Returns its name, or None if the lease is
    /// lost. If another model has the name, the first digits of the digest are appended.
    pub(crate) async fn activate(&mut self, epoch: i64, model: &ModelFile) -> Result<Option<String>> {
        let step = || Error::postgres("adding a model");
        let ModelFile { name, kind, digest, text } = model;
        let transaction = begin(&mut self.client).await?;
        if !is_held(&transaction, epoch).await? {
            return Ok(None);
        }
        let found = transaction.query_opt("SELECT name FROM models WHERE digest = $1", &[digest]).await;
        let name = if let Some(row) = found.map_err(step())? {
            row.get(0)
        } else {
            let taken = transaction.query_opt("SELECT FROM models WHERE name = $1", &[name]).await;
            let is_taken = taken.map_err(step())?.is_some();
            let name = if is_taken { format!("{name}-{}", &digest[..8]) } else { name.clone() };
            transaction
                .execute(
                    "INSERT INTO models (name, kind, digest, file) VALUES ($1, $2, $3, $4)",
                    &[&name, kind, digest, text],
                )
                .await
                .map_err(step())?;
            name
        };
        let activate = "UPDATE models SET is_active = (name = $1) WHERE is_active <> (name = $1)";
        transaction.execute(activate, &[&name]).await.map_err(step())?;
        transaction.commit().await.map_err(step())?;
        Ok(Some(name))
    }

    /// Returns the names and the texts of all models.
    pub(crate) async fn models(&mut self) -> Result<Vec<(String, String)>> {
        let rows = self.client.query("SELECT name, file FROM models ORDER BY name", &[]).await;
        Ok(rows.map_err(Error::postgres("reading models"))?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Returns the name and the text of the active model; None if there is none.
    pub(crate) async fn active_model(&mut self) -> Result<Option<(String, String)>> {
        let row = self.client.query_opt("SELECT name, file FROM models WHERE is_active", &[]).await;
        Ok(row.map_err(Error::postgres("reading models"))?.map(|row| (row.get(0), row.get(1))))
    }
}
