//! Whether the relation `orders` can be used: one check for whoever writes it, reads it or looks after it. Of each thing
//! that is wrong it says what, and how to fix it; it changes nothing.

use std::collections::BTreeSet;

use tokio_postgres::{GenericClient, Row};

use super::fixes::{Fixes, retype};
use crate::error::{Error, Result};
use ccstream_core::table::{COLUMNS, Column};

/// The key, without which duplicates cannot be found.
const KEY: &str = "order_id";

/// A relation that is named `orders`, as the catalogue has it.
#[derive(Debug)]
pub(crate) struct Shape {
    /// `relkind`: r is a table.
    kind: String,
    is_logged: bool,
    has_row_security: bool,
    /// The partitioned table that it is a partition of, as SQL names it.
    whole: Option<String>,
    /// Tables that inherit from it.
    children: Vec<String>,
    /// Whether it is a hypertable, whose parts inherit from it.
    is_hypertable: bool,
    /// Rules for INSERT or UPDATE.
    rules: Vec<String>,
    /// The primary key: its name, its columns, whether it is checked at once.
    key: Option<(String, Vec<String>, bool)>,
    /// Foreign keys of other tables that refer to it: the table, and the constraint.
    referrers: Vec<(String, String)>,
    columns: Vec<FoundColumn>,
}

/// A column as the catalogue has it.
#[derive(Debug)]
pub(super) struct FoundColumn {
    pub(super) name: String,
    number: i16,
    /// Its type's name in `pg_type`, and as SQL writes it.
    pub(super) type_name: String,
    pub(super) type_shown: String,
    /// `atttypmod`: VARCHAR's length, NUMERIC's precision and scale, TIMESTAMP's precision; -1 for none.
    pub(super) modifier: i32,
    /// `typcategory`: what kind of type it is.
    pub(super) category: String,
    pub(super) is_not_null: bool,
    /// The type below a domain that takes no NULL.
    pub(super) strict_domain: Option<String>,
    pub(super) has_default: bool,
    /// `attgenerated`: s is stored, v virtual; empty where it is none.
    generated: String,
    pub(super) is_identity: bool,
}

/// What is wrong with the relation, and the statements that fix it, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Complaints {
    pub(crate) what: Vec<String>,
    pub(crate) fix: Vec<String>,
}

impl Complaints {
    /// As an error, if there are any.
    pub(crate) fn into_error(self) -> Result<()> {
        if self.what.is_empty() {
            return Ok(());
        }
        Err(Error::Schema(format!("{}; {}", self.found(), self.cure())))
    }

    /// What is wrong, in a sentence.
    pub(crate) fn found(&self) -> String {
        format!("the table orders cannot be used: {}", self.what.join("; "))
    }

    /// What to do.
    pub(crate) fn cure(&self) -> String {
        format!("to fix it, run: {} Then start the consumer, which makes what is missing", self.fix.join(" "))
    }
}

impl Shape {
    /// Reads it; None where there is no relation `orders`. By statements without a name, as a pooler wants them.
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

