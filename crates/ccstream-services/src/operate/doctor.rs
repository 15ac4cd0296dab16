//! Implements `ccstream doctor`, which checks broker, topic, database, sessions, tables and privileges, and says how to
//! fix what is wrong. It changes nothing. It includes the tables of truth and those of the analysis where they exist,
//! because only a consumer that was asked for the truth and an analyzer create them.

use std::path::Path;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::analyze::{read_alerts, read_windows};
use crate::error::{Error, Result};
use crate::kafka::advertised::ADVERTISE;
use crate::kafka::client::{
    ASK_LIMIT, ClientLog, TopicInfo, check_advertised, find_topic, refused, unreachable, why_silent,
};
use crate::kafka::ffi::cluster_id;
use crate::kafka::options::options;
use crate::postgres::analysis::LIFETIME;
use crate::postgres::connect::{connect, connect_within};
use crate::postgres::own_session;
use crate::postgres::schema::is_lost;
use crate::postgres::shape::Shape;
use crate::postgres::tables::Tables;
use crate::postgres::version;
use ccstream_core::Error as CoreError;
use ccstream_core::settings::{DatabaseUrl, KafkaConfig};

/// The oldest supported major version of PostgreSQL.
const OLDEST_POSTGRES: i32 = 13;
/// The longest time that [`ping`] waits for the connection, and again for the answer.
const PING_LIMIT: Duration = Duration::from_secs(3);

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked: broker, topic, database, session, tables, privileges, analysis, windows, alerts or versions.
    pub name: &'static str,
    /// Whether the check passed.
    pub ok: bool,
    /// What was found, in words.
    pub found: String,
    /// What to do, in words or as SQL statements; empty if nothing has to be done.
    pub mend: String,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, ok: true, found: found.into(), mend: String::new() }
    }

    /// A failed check. The sentence says what was found, and after the separator what to do.
    fn refused(name: &'static str, sentence: &str, separator: &str) -> Self {
        let (found, mend) = sentence.split_once(separator).unwrap_or((sentence, ""));
        Self::bad(name, found, mend)
    }

    fn bad(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, ok: false, found: found.into(), mend: mend.into() }
    }
}

/// Runs all checks, in the order in which the pipeline needs their subjects. `windows` and `alerts` are the files
/// of windows and of alerts, if they are not the usual ones.
///
/// Errors: a setting of Kafka cannot be used. Everything else is a check that failed.
pub fn doctor(
    kafka: &KafkaConfig,
    url: &DatabaseUrl,
    tables: &Tables,
    (windows, alerts): (Option<&Path>, Option<&Path>),
) -> Result<Vec<Check>> {
    kafka.validate()?;
    let mut checks = check_kafka(kafka)?;
    crate::runtime()?.block_on(check_database(url, tables, &mut checks));
    checks.extend(read_windows(windows).map(|read| check_definitions("windows", "counted", read)));
    checks.extend(read_alerts(alerts, vec![kafka.topic.clone()]).map(|read| check_definitions("alerts", "used", read)));
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    checks.push(Check::good("versions", format!("ccstream {}, librdkafka {librdkafka}", env!("CARGO_PKG_VERSION"))));
    Ok(checks)
}

/// Checks the file of windows or of alerts: what it defines, and what is wrong. `done` says what is not done with what is
/// wrong.
fn check_definitions(name: &'static str, done: &str, (found, wrong): (String, Vec<String>)) -> Check {
    if wrong.is_empty() {
        return Check::good(name, found);
    }
    let mend =
        format!("correct the file; what is wrong is not {done}, and the analyzer reads it again when it changes");
    Check::bad(name, wrong.join("\n    "), mend)
}

/// Returns whether the database accepts the login and answers a query, each within 3 s.
///
/// Errors: the URL cannot be used.
pub async fn ping(url: &DatabaseUrl) -> Result<bool> {
    match connect_within(url, PING_LIMIT).await {
        Ok(client) => {
            let answer = tokio::time::timeout(PING_LIMIT, client.simple_query("SELECT 1")).await;
            Ok(answer.is_ok_and(|rows| rows.is_ok()))
        }
        Err(error) if error.exit_code() == 2 => Err(error),
        Err(_) => Ok(false),
    }
}

fn check_kafka(kafka: &KafkaConfig) -> Result<Vec<Check>> {
    let servers = &kafka.bootstrap_servers;
    let client = BaseConsumer::from_config_and_context(&options(kafka, &[])?, ClientLog::default()).map_err(refused)?;
    let answer = find_topic(client.client(), &kafka.topic);
    // librdkafka reports why there is no answer only to a client that polls.
    let _ = client.poll(Duration::from_millis(100));
    Ok(match answer {
        Ok(found) => {
            let cluster = cluster_id(client.client(), ASK_LIMIT).unwrap_or_else(|| "unknown".into());
            let silent = |source| {
                let _ = client.poll(Duration::from_millis(100));
                unreachable(servers, client.context(), source)
            };
            let broker = match check_advertised(client.client(), servers, silent) {
                Ok(None) => Check::good("broker", format!("{servers} answers, cluster {cluster}")),
                Ok(Some(text)) => {
                    Check::bad("broker", format!("{servers} answers; {text}"), format!("start them, or {ADVERTISE}"))
                }
                Err(error) => return Ok(vec![Check::refused("broker", &error.to_string(), "; ")]),
            };
            let topic = match found {
                Some(TopicInfo { partitions }) => format!("{} has {partitions} partition(s)", kafka.topic),
                None => {
                    format!("{} does not exist yet; the producer creates it if the broker allows that", kafka.topic)
                }
            };
            let topic = Check::good("topic", topic);
            vec![broker, topic]
        }
        Err(error) => {
            let (why, advice) = why_silent(servers, client.context());
            tracing::debug!(%error, "The broker did not answer.");
            vec![Check::bad("broker", why, advice)]
        }
    })
}

