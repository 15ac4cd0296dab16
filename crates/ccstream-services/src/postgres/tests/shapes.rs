//! Tests of existing tables `orders` with other shapes. Each is refused with statements that fix it. The tests run
//! those statements, and then write to the table.

use super::*;
use crate::postgres::shape::Shape;
use ccstream_core::fields::Place;

const CLASSIC: &str = "order_id VARCHAR(50) PRIMARY KEY, status VARCHAR(50), category VARCHAR(50), value NUMERIC(10,2), \
     timestamp TIMESTAMP, city VARCHAR(100), payment_method VARCHAR(50), discount NUMERIC(4,2)";

/// Creates a relation, checks that the error names `named`, runs the suggested statements and writes to the relation.
fn fixed(create: &str, named: &str) -> Option<Sandbox> {
    let sandbox = Sandbox::new()?;
    sandbox.execute(create);
    let mut store = sandbox.store();
    let error = sandbox.runtime.block_on(store.ensure_schema()).expect_err(create);
    assert_eq!(error.exit_code(), 5, "{create}");
    assert!(error.chain().contains(named), "{create}: {}", error.chain());
    let client = sandbox.client();
    let fix = sandbox.runtime.block_on(async {
        let shape = Shape::read(&client).await.unwrap().unwrap();
        shape.complaints(&client).await.unwrap().fix
    });
    assert!(error.chain().contains(&fix.join(" ")), "{}", error.chain());
    for statement in &fix {
        let done = sandbox.runtime.block_on(client.batch_execute(statement));
        done.unwrap_or_else(|error| panic!("{create}: {statement}: {:?}", error.as_db_error()));
    }
    let mut ensured = sandbox.runtime.block_on(store.ensure_schema());
    if create.contains("a view of it") {
        // The first fix only renames the key. The view's definition has the new name afterwards, and the second fix can
        // recreate the view.
        let error = ensured.unwrap_err().chain();
        let again = error.split("to fix it, run: ").nth(1).unwrap().split(" Then start").next().unwrap();
        sandbox.execute(again);
        ensured = sandbox.runtime.block_on(store.ensure_schema());
    }
    ensured.unwrap_or_else(|error| panic!("{create}, after {fix:?}: {}", error.chain()));
    let positions = sandbox.take_over(&mut store, &Origin::default()).positions;
    let full = event("new").with(Place::STATUS, "approved").with(Place::COUNTRY, "US");
    sandbox.write(&mut store, &mut batch_at(&positions, [full, event("a")]));
    assert_eq!(sandbox.number("SELECT count(*) FROM orders WHERE order_id IN ('new', 'a') AND value = 1"), 2);
    // A duplicate makes the batch take the other route into the table.
    let positions = sandbox.take_over(&mut store, &Origin::default()).positions;
    let positions = sandbox.write(&mut store, &mut batch_of(&positions, &["a", "b"]));
    assert_eq!(positions[&0].counters.duplicate, 1, "{create}");
    sandbox.verify();
    Some(sandbox)
}

fn all_fixed(cases: &[(String, &str)]) {
    for (create, named) in cases {
        if fixed(create, named).is_none() {
            return;
        }
    }
}

