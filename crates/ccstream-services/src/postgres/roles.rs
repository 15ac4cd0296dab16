//! This module offers the roles of those who only read, and of analysts, who write verdicts on alerts.

use tokio_postgres::{GenericClient, Transaction};

use super::tables::Tables;
use crate::error::{Error, Result};

/// The role with which dashboards read. It cannot log in. Its only privileges are USAGE on the schema and SELECT on
/// ccstream's tables.
pub(crate) const READER: &str = "ccstream_reader";

/// The role with which the page writes what an analyst decides. It cannot log in, and may change nothing else.
const ANALYST: &str = "ccstream_analyst";

/// A role and what it may do: for each privilege, the table and the privilege with its columns, if it has some.
struct Role {
    name: &'static str,
    grants: Vec<(&'static str, &'static str)>,
}

impl Role {
    /// Lists the roles that these tables are for.
    fn all(tables: &Tables) -> Vec<Self> {
        let reads = tables.read().into_iter().map(|table| (table, "SELECT")).collect();
        let all = tables.all();
        let decides = all.iter().flat_map(|table| table.analyst.iter().map(|grant| (table.name, *grant))).collect();
        let roles = [Self { name: READER, grants: reads }, Self { name: ANALYST, grants: decides }];
        roles.into_iter().filter(|role| !role.grants.is_empty()).collect()
    }

    /// Returns the statements that grant the privileges.
    fn grants(&self, schema: &str) -> Vec<String> {
        let name = self.name;
        let usage = format!("GRANT USAGE ON SCHEMA {schema} TO {name};");
        let on = |(table, privilege): &(&str, &str)| format!("GRANT {privilege} ON {table} TO {name};");
        std::iter::once(usage).chain(self.grants.iter().map(on)).collect()
    }
}

/// Creates the roles, grants their privileges, and makes the current role a member of them, as far as the current role
/// may. Readers otherwise work without the reading role, and the page offers no verdicts.
pub(super) async fn offer(transaction: &mut Transaction<'_>, tables: &Tables) -> Result<()> {
    for role in Role::all(tables) {
        offer_one(transaction, &role).await?;
    }
    Ok(())
}

async fn offer_one(transaction: &mut Transaction<'_>, role: &Role) -> Result<()> {
    let step = || Error::postgres("looking for the roles of readers and analysts");
    let tables: Vec<&str> = role.grants.iter().map(|(table, _)| *table).collect();
    let words: Vec<&str> =
        role.grants.iter().map(|(_, grant)| grant.split_once(' ').map_or(*grant, |(word, _)| word)).collect();
    let row = transaction
        .query_one(
            "SELECT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user),
                    EXISTS (SELECT FROM pg_roles WHERE rolname = $1),
                    coalesce((SELECT bool_and(CASE p WHEN 'DELETE' THEN has_table_privilege(r.oid, t, p)
                                                     ELSE has_any_column_privilege(r.oid, t, p) END)
                              FROM pg_roles r, unnest($2::text[], $3::text[]) AS g (t, p) WHERE rolname = $1), false),
                    coalesce((SELECT pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = $1), false),
                    quote_ident(current_schema())",
            &[&role.name, &tables, &words],
        )
        .await
        .map_err(step())?;
    let (may_create, exists, is_granted, is_member): (bool, bool, bool, bool) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    let schema = row.get::<_, Option<String>>(4).unwrap_or_else(|| "public".into());
    let name = role.name;
    let mut statements = Vec::new();
    if may_create && !exists {
        // A consumer of another database may create the role at the same time, because roles belong to the whole
        // server.
        statements.push(format!(
            "DO $$ BEGIN CREATE ROLE {name} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;"
        ));
    }
    if (may_create || exists) && !is_granted {
        statements.extend(role.grants(&schema));
    }
    if may_create && !is_member {
        statements.push(format!("GRANT {name} TO CURRENT_USER;"));
    }
    if statements.is_empty() {
        return Ok(());
    }
    let savepoint = transaction.transaction().await.map_err(step())?;
    match savepoint.batch_execute(&statements.join("\n")).await {
        Ok(()) => savepoint.commit().await.map_err(step()),
        Err(error) => {
            tracing::debug!(%error, role = name, "The role could not be set up; the page works without it.");
            savepoint.rollback().await.map_err(step())
        }
    }
}

/// Returns the statements for an administrator that grant the privileges of the roles that exist.
pub(super) async fn grants(client: &impl GenericClient, tables: &Tables, schema: &str) -> Result<Vec<String>> {
    let query = "SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1)";
    let rows = client.query(query, &[&[READER, ANALYST].as_slice()]).await;
    let rows = rows.map_err(Error::postgres("looking for the roles of readers and analysts"))?;
    let exists = |role: &Role| rows.iter().any(|row| row.get::<_, &str>(0) == role.name);
    Ok(Role::all(tables).iter().filter(|role| exists(role)).flat_map(|role| role.grants(schema)).collect())
}