async fn check_database(url: &DatabaseUrl, tables: &Tables, checks: &mut Vec<Check>) {
    let client = match connect(url).await {
        Ok(client) => client,
        Err(error) => {
            let mend = match error.sql_state().map(tokio_postgres::error::SqlState::code) {
                Some("28P01" | "28000") => "give the right user and password in `database_url` or DATABASE_URL",
                Some("3D000") => "create the database with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
                _ => error.advice().unwrap_or("see the server's log"),
            };
            checks.push(Check::bad("database", error.causes(), mend));
            return;
        }
    };
    match check_connected(&client, url, tables).await {
        Ok(mut found) => checks.append(&mut found),
        Err(error) => checks.push(Check::bad("database", error.chain(), "see the server's log")),
    }
}

/// Runs the checks that need a connection to the database.
async fn check_connected(client: &Client, url: &DatabaseUrl, tables: &Tables) -> Result<Vec<Check>> {
    let ask = || Error::postgres("checking the database");
    let row = client
        .query_typed_one(
            "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_version'),
                    current_setting('server_encoding'), pg_is_in_recovery(),
                    has_schema_privilege(current_schema(), 'CREATE'),
                    has_database_privilege(current_database(), 'TEMPORARY'), current_user::text,
                    quote_ident(current_user), quote_ident(current_database()),
                    quote_ident(coalesce(current_schema(), 'public'))",
            &[],
        )
        .await
        .map_err(ask())?;
    let (major, version, encoding): (i32, String, String) = (row.get(0), row.get(1), row.get(2));
    let (standby, may_create, may_stage): (bool, Option<bool>, bool) = (row.get(3), row.get(4), row.get(5));
    let user: String = row.get(6);
    let found = format!("{url} answers, PostgreSQL {version}, {encoding}");
    let database = if major < OLDEST_POSTGRES {
        Check::bad("database", found, format!("use PostgreSQL {OLDEST_POSTGRES} or later"))
    } else if encoding != "UTF8" {
        let mend = "create a database with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0";
        Check::bad("database", found, mend)
    } else if standby {
        Check::bad("database", format!("{found}, read-only (a standby)"), "name the primary in `database_url`")
    } else {
        Check::good("database", found)
    };
    let (tables, has_analysis) = &with_existing(client, tables).await?;
    let names = tables.names();
    let wanted: Vec<String> = tables.all().iter().map(|table| table.privileges.join(",")).collect();
    let found = client
        .query_typed(
            "SELECT t, to_regclass(t) IS NOT NULL,
                    CASE WHEN to_regclass(t) IS NULL THEN '' ELSE (
                        SELECT coalesce(string_agg(p, ', '), '') FROM unnest(string_to_array(w, ',')) AS p
                        WHERE NOT has_table_privilege(to_regclass(t), p)) END
             FROM unnest($1::text[], $2::text[]) AS u (t, w)",
            &[(&names, Type::TEXT_ARRAY), (&wanted, Type::TEXT_ARRAY)],
        )
        .await
        .map_err(ask())?;
    let missing = found.iter().any(|row| !row.get::<_, bool>(1));
    let tables_check = check_tables(client, tables).await?;
    let (role, database_name, schema): (String, String, String) = (row.get(7), row.get(8), row.get(9));
    let (mut lacking, mut grants) = (Vec::new(), Vec::new());
    if missing && may_create != Some(true) {
        lacking.push("CREATE on the schema".to_owned());
        grants.push(format!("GRANT CREATE ON SCHEMA {schema} TO {role};"));
    }
    if !may_stage {
        lacking.push("TEMPORARY on the database".to_owned());
        grants.push(format!("GRANT TEMPORARY ON DATABASE {database_name} TO {role};"));
    }
    for row in &found {
        let (table, refused): (&str, &str) = (row.get(0), row.get(2));
        if !refused.is_empty() {
            lacking.push(format!("{refused} on {table}"));
            grants.push(format!("GRANT {refused} ON {table} TO {role};"));
        }
    }
    let privileges = if lacking.is_empty() {
        Check::good("privileges", format!("{user} has all that are needed"))
    } else {
        Check::bad("privileges", format!("{user} lacks {}", lacking.join("; ")), grants.join(" "))
    };
    let mut checks = vec![database, check_session(url).await?, tables_check, privileges];
    // Without the privilege to read the lease, the check of privileges has failed.
    if *has_analysis && !grants.iter().any(|grant| grant.contains("SELECT") && grant.contains(" ON analysis ")) {
        checks.push(check_analysis(client).await?);
    }
    Ok(checks)
}