#[test]
fn the_suggested_statements_fix_relations_and_keys() {
    let with = |change: &str| format!("CREATE TABLE orders ({CLASSIC}); {change}");
    let cases = [
        ("CREATE TABLE r (order_id VARCHAR(50) PRIMARY KEY); CREATE VIEW orders AS SELECT * FROM r".into(), "a view"),
        ("CREATE MATERIALIZED VIEW orders AS SELECT 'x'::varchar AS order_id".into(), "a materialized view"),
        (format!("CREATE TABLE orders ({CLASSIC}) PARTITION BY HASH (order_id)"), "a partitioned table"),
        (
            "CREATE TABLE orders (order_id VARCHAR(50), timestamp TIMESTAMP, PRIMARY KEY (order_id, timestamp))
             PARTITION BY RANGE (timestamp)"
                .into(),
            "a partitioned table",
        ),
        ("CREATE SEQUENCE orders".into(), "a sequence"),
        ("CREATE TYPE orders AS (order_id TEXT)".into(), "a composite type"),
        (
            format!(
                "CREATE TABLE w ({CLASSIC}) PARTITION BY HASH (order_id);
                 CREATE TABLE orders PARTITION OF w FOR VALUES WITH (modulus 2, remainder 0)"
            ),
            "a partition of w",
        ),
        (with("CREATE TABLE archive () INHERITS (orders)"), "archive inherits"),
        (format!("CREATE UNLOGGED TABLE orders ({CLASSIC})"), "UNLOGGED"),
        (with("CREATE RULE \"My rule\" AS ON INSERT TO orders DO ALSO NOTHING"), "\"My rule\""),
        (with("ALTER TABLE orders ENABLE ROW LEVEL SECURITY"), "row level security"),
        (with("ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"), "row level security"),
        ("CREATE TABLE orders (order_id VARCHAR(50), value NUMERIC(10,2))".into(), "no primary key"),
        ("CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY DEFERRABLE)".into(), "key is deferrable"),
        ("CREATE TABLE orders (id SERIAL PRIMARY KEY, order_id VARCHAR(50) UNIQUE)".into(), "(id)"),
        (
            "CREATE TABLE orders (id INT PRIMARY KEY, order_id VARCHAR(50) UNIQUE);
             CREATE TABLE items (of_order INT REFERENCES orders)"
                .into(),
            "id is NOT NULL",
        ),
        (
            "CREATE TABLE orders (order_id VARCHAR(50), timestamp TIMESTAMP, PRIMARY KEY (order_id, timestamp))".into(),
            "(order_id, timestamp)",
        ),
        ("CREATE TABLE orders (\"Order_ID\" VARCHAR(50) PRIMARY KEY)".into(), "\"Order_ID\""),
        ("CREATE TABLE orders (\"orderId\" INT)".into(), "\"orderId\""),
        ("CREATE TABLE orders (transaction_id UUID PRIMARY KEY)".into(), "transaction_id"),
        ("CREATE TABLE orders (number INT PRIMARY KEY, customer TEXT)".into(), "no column order_id"),
        (
            "CREATE TABLE orders (order_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
             CREATE TABLE items (of_order BIGINT REFERENCES orders)"
                .into(),
            "identity",
        ),
        ("CREATE TABLE orders (order_id SERIAL PRIMARY KEY)".into(), "order_id (integer)"),
        ("CREATE TABLE orders (order_id VARCHAR(20) PRIMARY KEY)".into(), "order_id (character varying(20))"),
    ];
    all_fixed(&cases);
}

#[test]
fn the_suggested_statements_fix_columns() {
    let with = |change: &str| format!("CREATE TABLE orders ({CLASSIC}); {change}");
    let cases = [
        (
            "CREATE TABLE orders (order_id TEXT PRIMARY KEY, customer_id TEXT, price NUMERIC, quantity INTEGER,
                 status TEXT, timestamp TEXT)"
                .into(),
            "timestamp (text)",
        ),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, timestamp TIMESTAMP(3))".into(), "timestamp(3)"),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, timestamp BIGINT)".into(), "timestamp (bigint)"),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, timestamp TIME)".into(), "time without"),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, timestamp BIGINT NOT NULL)".into(), "timestamp (bigint)"),
        (
            "CREATE DOMAIN sure AS BOOLEAN NOT NULL; CREATE TABLE orders (order_id TEXT PRIMARY KEY, value sure)".into(),
            "value (sure)",
        ),
        (
            "CREATE TABLE orders (order_id TEXT PRIMARY KEY, timestamp BIGINT, value REAL);
             CREATE VIEW v AS SELECT timestamp, order_id FROM orders;
             CREATE VIEW w AS SELECT value, 'two  blanks'::text AS x FROM orders"
                .into(),
            "'two  blanks'",
        ),
        (
            "CREATE TABLE orders (transaction_id UUID PRIMARY KEY, value REAL); -- and a view of it
             CREATE VIEW v AS SELECT transaction_id FROM orders"
                .into(),
            "must have the name order_id",
        ),
        (
            "CREATE TABLE orders (order_id TEXT PRIMARY KEY, at BIGINT,
                 timestamp TIMESTAMPTZ GENERATED ALWAYS AS (to_timestamp(at)) STORED,
                 risk_flag INT GENERATED ALWAYS AS (1) STORED, value BOOLEAN GENERATED ALWAYS AS (true) STORED)"
                .into(),
            "timestamp is generated",
        ),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, timestamp DATE DEFAULT now())".into(), "timestamp (date)"),
        (
            "CREATE TABLE orders (order_id TEXT PRIMARY KEY, value DOUBLE PRECISION, city CHAR(3));
             CREATE VIEW v AS SELECT value FROM orders; CREATE VIEW w AS SELECT value + 1 AS more FROM v;
             CREATE MATERIALIZED VIEW m AS SELECT * FROM w; CREATE VIEW other AS SELECT order_id FROM orders"
                .into(),
            "CREATE VIEW v AS SELECT value",
        ),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, value NUMERIC(10,0), discount REAL)".into(), "numeric(10,0)"),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, value NUMERIC(9,4), discount TEXT)".into(), "numeric(9,4)"),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, value MONEY DEFAULT 0)".into(), "value (money)"),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, value BOOLEAN)".into(), "value (boolean)"),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, risk_flag INT DEFAULT 0)".into(), "risk_flag (integer)"),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, risk_flag CHAR(1))".into(), "risk_flag (character(1))"),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, latitude REAL, longitude TEXT)".into(), "latitude (real)"),
        (
            "CREATE TYPE mood AS ENUM ('approved'); CREATE DOMAIN place AS TEXT;
             CREATE TABLE orders (order_id TEXT PRIMARY KEY, status mood DEFAULT 'approved', city place, country TEXT[])"
                .into(),
            "status (mood)",
        ),
        ("CREATE TABLE orders (order_id TEXT PRIMARY KEY, kafka_offset INT, kafka_partition TEXT)".into(), "kafka_offset"),
        (with("ALTER TABLE orders ADD customer_id TEXT NOT NULL, ADD \"The note\" TEXT NOT NULL"), "customer_id is NOT NULL"),
        (
            with("CREATE DOMAIN strict AS TEXT NOT NULL; ALTER TABLE orders ADD note strict"),
            "note is NOT NULL",
        ),
        (
            with("ALTER TABLE orders ADD country VARCHAR(60) GENERATED ALWAYS AS ('US') STORED, ADD mcc TEXT"),
            "country is generated",
        ),
        (
            "CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY, country CHAR(2) GENERATED ALWAYS AS ('US') STORED)"
                .into(),
            "country is generated",
        ),
    ];
    all_fixed(&cases);
}

