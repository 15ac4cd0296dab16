//! Tests of session settings, which are in force from the session's start, or are set afterwards if a pooler refuses
//! them in the startup packet.

use super::scripted::{Server, Step, fatal, login};
use super::*;
use crate::postgres::connect::{connect_with, set};

const SETTINGS: [(&str, &str); 2] = [("statement_timeout", "0"), ("transaction_timeout", "0")];

#[test]
fn they_override_the_roles_from_the_first_statement_on() {
    let Some(sandbox) = Sandbox::new() else { return };
    let role = sandbox.schema();
    sandbox.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'own'; GRANT ALL ON SCHEMA {role} TO {role};
         ALTER ROLE {role} SET statement_timeout = 1; ALTER ROLE {role} SET lock_timeout = 1;
         ALTER ROLE {role} SET idle_in_transaction_session_timeout = 1; ALTER ROLE {role} SET work_mem = '1MB'"
    ));
    let (_, place) = sandbox.url.0.split_once('@').unwrap();
    let database_url = DatabaseUrl(format!("postgresql://{role}:own@{place}%20-c%20work_mem%3D2MB"));
    let config = ConsumerConfig { database_url, ..ConsumerConfig::default() };
    let settings = sandbox.runtime.block_on(async {
        let mut store = Store::connect(&config, &Tables::default(), &Blame::default()).await.unwrap();
        store.ensure_schema().await.unwrap();
        // `reset_val` is the value before any SET, which is the startup packet's.
        let names =
            ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "work_mem", "search_path"];
        let sql = "SELECT name, reset_val FROM pg_settings WHERE name = ANY ($1) ORDER BY name";
        let rows = store.client.query(sql, &[&names.as_slice()]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(String, String)>>()
    });
    sandbox.execute(&format!("GRANT {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}"));
    let expected = [
        ("idle_in_transaction_session_timeout", "60000"),
        ("lock_timeout", "5000"),
        ("search_path", role.as_str()),
        ("statement_timeout", "0"),
        ("work_mem", "2048"),
    ];
    assert_eq!(settings, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

/// Connects to a server that first sends this refusal, and accepts the next connection. Returns the result and the
/// startup packets.
fn connect_after(refusal: Vec<u8>) -> (Result<()>, Vec<String>) {
    crate::runtime().unwrap().block_on(async {
        let refused = vec![Step::Startup, Step::Send(refusal), Step::Close];
        let server = Server::start("sslmode=disable&options=-c%20geqo%3Doff", vec![refused, login()]).await;
        let connected = match connect_with(&server.url, &SETTINGS).await {
            Ok((client, _)) => set(&client, &SETTINGS).await,
            Err(error) => Err(error),
        };
        (connected, server.startups())
    })
}

#[test]
fn a_pooler_that_refuses_them_is_asked_again_without_them() {
    let without = "options\0-c geqo=off\0";
    let older = "options\0-c geqo=off -c statement_timeout=0\0";
    for (state, text, second) in [
        ("08P01", "unsupported startup parameter: options", without),
        ("08P01", "unsupported startup parameter in options: statement_timeout", without),
        ("0A000", "Feature not supported: RDS Proxy currently doesn't support command-line options.", without),
        ("42704", "unrecognized configuration parameter \"transaction_timeout\"", older),
    ] {
        let (connected, startups) = connect_after(fatal(state, text));
        connected.unwrap();
        let options = ["options\0-c geqo=off -c statement_timeout=0 -c transaction_timeout=0\0", second];
        assert_eq!(startups.len(), options.len(), "{text}");
        for (startup, options) in startups.iter().zip(options) {
            assert!(startup.contains(options), "{startup:?}");
        }
    }
}

#[test]
fn a_server_that_refuses_something_else_is_not_asked_twice() {
    let (connected, startups) = connect_after(fatal("28P01", "password authentication failed"));
    assert_eq!((connected.unwrap_err().exit_code(), startups.len()), (4, 1));
}
