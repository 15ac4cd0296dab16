//! Tests of every way in which the driver fails: whether the failure is retriable, and its exit status.

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::types::{ToSql, Type};

use super::scripted::{Server, Step, fatal, login, message};
use super::*;
use crate::postgres::connect::{connect_with, connect_within, set};
use Step::{Close, Read, Reset, Send, Startup};

/// Holds whether a failure is retriable, and its exit status.
type Verdict = (bool, u8);
const WAITED_FOR: Verdict = (true, 4);
const REFUSED: Verdict = (false, 4);
const BROKEN: Verdict = (false, 70);

/// The operation in which a client fails.
#[derive(Debug, Clone, Copy)]
enum Work {
    Connect,
    ConnectByTls,
    Query,
    CopyIn,
}

type Case = (Work, Vec<Step>);

/// A case in which the server answers the startup packet with these steps.
fn at_login(answer: impl IntoIterator<Item = Step>) -> Case {
    (Work::Connect, [Startup].into_iter().chain(answer).collect())
}

/// A case in which the server answers the request for TLS with these steps.
fn at_tls(answer: impl IntoIterator<Item = Step>) -> Case {
    (Work::ConnectByTls, [Startup].into_iter().chain(answer).collect())
}

/// A case in which the server answers the preparation of a query with these steps.
fn at_query(answer: impl IntoIterator<Item = Step>) -> Case {
    (Work::Query, login().into_iter().chain([Read(b'S')]).chain(answer).collect())
}

/// A case in which the server describes a query's only column, and answers with these messages.
fn at_rows(name: &[u8], kind: &Type, messages: &[Vec<u8>]) -> Case {
    let column = [name, b"\0", &[0; 6], &kind.oid().to_be_bytes(), &[255; 2], &[255; 4], &[0; 2]].concat();
    let description = message(b'T', &[&[0, 1], column.as_slice()].concat());
    let end = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
    let rows = [message(b'2', b""), messages.concat(), end].concat();
    at_query([Send(prepared(description)), Read(b'S'), Send(rows)])
}

/// A case in which the server begins a COPY, reads some of the data, and continues with these steps.
fn at_copy(answer: impl IntoIterator<Item = Step>) -> Case {
    let begun = Send([message(b'2', b""), message(b'G', &[0; 3])].concat());
    let (_, mut script) = at_query([Send(prepared(message(b'n', b""))), Read(b'S'), begun, Read(b'd')]);
    script.extend(answer);
    (Work::CopyIn, script)
}

/// Builds the answer to the preparation of a statement without parameters.
fn prepared(description: Vec<u8>) -> Vec<u8> {
    [message(b'1', b""), message(b't', &[0; 2]), description, message(b'Z', b"I")].concat()
}

fn row(values: &[&[u8]]) -> Vec<u8> {
    let mut body = (values.len() as u16).to_be_bytes().to_vec();
    for value in values {
        body.extend((value.len() as u32).to_be_bytes());
        body.extend(*value);
    }
    message(b'D', &body)
}

/// Runs the operation and returns its error.
async fn fail(work: Work, url: &DatabaseUrl) -> Error {
    if matches!(work, Work::Connect | Work::ConnectByTls) {
        return connect_within(url, Duration::from_millis(500)).await.unwrap_err();
    }
    let (client, service) = connect_with(url, &[]).await.unwrap();
    set(&client, &[]).await.unwrap();
    let failed = if matches!(work, Work::Query) { query(&client).await } else { copy(&client).await };
    service.explain(&client, Error::postgres("working")(failed.unwrap_err())).await
}

async fn query(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.query_one("SELECT name FROM t", &[]).await?.try_get::<_, String>(0).map(drop)
}

async fn copy(client: &Client) -> Result<(), tokio_postgres::Error> {
    let mut sink = std::pin::pin!(client.copy_in("COPY t FROM STDIN").await?);
    loop {
        sink.send(Bytes::from(vec![0; 1 << 16])).await?;
    }
}

/// Compares an error's verdict with the expected one. Returns a description if they differ.
fn check(name: &str, error: &Error, verdict: Verdict) -> Option<String> {
    let found = (error.is_retriable(), error.exit_code());
    let is_right = found == verdict && !error.chain().contains("secret");
    (!is_right).then(|| format!("{name}: {found:?}, {} ({error:?})", error.chain()))
}