#[test]
fn unusual_but_usable_shapes_are_accepted() {
    for more in [
        "id SERIAL",
        "id INT GENERATED ALWAYS AS IDENTITY",
        "stored_at TIMESTAMPTZ NOT NULL DEFAULT now()",
        "day DATE GENERATED ALWAYS AS (timestamp::date) STORED",
        "note TEXT NOT NULL DEFAULT ''",
        "note TEXT CHECK (note <> '')",
    ] {
        let Some(sandbox) = Sandbox::new() else { return };
        sandbox.execute(&format!("CREATE TABLE orders ({CLASSIC}, {more})"));
        let (mut store, positions) = sandbox.ready();
        sandbox.write(&mut store, &mut batch_of(&positions, &["a"]));
        sandbox.verify();
    }
}

#[test]
fn a_fix_keeps_existing_values() {
    let zoned = "SET timezone = 'America/New_York'; CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY, timestamp ";
    for (create, kept) in [
        (
            format!("{zoned} TIMESTAMPTZ); INSERT INTO orders VALUES ('x', '2026-01-05T10:00:00Z')"),
            "timestamp = '2026-01-05 10:00:00'",
        ),
        (
            format!(
                "{zoned} TEXT); INSERT INTO orders VALUES ('x', '2026-01-05T10:00:00'), ('y', '2026-01-05T12:00:00+02:00')"
            ),
            "timestamp = '2026-01-05 10:00:00'",
        ),
        (
            "CREATE TABLE orders (order_id INT PRIMARY KEY, value NUMERIC(9,4), risk_flag INT);
             INSERT INTO orders VALUES (7, 12345.6789, 1)"
                .into(),
            "order_id = '7' AND value = 12345.6789 AND risk_flag",
        ),
        (
            "CREATE TABLE orders (order_id VARCHAR(50) PRIMARY KEY, timestamp BIGINT);
             INSERT INTO orders VALUES ('x', 1767607200000)"
                .into(),
            "timestamp IS NULL AND timestamp_before = 1767607200000",
        ),
    ] {
        let Some(sandbox) = fixed(&create, "cannot be used") else { return };
        let others = sandbox.number("SELECT count(*) FROM orders WHERE order_id NOT IN ('new', 'a', 'b')");
        assert!(others > 0);
        let found =
            sandbox.number(&format!("SELECT count(*) FROM orders WHERE {kept} AND order_id NOT IN ('new', 'a', 'b')"));
        assert_eq!(found, others, "{create}");
    }
}
