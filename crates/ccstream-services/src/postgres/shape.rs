//! Checks whether the relation `orders` can be used. The consumer, the readers and `ccstream doctor` share the check.
//! It reports each problem with the statements that fix it, and changes nothing itself.

use std::collections::BTreeSet;

use tokio_postgres::{GenericClient, Row};

use super::fixes::{Fixes, retype};
use crate::error::{Error, Result};
use ccstream_core::table::{COLUMNS, Column};

/// The primary key's column. Duplicates are found by it.
const KEY: &str = "order_id";

/// The relation named `orders`, as PostgreSQL's catalogue describes it.
#[derive(Debug)]
pub(crate) struct Shape {
    /// `pg_class.relkind`; r is a table.
    kind: String,
    is_logged: bool,
    has_row_security: bool,
    /// The partitioned table that it is a partition of, quoted for SQL.
    whole: Option<String>,
    /// Tables that inherit from it.
    children: Vec<String>,
    /// Whether it is a hypertable of TimescaleDB.
    is_hypertable: bool,
    /// Rules for INSERT or UPDATE.
    rules: Vec<String>,
    /// The primary key's name, its columns, and whether it is checked immediately (not deferrable).
    key: Option<(String, Vec<String>, bool)>,
    /// Other tables with foreign keys that refer to it, and those constraints' names.
    referrers: Vec<(String, String)>,
    columns: Vec<FoundColumn>,
}

/// A column, as PostgreSQL's catalogue describes it.
#[derive(Debug)]
pub(super) struct FoundColumn {
    pub(super) name: String,
    number: i16,
    /// The type's name in `pg_type`.
    pub(super) type_name: String,
    /// The type as SQL writes it.
    pub(super) type_shown: String,
    /// `atttypmod`, which holds VARCHAR's length, NUMERIC's precision and scale, or TIMESTAMP's precision; -1 for none.
    pub(super) modifier: i32,
    /// `typcategory`, the kind of the type.
    pub(super) category: String,
    pub(super) is_not_null: bool,
    /// The base type, if the column's type is a NOT NULL domain.
    pub(super) strict_domain: Option<String>,
    pub(super) has_default: bool,
    /// `attgenerated`: s for a stored column, v for a virtual one, empty for one that is not generated.
    generated: String,
    pub(super) is_identity: bool,
}

/// Lists what is wrong with the relation, and the statements that fix it, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Complaints {
    pub(crate) what: Vec<String>,
    pub(crate) fix: Vec<String>,
}

impl Complaints {
    /// Returns the complaints as an error, if there are any.
    pub(crate) fn into_error(self) -> Result<()> {
        if self.what.is_empty() {
            return Ok(());
        }
        Err(Error::Schema(format!("{}; {}", self.found(), self.cure())))
    }

    /// Describes what is wrong.
    pub(crate) fn found(&self) -> String {
        format!("the table orders cannot be used: {}", self.what.join("; "))
    }

    /// Describes what to do.
    pub(crate) fn cure(&self) -> String {
        format!("to fix it, run: {} Then start the consumer, which creates what is missing", self.fix.join(" "))
    }
}

