//! Runs the schema step: creates missing tables, adds missing columns to an existing `orders`, and reports what is
//! wrong with tables that cannot be used.
//!
//! The step is one transaction under an advisory lock, because concurrent `CREATE TABLE IF NOT EXISTS` statements fail.
//! It reads the catalogue and alters only what is missing, because `ADD COLUMN IF NOT EXISTS` waits for every reader of
//! the table even if the column exists.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, GenericClient, Transaction};

use super::begin;
use super::offsets::OFFSETS;
use super::orders::comment;
use super::roles;
use super::shape::Shape;
use super::tables::Tables;
use super::version;
use crate::error::{Error, Result};

/// The key of the advisory lock: "ccstream" in ASCII.
const LOCK_KEY: i64 = i64::from_be_bytes(*b"ccstream");

/// Reports what the schema step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaChange {
    /// Whether `orders` was created.
    pub created_orders: bool,
    /// Columns that were added to an existing `orders`.
    pub added_columns: Vec<String>,
    /// Whether every partition is read from its beginning again, because `orders` had none of the rows that were
    /// stored.
    pub started_over: bool,
}

/// Lists what the step is going to do. It is complete before the first statement runs.
#[derive(Debug, Default)]
struct Plan {
    change: SchemaChange,
    /// The description and the statements of each step.
    steps: Vec<(String, String)>,
}

/// Creates and checks the tables.
///
/// Errors: [`Error::Schema`], with what is wrong and how to fix it. If the role may not create the tables, the error
/// has the statements for an administrator.
pub(crate) async fn ensure(client: &mut Client, tables: &Tables, start_over: bool) -> Result<SchemaChange> {
    let step = || Error::postgres("preparing the tables");
    // READ COMMITTED takes a new snapshot for each statement. A snapshot from before the lock would not show what the
    // lock's previous holder created.
    let mut transaction = begin(client).await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK_KEY]).await.map_err(step())?;
    check_encoding(&transaction).await?;
    let plan = plan(&transaction, tables, start_over).await?;
    for (what, statements) in &plan.steps {
        match transaction.batch_execute(statements).await.map_err(Error::postgres(what)) {
            Err(error) if error.sql_state() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                drop(transaction);
                return Err(for_an_administrator(client, tables, &plan.steps, &error).await?);
            }
            done => done?,
        }
    }
    roles::offer(&mut transaction, tables).await?;
    transaction.commit().await.map_err(step())?;
    Ok(plan.change)
}

async fn plan(transaction: &Transaction<'_>, tables: &Tables, start_over: bool) -> Result<Plan> {
    let mut plan = Plan::default();
    let shape = Shape::read(transaction).await?;
    plan.change.created_orders = shape.is_none();
    if let Some(shape) = &shape {
        shape.complaints(transaction).await?.into_error()?;
        let missing = shape.missing();
        if !missing.is_empty() {
            let add = missing.iter().map(|one| format!("ADD COLUMN {} {}", one.name, one.sql_type.declaration()));
            let add: Vec<String> = add.collect();
            let comments: Vec<String> = missing.iter().map(|column| comment(column)).collect();
            let statements = format!("ALTER TABLE orders {};\n{}", add.join(", "), comments.join("\n"));
            plan.steps.push(("adding columns to orders".into(), statements));
        }
        plan.change.added_columns = missing.iter().map(|column| column.name.to_owned()).collect();
    }
    let lacking = version::check(transaction, tables).await?;
    if !lacking.tables.contains(&OFFSETS.name) {
        plan.change.started_over = is_lost(transaction, shape.as_ref(), start_over).await?;
    }
    for table in tables.all() {
        let name = table.name;
        if lacking.tables.contains(&name) {
            plan.steps.push((format!("creating the table {name}"), table.ddl()));
            continue;
        }
        if let Some((_, columns)) = lacking.columns.iter().find(|(one, _)| one.name == name) {
            plan.steps.push((format!("adding columns to {name}"), table.add_columns(columns)));
        }
        if let (true, Some(statement)) = (plan.change.started_over, table.on_start_over) {
            plan.steps.push((format!("starting {name} over with an empty table orders"), statement.to_owned()));
        }
        for index in table.further_indexes {
            let row = transaction.query_typed_one("SELECT to_regclass($1) IS NULL", &[(&index.name, Type::TEXT)]).await;
            if row.map_err(Error::postgres(format!("looking for the indexes of {name}")))?.get(0) {
                plan.steps.push((format!("creating the index {}", index.name), index.ddl()));
            }
        }
        for upgrade in table.upgrades {
            let row = transaction.query_one(upgrade.is_needed, &[]).await;
            if row.map_err(Error::postgres(format!("looking for earlier versions of {name}")))?.get(0) {
                plan.steps.push((upgrade.what.to_owned(), upgrade.statements.to_owned()));
            }
        }
    }
    Ok(plan)
}