    /// The columns of ours that it lacks, which the consumer adds.
    pub(crate) fn missing(&self) -> Vec<&'static Column> {
        COLUMNS.iter().filter(|column| self.column(column.name).is_none()).collect()
    }

    /// What is wrong with it.
    pub(crate) async fn complaints(&self, client: &impl GenericClient) -> Result<Complaints> {
        let put_aside = |what: String| {
            let relation = if self.kind == "c" { "TYPE" } else { "TABLE" };
            Complaints { what: vec![what], fix: vec![format!("ALTER {relation} orders RENAME TO orders_before;")] }
        };
        if self.is_hypertable {
            return Ok(put_aside(
                "it is a hypertable of TimescaleDB's, and ccstream writes to plain tables alone".into(),
            ));
        }
        if let Some(kind) = self.unusable_kind() {
            return Ok(put_aside(format!("it is {kind}, and ccstream writes to plain tables alone")));
        }
        let Some(key) = self.column(KEY).or_else(|| self.columns.iter().find(|column| column.seems_the_key())) else {
            return Ok(put_aside(format!("it has no column {KEY}: it seems to hold something else")));
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
                what.push(format!("its column {} is generated, so that nothing can be stored in it", found.name));
            } else if found.is_identity {
                what.push(format!("its column {} is an identity, so that PostgreSQL numbers it", found.name));
            }
            if !fits {
                let (shown, wanted) = (&found.type_shown, column.sql_type.name());
                what.push(format!("its column {} ({shown}) does not hold all that {wanted} holds", found.name));
            }
            match found.generated.as_str() {
                "" => {}
                // A statement before: a type with USING is refused while it is generated.
                "s" => fixes.first(format!("ALTER TABLE orders ALTER COLUMN {} DROP EXPRESSION;", column.name)),
                // Until version 18 at least, a virtual column cannot become a plain one.
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
                // Their definitions have the old name until it is another.
                fixes = Fixes::default();
                self.check_key(&key.name, &mut Vec::new(), &mut fixes);
                fixes = fixes.only_first();
            }
            if !views.is_empty() {
                let views = views.join(", ");
                what.push(format!(
                    "views use such columns and are made again, without what was granted on them: {views}"
                ));
            }
        }
        Ok(Complaints { what, fix: fixes.statements() })
    }

    fn column(&self, name: &str) -> Option<&FoundColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// What it is, where it is no table that rows can be written to and read from by their place.
    fn unusable_kind(&self) -> Option<&'static str> {
        Some(match self.kind.as_str() {
            "r" => return None,
            "p" => "a partitioned table",
            "f" => "a foreign table",
            "v" => "a view",
            "m" => "a materialized view",
            "S" => "a sequence",
            "c" => "a composite type",
            _ => "no table",
        })
    }

    fn check_table(&self, what: &mut Vec<String>, fixes: &mut Fixes) {
        if !self.is_logged {
            what.push("it is UNLOGGED: after a crash PostgreSQL empties it".into());
            fixes.first("ALTER TABLE orders SET LOGGED;");
        }
        if let Some(whole) = &self.whole {
            what.push(format!("it is a partition of {whole}, which takes only a part of the rows"));
            fixes.first(format!("ALTER TABLE {whole} DETACH PARTITION orders;"));
        }
        for child in &self.children {
            what.push(format!("the table {child} inherits from it, so that its rows seem to be of orders"));
            fixes.first(format!("ALTER TABLE {child} NO INHERIT orders;"));
        }
        for rule in &self.rules {
            what.push(format!("its rule {rule} changes what an INSERT does"));
            fixes.first(format!("DROP RULE {rule} ON orders;"));
        }
        if self.has_row_security {
            what.push("row level security is on, so that whoever reads it may see fewer rows than there are".into());
            fixes.first("ALTER TABLE orders DISABLE ROW LEVEL SECURITY;");
        }
    }

    /// Checks the key, whose column has this name.
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
        what.push(format!("{trouble}, and not ({KEY}), checked at once, without which duplicates cannot be found"));
        if let Some((name, ..)) = &self.key {
            fixes.drop_foreign_keys(&self.referrers);
            fixes.alter(format!("DROP CONSTRAINT {name}"));
        }
        fixes.alter(format!("ADD PRIMARY KEY ({KEY})"));
    }

    /// Columns that ccstream does not know take what PostgreSQL puts there.
    fn check_others(&self, key: &str, what: &mut Vec<String>, fixes: &mut Fixes) {
        let is_ours = |name: &str| name == key || COLUMNS.iter().any(|column| column.name == name);
        for column in self.columns.iter().filter(|column| !is_ours(&column.name)) {
            let is_strict = column.is_not_null || column.strict_domain.is_some();
            if !is_strict || column.has_default || column.is_identity || !column.generated.is_empty() {
                continue;
            }
            what.push(format!(
                "its column {} is NOT NULL and has no default, and ccstream has nothing to put there",
                column.name
            ));
            fixes.allow_null(column, &quoted(&column.name));
        }
    }
}

impl FoundColumn {
    /// Whether it has the key's name in another spelling, or its name on the wire.
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

/// A name as SQL writes it, quoted whether it must be or not.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
