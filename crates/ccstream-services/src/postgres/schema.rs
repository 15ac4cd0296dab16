//! The schema step: makes the tables, brings up an `orders` that somebody else made, and says what
//! is wrong with one that cannot be used. One transaction under an advisory lock, since racing
//! `CREATE TABLE IF NOT EXISTS` fail; it reads the catalogue and alters only what is missing, since
//! `ADD COLUMN IF NOT EXISTS` waits behind every reader even where the column is there.

use std::collections::HashMap;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::begin;
use super::offsets::OFFSETS;
use super::orders::{ORDERS, comment};
use super::tables::Tables;
use crate::error::{Error, Result};
use ccstream_core::table::{COLUMNS, Column};

/// The key of the advisory lock: "ccstream" in ASCII.
const LOCK_KEY: i64 = i64::from_be_bytes(*b"ccstream");

/// The role that dashboards read with: no login, nothing but SELECT.
pub(crate) const READER: &str = "ccstream_reader";

/// What the schema step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaChange {
    /// `orders` was not there.
    pub created_orders: bool,
    /// Columns that were added to an `orders` that was.
    pub added_columns: Vec<String>,
    /// `orders` was new but offsets were not: every partition is read from its beginning again.
    pub started_over: bool,
}

/// What the step is about to do, all of it known before the first statement runs.
#[derive(Debug, Default)]
struct Plan {
    change: SchemaChange,
    /// What each does, and the statements.
    steps: Vec<(String, String)>,
}

/// Makes and checks the tables. Errors: [`Error::Schema`] with what is wrong and how to mend it; for a
/// role that may not make them, the statements for somebody who may.
pub(crate) async fn ensure(client: &mut Client, tables: &Tables) -> Result<SchemaChange> {
    let step = || Error::postgres("preparing the tables");
    // A snapshot of before the lock would not show what the one before us made.
    let mut transaction = begin(client).await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK_KEY]).await.map_err(step())?;
    check_encoding(&transaction).await?;
    let plan = plan(&transaction, tables).await?;
    for (what, statements) in &plan.steps {
        match transaction.batch_execute(statements).await.map_err(Error::postgres(what)) {
            Err(error) if error.sql_state() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                drop(transaction);
                return Err(for_an_administrator(client, tables, &plan.steps, &error).await?);
            }
            done => done?,
        }
    }
    offer_reader(&mut transaction, tables).await?;
    transaction.commit().await.map_err(step())?;
    Ok(plan.change)
}

/// Makes the reading role and lets this one take it on, where that is allowed, and lets it read what is new; whoever reads
/// does without it else.
async fn offer_reader(transaction: &mut Transaction<'_>, tables: &Tables) -> Result<()> {
    let step = || Error::postgres("looking for the reading role");
    let row = transaction
        .query_one(
            "SELECT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user),
                    EXISTS (SELECT FROM pg_roles WHERE rolname = $1),
                    coalesce((SELECT bool_and(has_table_privilege(r.oid, t, 'SELECT'))
                              FROM pg_roles r, unnest($2::text[]) AS t WHERE rolname = $1), false),
                    coalesce((SELECT pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = $1), false),
                    quote_ident(current_schema())",
            &[&READER, &tables.read()],
        )
        .await
        .map_err(step())?;
    let (may_create, exists, reads, is_member): (bool, bool, bool, bool) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    let schema = row.get::<_, Option<String>>(4).unwrap_or_else(|| "public".into());
    let mut statements = Vec::new();
    if may_create && !exists {
        // Another database's consumer may make it at the same time: roles belong to the whole server.
        statements.push(format!(
            "DO $$ BEGIN CREATE ROLE {READER} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
        ));
    }
    if (may_create || exists) && !reads {
        statements.push(grant_reader(tables, &schema));
    }
    if may_create && !is_member {
        statements.push(format!("GRANT {READER} TO CURRENT_USER"));
    }
    if statements.is_empty() {
        return Ok(());
    }
    let savepoint = transaction.transaction().await.map_err(step())?;
    match savepoint.batch_execute(&statements.join(";\n")).await {
        Ok(()) => savepoint.commit().await.map_err(step()),
        Err(error) => {
            tracing::debug!(%error, "There will be no reading role.");
            savepoint.rollback().await.map_err(step())
        }
    }
}

/// The statements that let the reading role read.
fn grant_reader(tables: &Tables, schema: &str) -> String {
    let read = tables.read().join(", ");
    format!("GRANT USAGE ON SCHEMA {schema} TO {READER};\nGRANT SELECT ON {read} TO {READER}")
}