/// Returns whether `orders` has none of the rows that the offset rows count.
///
/// Errors: `orders` has none of them, but `start_over` is not set. Reading the topic again would silently lose what
/// Kafka no longer has.
pub(crate) async fn is_lost(client: &impl GenericClient, orders: Option<&Shape>, start_over: bool) -> Result<bool> {
    let step = || Error::postgres("comparing orders with kafka_offsets");
    let row = client.query_typed_one("SELECT coalesce(sum(stored), 0)::bigint FROM kafka_offsets", &[]).await;
    let stored: i64 = row.map_err(step())?.get(0);
    if stored == 0 {
        return Ok(false);
    }
    let found = match orders {
        None => "does not exist",
        Some(shape) => {
            // Without the column, the table is an earlier version's or another program's, and has no row of ours.
            let query = "SELECT EXISTS (SELECT FROM orders WHERE kafka_partition IS NOT NULL)";
            let has_origin = !shape.missing().iter().any(|column| column.name == "kafka_partition");
            if has_origin && client.query_typed_one(query, &[]).await.map_err(step())?.get(0) {
                return Ok(false);
            }
            "has none of them"
        }
    };
    if start_over {
        return Ok(true);
    }
    Err(Error::Schema(format!(
        "kafka_offsets counts {stored} stored rows, but the table orders {found}: restore the table, or use \
         `start_over` to read what the topic still has from its beginning"
    )))
}

/// Returns the error for a role that may not create the tables, with all statements that an administrator has to run.
async fn for_an_administrator(
    client: &Client,
    tables: &Tables,
    steps: &[(String, String)],
    error: &Error,
) -> Result<Error> {
    let names = client
        .query_one(
            "SELECT quote_ident(current_user), quote_ident(current_database()), quote_ident(current_schema())",
            &[],
        )
        .await
        .map_err(Error::postgres("querying the role's name"))?;
    let (role, database): (String, String) = (names.get(0), names.get(1));
    let schema = names.get::<_, Option<String>>(2).unwrap_or_else(|| "public".into());
    let mut grants = tables.grants(&role, &database);
    grants.extend(roles::grants(client, tables, &schema).await?);
    let statements: Vec<&str> = steps.iter().map(|(_, statements)| statements.as_str()).collect();
    Ok(Error::Schema(format!(
        "the role {role} may not prepare the tables: {}; have an administrator run in the database {database}:\n\
         SET search_path = {schema};\n{}\n\
         GRANT USAGE ON SCHEMA {schema} TO {role};\n{}",
        error.chain().split("; what to do").next().unwrap_or_default(),
        statements.join("\n"),
        grants.join("\n"),
    )))
}

async fn check_encoding(transaction: &Transaction<'_>) -> Result<()> {
    let row =
        transaction.query_one("SHOW server_encoding", &[]).await.map_err(Error::postgres("querying the encoding"))?;
    let encoding: &str = row.get(0);
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(Error::Schema(format!(
        "the database's encoding is {encoding}, which cannot hold every text; create a database with \
         CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
    )))
}