impl Shape {
    /// Reads the shape from the catalogue; None if there is no relation `orders`. It uses unnamed statements only,
    /// because a pooler may run each in another session.
    pub(crate) async fn read(client: &impl GenericClient) -> Result<Option<Self>> {
        let step = || Error::postgres("reading the shape of orders");
        let relation = client
            .query_typed_opt(
                "SELECT c.relkind::text, c.relpersistence <> 'u', c.relrowsecurity,
                        ARRAY(SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = c.oid ORDER BY 1),
                        ARRAY(SELECT quote_ident(rulename) FROM pg_rewrite
                              WHERE ev_class = c.oid AND ev_type IN ('2', '3') ORDER BY 1),
                        (SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p'),
                        ARRAY(SELECT a.attname::text FROM pg_index i
                              CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, place)
                              JOIN pg_attribute a ON (a.attrelid, a.attnum) = (i.indrelid, k.number)
                              WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place),
                        (SELECT indimmediate FROM pg_index WHERE indrelid = c.oid AND indisprimary),
                        ARRAY(SELECT conrelid::regclass::text FROM pg_constraint
                              WHERE confrelid = c.oid AND contype = 'f' AND conparentid = 0 ORDER BY oid),
                        ARRAY(SELECT quote_ident(conname) FROM pg_constraint
                              WHERE confrelid = c.oid AND contype = 'f' AND conparentid = 0 ORDER BY oid),
                        (SELECT inhparent::regclass::text FROM pg_inherits WHERE c.relispartition AND inhrelid = c.oid),
                        EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgname = 'ts_insert_blocker')
                 FROM pg_class c WHERE c.oid = to_regclass('orders')",
                &[],
            )
            .await
            .map_err(step())?;
        let Some(relation) = relation else { return Ok(None) };
        let columns = client
            .query_typed(
                "SELECT a.attname::text, a.attnum, t.typname::text, format_type(a.atttypid, a.atttypmod), a.atttypmod,
                        t.typcategory::text, a.attnotnull,
                        CASE WHEN t.typnotnull THEN format_type(t.typbasetype, t.typtypmod) END,
                        a.attgenerated = '' AND (a.atthasdef OR t.typdefault IS NOT NULL), a.attgenerated::text, a.attidentity <> ''
                 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                 WHERE a.attrelid = to_regclass('orders') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
                &[],
            )
            .await
            .map_err(step())?;
        let key = relation.get::<_, Option<String>>(5);
        let referrers = relation.get::<_, Vec<String>>(8).into_iter().zip(relation.get::<_, Vec<String>>(9));
        Ok(Some(Self {
            kind: relation.get(0),
            is_logged: relation.get(1),
            has_row_security: relation.get(2),
            whole: relation.get(10),
            is_hypertable: relation.get(11),
            children: relation.get(3),
            rules: relation.get(4),
            key: key.map(|name| (name, relation.get(6), relation.get::<_, Option<bool>>(7) == Some(true))),
            referrers: referrers.collect(),
            columns: columns.iter().map(FoundColumn::of).collect(),
        }))
    }

    /// Lists ccstream's columns that the relation lacks. The consumer adds them.
    pub(crate) fn missing(&self) -> Vec<&'static Column> {
        COLUMNS.iter().filter(|column| self.column(column.name).is_none()).collect()
    }

    /// Lists what is wrong with the relation.
    pub(crate) async fn complaints(&self, client: &impl GenericClient) -> Result<Complaints> {
        let put_aside = |what: String| {
            let relation = if self.kind == "c" { "TYPE" } else { "TABLE" };
            Complaints { what: vec![what], fix: vec![format!("ALTER {relation} orders RENAME TO orders_before;")] }
        };
        if self.is_hypertable {
            return Ok(put_aside("it is a TimescaleDB hypertable, but ccstream writes only to plain tables".into()));
        }
        if let Some(kind) = self.unusable_kind() {
            return Ok(put_aside(format!("it is {kind}, but ccstream writes only to plain tables")));
        }
        let Some(key) = self.column(KEY).or_else(|| self.columns.iter().find(|column| column.seems_the_key())) else {
            return Ok(put_aside(format!("it has no column {KEY}, so it seems to hold something else")));
        };
        let mut what = Vec::new();
        let mut fixes = Fixes::default();
        self.check_table(&mut what, &mut fixes);
        self.check_key(&key.name, &mut what, &mut fixes);
        let mut retyped = BTreeSet::new();
        for column in COLUMNS.iter() {
            let Some(found) = self.column(if column.name == KEY { &key.name } else { column.name }) else { continue };
            let generated = !found.generated.is_empty();
            let fits = column.sql_type.fits(&found.type_name, found.modifier);
            if generated {
                what.push(format!("its column {} is generated, so nothing can be stored in it", found.name));
            } else if found.is_identity {
                what.push(format!("its column {} is an identity, so PostgreSQL generates its values", found.name));
            }
            if !fits {
                let (shown, wanted) = (&found.type_shown, column.sql_type.name());
                what.push(format!("its column {} ({shown}) cannot hold every value of {wanted}", found.name));
            }
            match found.generated.as_str() {
                "" => {}
                // This is a separate statement, because a new type with USING is refused for a generated column.
                "s" => fixes.first(format!("ALTER TABLE orders ALTER COLUMN {} DROP EXPRESSION;", column.name)),
                // PostgreSQL 18 cannot turn a virtual column into a plain one.
                _ => {
                    fixes.rename_column(found);
                    continue;
                }
            }
            if !fits {
                if retype(column, found, &mut fixes) {
                    retyped.insert(found.number);
                }
            } else if found.is_identity {
                fixes.alter(format!("ALTER COLUMN {} DROP IDENTITY", column.name));
            }
            if column.name == KEY && !fits {
                fixes.drop_foreign_keys(&self.referrers);
            }
        }
        self.check_others(&key.name, &mut what, &mut fixes);
        if !retyped.is_empty() {
            let views = fixes.recreate_views(client, &retyped.iter().copied().collect::<Vec<i16>>()).await?;
            if !views.is_empty() && key.name != KEY && retyped.contains(&key.number) {
                // The views' definitions contain the key's old name until it is renamed. So only the renaming is
                // suggested now, and the next check suggests the rest.
                fixes = Fixes::default();
                self.check_key(&key.name, &mut Vec::new(), &mut fixes);
                fixes = fixes.only_first();
            }
            if !views.is_empty() {
                let views = views.join(", ");
                what.push(format!(
                    "views use these columns and are recreated, without the privileges granted on them: {views}"
                ));
            }
        }
        Ok(Complaints { what, fix: fixes.statements() })
    }

    fn column(&self, name: &str) -> Option<&FoundColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Names the relation's kind; None for a plain table. Only a plain table can both be written to and be read in
    /// ranges of pages.
    fn unusable_kind(&self) -> Option<&'static str> {
        Some(match self.kind.as_str() {
            "r" => return None,
            "p" => "a partitioned table",
            "f" => "a foreign table",
            "v" => "a view",
            "m" => "a materialized view",
            "S" => "a sequence",
            "c" => "a composite type",
            _ => "not a table",
        })
    }

    fn check_table(&self, what: &mut Vec<String>, fixes: &mut Fixes) {
        if !self.is_logged {
            what.push("it is UNLOGGED, so PostgreSQL empties it after a crash".into());
            fixes.first("ALTER TABLE orders SET LOGGED;");
        }
        if let Some(whole) = &self.whole {
            what.push(format!("it is a partition of {whole}, so it accepts only some of the rows"));
            fixes.first(format!("ALTER TABLE {whole} DETACH PARTITION orders;"));
        }
        for child in &self.children {
            what.push(format!("the table {child} inherits from it, so queries of orders also return rows of {child}"));
            fixes.first(format!("ALTER TABLE {child} NO INHERIT orders;"));
        }
        for rule in &self.rules {
            what.push(format!("its rule {rule} changes what INSERT or UPDATE does"));
            fixes.first(format!("DROP RULE {rule} ON orders;"));
        }
        if self.has_row_security {
            what.push("row level security is enabled, so readers may see only some of the rows".into());
            fixes.first("ALTER TABLE orders DISABLE ROW LEVEL SECURITY;");
        }
    }

    /// Checks the primary key. `found` is the present name of its column.
    fn check_key(&self, found: &str, what: &mut Vec<String>, fixes: &mut Fixes) {
        if found != KEY {
            what.push(format!("its column {found:?} must have the name {KEY}"));
            fixes.first(format!("ALTER TABLE orders RENAME COLUMN {} TO {KEY};", quoted(found)));
        }
        let trouble = match &self.key {
            Some((_, columns, true)) if columns.len() == 1 && columns[0] == found => return,
            None => "it has no primary key".to_owned(),
            Some((_, columns, true)) => format!("its primary key is ({})", columns.join(", ")),
            Some((_, _, false)) => "its primary key is deferrable".to_owned(),
        };
        what.push(format!("{trouble}, but ccstream needs a primary key on ({KEY}) that is not deferrable"));
        if let Some((name, ..)) = &self.key {
            fixes.drop_foreign_keys(&self.referrers);
            fixes.alter(format!("DROP CONSTRAINT {name}"));
        }
        fixes.alter(format!("ADD PRIMARY KEY ({KEY})"));
    }

    /// Checks the columns that ccstream does not know. They get PostgreSQL's default values, so each needs one or has
    /// to allow NULL.
    fn check_others(&self, key: &str, what: &mut Vec<String>, fixes: &mut Fixes) {
        let is_ours = |name: &str| name == key || COLUMNS.iter().any(|column| column.name == name);
        for column in self.columns.iter().filter(|column| !is_ours(&column.name)) {
            let is_strict = column.is_not_null || column.strict_domain.is_some();
            if !is_strict || column.has_default || column.is_identity || !column.generated.is_empty() {
                continue;
            }
            what.push(format!(
                "its column {} is NOT NULL and has no default, but ccstream has no value for it",
                column.name
            ));
            fixes.allow_null(column, &quoted(&column.name));
        }
    }
}

impl FoundColumn {
    /// Returns whether the column has the key's name in another spelling, or the name of its field in messages.
    fn seems_the_key(&self) -> bool {
        matches!(self.name.to_lowercase().replace(['_', '-', ' '], "").as_str(), "orderid" | "transactionid")
    }

    fn of(row: &Row) -> Self {
        Self {
            name: row.get(0),
            number: row.get(1),
            type_name: row.get(2),
            type_shown: row.get(3),
            modifier: row.get(4),
            category: row.get(5),
            is_not_null: row.get(6),
            strict_domain: row.get(7),
            has_default: row.get(8),
            generated: row.get(9),
            is_identity: row.get(10),
        }
    }
}

/// Quotes a name for SQL, whether it needs quotes or not.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