#[test]
fn a_failed_connection_is_retriable_and_a_bad_answer_is_not() {
    let garbage = || Send(vec![0xff; 64]);
    let cases = [
        ("reset at once", (Work::Connect, vec![Reset]), WAITED_FOR),
        ("reset in the login", at_login([Reset]), WAITED_FOR),
        ("closed in the login", at_login([Close]), WAITED_FOR),
        ("closed in a message", at_login([Send(b"R\0\0".into()), Close]), WAITED_FOR),
        ("silent", at_login([]), WAITED_FOR),
        ("starting up", at_login([Send(fatal("57P03", "not yet"))]), WAITED_FOR),
        ("a wrong password", at_login([Send(fatal("28P01", "no"))]), REFUSED),
        ("no such database", at_login([Send(fatal("3D000", "no"))]), REFUSED),
        ("garbage for a login", at_login([garbage()]), REFUSED),
        ("a row for a login", at_login([Send(row(&[]))]), REFUSED),
        // The driver cannot distinguish this from a closed connection.
        ("a login cut short", at_login([Send(message(b'R', &[0]))]), WAITED_FOR),
        ("a login by Kerberos", at_login([Send(message(b'R', &[0, 0, 0, 2]))]), REFUSED),
        ("TLS reset", at_tls([Send(b"S".into()), Reset]), WAITED_FOR),
        ("TLS closed", at_tls([Send(b"S".into()), Close]), WAITED_FOR),
        ("TLS closed before it is agreed on", at_tls([Close]), WAITED_FOR),
        ("TLS silent", at_tls([Send(b"S".into())]), WAITED_FOR),
        ("TLS refused", at_tls([Send(b"N".into())]), REFUSED),
        ("garbage for TLS", at_tls([Send(b"S".into()), garbage()]), REFUSED),
        ("reset in a query", at_query([Reset]), WAITED_FOR),
        ("closed in a query", at_query([Close]), WAITED_FOR),
        ("closed in an answer", at_query([Send(b"1\0\0".into()), Close]), WAITED_FOR),
        ("shut down", at_query([Send(fatal("57P01", "bye")), Close]), WAITED_FOR),
        ("a broken server", at_query([Send(fatal("XX000", "bug")), Close]), REFUSED),
        ("garbage in a query", at_query([garbage()]), BROKEN),
        ("a message without a length", at_query([Send(b"1\0\0\0\0".into())]), BROKEN),
        ("a wrong message", at_query([Send(message(b'I', b""))]), BROKEN),
        ("a name not in UTF-8", at_rows(b"\xff", &Type::TEXT, &[]), BROKEN),
        ("a text not in UTF-8", at_rows(b"a", &Type::TEXT, &[row(&[b"\xff"])]), BROKEN),
        ("a number for a text", at_rows(b"a", &Type::INT4, &[row(&[&[0; 4]])]), BROKEN),
        ("a value too many", at_rows(b"a", &Type::TEXT, &[row(&[b"a", b"b"])]), BROKEN),
        ("a value too few", at_rows(b"a", &Type::TEXT, &[row(&[])]), BROKEN),
        ("a row cut short", at_rows(b"a", &Type::TEXT, &[message(b'D', &[0])]), BROKEN),
        ("a row too many", at_rows(b"a", &Type::TEXT, &[row(&[b"a"]), row(&[b"b"])]), BROKEN),
        ("reset in a COPY", at_copy([Reset]), WAITED_FOR),
        ("closed in a COPY", at_copy([Close]), WAITED_FOR),
        ("garbage in a COPY", at_copy([garbage()]), BROKEN),
    ];
    let runtime = crate::runtime().unwrap();
    let mut wrong = Vec::new();
    for (name, (work, script), verdict) in cases {
        let parameters = if matches!(work, Work::ConnectByTls) { "sslmode=require" } else { "sslmode=disable" };
        let error = runtime.block_on(async {
            let server = Server::start(parameters, vec![script]).await;
            let limit = Duration::from_secs(10);
            tokio::time::timeout(limit, fail(work, &server.url)).await.unwrap_or_else(|_| panic!("{name}: no error"))
        });
        wrong.extend(check(name, &error, verdict));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn an_unreachable_server_is_retriable() {
    let runtime = crate::runtime().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for host in [format!("127.0.0.1:{port}"), "nowhere.invalid".into()] {
        let url = DatabaseUrl(format!("postgresql://user@{host}/database"));
        assert_eq!(check("gone", &runtime.block_on(fail(Work::Connect, &url)), WAITED_FOR), None);
    }
}

#[test]
fn our_own_wrong_calls_end_the_program() {
    let Some(sandbox) = Sandbox::new() else { return };
    let client = sandbox.client();
    let calls = async {
        let text: &(dyn ToSql + Sync) = &"text";
        let one = client.query_one("SELECT 1 AS a", &[]).await.unwrap();
        [
            ("a wrong type", client.execute("SELECT $1::int8", &[text]).await.map(drop), BROKEN),
            ("a parameter too many", client.execute("SELECT 1", &[text]).await.map(drop), BROKEN),
            ("a parameter too few", client.execute("SELECT $1::text", &[]).await.map(drop), BROKEN),
            ("a zero byte", client.batch_execute("SELECT '\0'").await, BROKEN),
            ("no row", client.query_one("SELECT 1 WHERE false", &[]).await.map(drop), BROKEN),
            ("no such column", one.try_get::<_, i32>("b").map(drop), BROKEN),
            ("a column of another type", one.try_get::<_, i64>("a").map(drop), BROKEN),
            ("wrong SQL", client.batch_execute("NO SQL").await, REFUSED),
            ("wrong data for COPY", copy_text_as_binary(&client).await, REFUSED),
        ]
    };
    for (name, failed, verdict) in sandbox.runtime.block_on(calls) {
        assert_eq!(check(name, &Error::postgres("working")(failed.unwrap_err()), verdict), None);
    }
}

async fn copy_text_as_binary(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("CREATE TEMPORARY TABLE copied (value integer)").await?;
    let mut sink = std::pin::pin!(client.copy_in("COPY copied FROM STDIN (FORMAT binary)").await?);
    sink.send(Bytes::from_static(b"a text that is no binary data")).await?;
    sink.as_mut().finish().await.map(drop)
}