async fn plan(transaction: &Transaction<'_>, tables: &Tables) -> Result<Plan> {
    let mut plan = Plan::default();
    let orders_exist = exists(transaction, ORDERS.name).await?;
    plan.change.created_orders = !orders_exist;
    if orders_exist {
        let missing = check_orders(transaction).await?;
        if !missing.is_empty() {
            let add = missing.iter().map(|one| format!("ADD COLUMN {} {}", one.name, one.sql_type.declaration()));
            let add: Vec<String> = add.collect();
            let comments: Vec<String> = missing.iter().map(|column| comment(column)).collect();
            let statements = format!("ALTER TABLE orders {};\n{}", add.join(", "), comments.join("\n"));
            plan.steps.push(("adding columns to orders".into(), statements));
        }
        plan.change.added_columns = missing.iter().map(|column| column.name.to_owned()).collect();
    }
    for table in tables.all() {
        let name = table.name;
        if !exists(transaction, name).await? {
            plan.steps.push((format!("creating the table {name}"), (table.ddl)()));
            continue;
        }
        if let (false, Some(start_over)) = (orders_exist, table.on_new_orders) {
            plan.steps.push((format!("starting {name} over with a new table orders"), start_over.to_owned()));
            plan.change.started_over |= name == OFFSETS.name && has_rows(transaction).await?;
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

/// The refusal of a role that may not do it, with all that somebody who may has to run.
async fn for_an_administrator(
    client: &Client,
    tables: &Tables,
    steps: &[(String, String)],
    error: &Error,
) -> Result<Error> {
    let names = client
        .query_one(
            "SELECT quote_ident(current_user), quote_ident(current_database()), quote_ident(current_schema()),
                    EXISTS (SELECT FROM pg_roles WHERE rolname = $1)",
            &[&READER],
        )
        .await
        .map_err(Error::postgres("asking for the role's name"))?;
    let (role, database): (String, String) = (names.get(0), names.get(1));
    let schema = names.get::<_, Option<String>>(2).unwrap_or_else(|| "public".into());
    let statements: Vec<&str> = steps.iter().map(|(_, statements)| statements.as_str()).collect();
    Ok(Error::Schema(format!(
        "the role {role} may not prepare the tables: {}; have an administrator run in the database {database}:\n\
         SET search_path = {schema};\n{}\n\
         GRANT USAGE ON SCHEMA {schema} TO {role};\n{}{}",
        error.chain().split("; what to do").next().unwrap_or_default(),
        statements.join("\n"),
        tables.grants(&role, &database).join("\n"),
        if names.get(3) { format!("\n{};", grant_reader(tables, &schema)) } else { String::new() },
    )))
}

async fn has_rows(transaction: &Transaction<'_>) -> Result<bool> {
    let row = transaction.query_one("SELECT EXISTS (SELECT FROM kafka_offsets)", &[]).await;
    Ok(row.map_err(Error::postgres("reading kafka_offsets"))?.get(0))
}

async fn exists(transaction: &Transaction<'_>, table: &str) -> Result<bool> {
    let row = transaction.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await;
    Ok(row.map_err(Error::postgres("looking for the tables"))?.get(0))
}

async fn check_encoding(transaction: &Transaction<'_>) -> Result<()> {
    let row =
        transaction.query_one("SHOW server_encoding", &[]).await.map_err(Error::postgres("asking the encoding"))?;
    let encoding: &str = row.get(0);
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(Error::Schema(format!(
        "the database's encoding is {encoding}, which cannot hold every text; make one with \
         CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
    )))
}

/// A column of the `orders` that is there.
struct Found {
    type_name: String,
    /// `atttypmod`: VARCHAR's length or NUMERIC's precision and scale, -1 for none.
    modifier: i32,
}

/// Checks an `orders` that is there; the columns that it lacks.
async fn check_orders(transaction: &Transaction<'_>) -> Result<Vec<&'static Column>> {
    let look = || Error::postgres("reading the shape of orders");
    let rows = transaction
        .query(
            "SELECT a.attname::text, t.typname::text, a.atttypmod
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
             WHERE a.attrelid = to_regclass('orders') AND a.attnum > 0 AND NOT a.attisdropped",
            &[],
        )
        .await
        .map_err(look())?;
    let found: HashMap<String, Found> =
        rows.iter().map(|row| (row.get(0), Found { type_name: row.get(1), modifier: row.get(2) })).collect();
    let keys = transaction
        .query(
            "SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
             WHERE i.indrelid = to_regclass('orders') AND i.indisprimary AND i.indnkeyatts = 1
               AND i.indimmediate AND a.attname = 'order_id'",
            &[],
        )
        .await
        .map_err(look())?;
    let mut wrong = Vec::new();
    if keys.is_empty() {
        wrong.push(
            "order_id is not its primary key (not deferrable), without which repeats cannot be told; \
             ALTER TABLE orders ADD PRIMARY KEY (order_id)"
                .to_owned(),
        );
    }
    let mut missing = Vec::new();
    for column in COLUMNS.iter() {
        match found.get(column.name) {
            None => missing.push(column),
            Some(found) => wrong.extend(complaint(column, found)),
        }
    }
    if !wrong.is_empty() {
        return Err(Error::Schema(format!("the table orders cannot be used: {}", wrong.join("; "))));
    }
    Ok(missing)
}

/// What is wrong with a column that is there, if anything: its type, or too short for what is accepted.
fn complaint(column: &Column, found: &Found) -> Option<String> {
    if column.sql_type.fits(&found.type_name, found.modifier) {
        return None;
    }
    let (name, wanted) = (column.name, column.sql_type.name());
    Some(format!(
        "its column {name} ({}) does not hold what {wanted} holds; ALTER TABLE orders ALTER COLUMN {name} TYPE {wanted}",
        found.type_name
    ))
}