/// Returns the tables, with those of truth and those of the analysis if one of them exists, and whether the table of the
/// analysis's lease exists.
async fn with_existing(client: &Client, tables: &Tables) -> Result<(Tables, bool)> {
    let exists = "SELECT to_regclass('truth') IS NOT NULL OR to_regclass('truth_offsets') IS NOT NULL,
                         to_regclass('analysis') IS NOT NULL";
    let row = client.query_typed_one(exists, &[]).await.map_err(Error::postgres("checking the database"))?;
    let mut tables = tables.clone();
    if row.get(0) {
        tables = tables.with_truth();
    }
    if row.get(1) {
        tables = tables.with_analysis();
    }
    Ok((tables, row.get(1)))
}

/// Checks whether an analyzer has the lease, and whether it still gives signs of life.
async fn check_analysis(client: &Client) -> Result<Check> {
    let query = format!(
        "SELECT writer IS NOT NULL, owner_pid, to_char(owner_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
                floor(extract(epoch FROM clock_timestamp() - renewed_at))::bigint, seq,
                renewed_at < clock_timestamp() - interval '{LIFETIME}'
         FROM analysis"
    );
    let rows = client.query_typed(&query, &[]).await.map_err(Error::postgres("checking the analysis"))?;
    let Some(row) = rows.first() else {
        return Ok(Check::bad("analysis", "the table analysis has no row", "restore the tables of the analysis"));
    };
    let (is_leased, is_stale): (bool, bool) = (row.get(0), row.get(5));
    let (pid, since): (Option<i32>, Option<String>) = (row.get(1), row.get(2));
    let (silent, seq): (i64, i64) = (row.get(3), row.get(4));
    if !is_leased {
        return Ok(Check::good("analysis", format!("no analyzer runs; {seq} transactions and labels are analysed")));
    }
    let session = format!(
        "the session with process id {} since {} UTC",
        pid.map_or_else(|| "unknown".into(), |pid| pid.to_string()),
        since.as_deref().unwrap_or("an unknown time")
    );
    Ok(if is_stale {
        let found = format!("{session} has the lease and has given no sign of life for {silent} s");
        Check::bad("analysis", found, "start `ccstream analyze`, which takes the lease over")
    } else {
        Check::good("analysis", format!("{session} has the lease; {seq} transactions and labels are analysed"))
    })
}

/// Checks whether each of the consumer's connections would have its own session.
async fn check_session(url: &DatabaseUrl) -> Result<Check> {
    match own_session::check(url).await {
        Ok(()) => Ok(Check::good("session", "each connection has its own")),
        Err(Error::Core(CoreError::Config { reason, .. })) => Ok(Check::refused("session", &reason, ": ")),
        Err(error @ Error::NoSecondSession { .. }) => Ok(Check::refused("session", &error.to_string(), "; ")),
        Err(error) => Err(error),
    }
}

/// Checks whether the tables can be used, or whether the consumer will create or complete them.
async fn check_tables(client: &Client, tables: &Tables) -> Result<Check> {
    let mut plans = Vec::new();
    let shape = Shape::read(client).await?;
    if let Some(shape) = &shape {
        let complaints = shape.complaints(client).await?;
        if !complaints.what.is_empty() {
            return Ok(Check::bad("tables", complaints.found(), complaints.cure()));
        }
        let missing: Vec<&str> = shape.missing().iter().map(|column| column.name).collect();
        if !missing.is_empty() {
            plans.push(format!("add {} to orders", missing.join(", ")));
        }
    }
    let refused = |reason: &str| Check::refused("tables", reason, ": ");
    let lacking = match version::check(client, tables).await {
        Err(Error::Schema(reason)) => return Ok(refused(&reason)),
        lacking => lacking?,
    };
    let may_read = "SELECT coalesce(bool_and(has_table_privilege(to_regclass(t), 'SELECT')), false)
                    FROM unnest(ARRAY['orders', 'kafka_offsets']) AS t WHERE to_regclass(t) IS NOT NULL";
    let may_read: bool =
        client.query_typed_one(may_read, &[]).await.map_err(Error::postgres("checking the database"))?.get(0);
    if may_read && !lacking.tables.contains(&"kafka_offsets") {
        match is_lost(client, shape.as_ref(), false).await {
            Err(Error::Schema(reason)) => return Ok(refused(&reason)),
            lost => lost.map(drop)?,
        }
    }
    plans.append(&mut lacking.in_words());
    if !plans.is_empty() {
        return Ok(Check::good("tables", format!("the consumer will {}", plans.join("; "))));
    }
    let names = tables.names();
    let (last, others) = names.split_last().expect("orders at least");
    Ok(Check::good("tables", format!("{} and {last} exist", others.join(", "))))
}
