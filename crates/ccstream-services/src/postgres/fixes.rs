//! The statements that make an `orders` of somebody else's usable, in an order that PostgreSQL takes.

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::shape::FoundColumn;
use crate::error::{Error, Result};
use ccstream_core::sql_type::SqlType;
use ccstream_core::table::Column;

/// What is to be run.
#[derive(Debug, Default)]
pub(super) struct Fixes {
    before: Vec<String>,
    /// Parts of one ALTER TABLE, which PostgreSQL puts in order itself.
    parts: Vec<String>,
    after: Vec<String>,
}

impl Fixes {
    /// A statement that comes before ALTER TABLE.
    pub(super) fn first(&mut self, statement: impl Into<String>) {
        self.before.push(statement.into());
    }

    /// A part of ALTER TABLE.
    pub(super) fn alter(&mut self, part: String) {
        self.parts.push(part);
    }

    /// A statement that comes after it.
    pub(super) fn last(&mut self, statement: String) {
        self.after.push(statement);
    }

    /// Puts a column aside, as its values cannot become what is wanted; the consumer adds one of that name.
    pub(super) fn rename_column(&mut self, column: &FoundColumn) {
        let name = &column.name;
        self.first(format!("ALTER TABLE orders RENAME COLUMN {name} TO {name}_before;"));
        if !column.has_default {
            self.allow_null(column, &format!("{name}_before"));
        }
    }

    /// Lets a column that goes by this name be NULL.
    pub(super) fn allow_null(&mut self, column: &FoundColumn, name: &str) {
        if let Some(base) = &column.strict_domain {
            self.last(format!("ALTER TABLE orders ALTER COLUMN {name} TYPE {base};"));
        }
        if column.is_not_null {
            self.last(format!("ALTER TABLE orders ALTER COLUMN {name} DROP NOT NULL;"));
        }
    }

    /// Drops the foreign keys of other tables, which hold the primary key fast.
    pub(super) fn drop_foreign_keys(&mut self, referrers: &[(String, String)]) {
        for (table, constraint) in referrers {
            let statement = format!("ALTER TABLE {table} DROP CONSTRAINT {constraint};");
            if !self.before.contains(&statement) {
                self.before.push(statement);
            }
        }
    }

    /// Drops the views that use one of these columns, and all that use those, and makes them again at the end; their names.
    pub(super) async fn recreate_views(&mut self, client: &impl GenericClient, columns: &[i16]) -> Result<Vec<String>> {
        let views = client
            .query_typed(
                "WITH RECURSIVE users AS (
                     SELECT r.ev_class AS view, 1 AS depth
                     FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
                     WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = to_regclass('orders')
                       AND d.refobjsubid = ANY ($1) AND r.ev_class <> d.refobjid
                     UNION
                     SELECT r.ev_class, users.depth + 1
                     FROM users JOIN pg_depend d ON d.refobjid = users.view
                     JOIN pg_rewrite r ON r.oid = d.objid
                     WHERE d.classid = 'pg_rewrite'::regclass AND r.ev_class <> users.view)
                 SELECT view::regclass::text, CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END,
                        rtrim(pg_get_viewdef(view), '; '), max(depth)
                 FROM users JOIN pg_class c ON c.oid = view GROUP BY view, c.relkind ORDER BY max(depth), view",
                &[(&columns, Type::INT2_ARRAY)],
            )
            .await
            .map_err(Error::postgres("looking for views of orders"))?;
        for row in &views {
            let (name, kind, definition): (String, String, String) = (row.get(0), row.get(1), row.get(2));
            self.before.insert(0, format!("DROP {kind} {name};"));
            self.after.push(format!("CREATE {kind} {name} AS {};", definition.trim()));
        }
        Ok(views.iter().map(|row| row.get(0)).collect())
    }

    /// Those alone that come before ALTER TABLE.
    pub(super) fn only_first(self) -> Self {
        Self { before: self.before, ..Self::default() }
    }

    /// All, in order.
    pub(super) fn statements(mut self) -> Vec<String> {
        if !self.parts.is_empty() {
            self.before.push(format!("ALTER TABLE orders {};", self.parts.join(", ")));
        }
        self.before.append(&mut self.after);
        self.before
    }
}

/// Has a column become one that fits, its values kept as far as they can be. False where it is put aside instead.
pub(super) fn retype(column: &Column, found: &FoundColumn, fixes: &mut Fixes) -> bool {
    let Some((wanted, using)) = conversion(column, found, fixes) else {
        fixes.rename_column(found);
        return false;
    };
    let name = column.name;
    if found.is_identity {
        // A statement before: an identity's type is checked before a part of the same one has dropped it.
        fixes.first(format!("ALTER TABLE orders ALTER COLUMN {name} DROP IDENTITY;"));
    }
    // PostgreSQL would have to convert the default as well, and often cannot.
    if found.has_default {
        fixes.alter(format!("ALTER COLUMN {name} DROP DEFAULT"));
    }
    let using = using.map_or_else(String::new, |using| format!(" USING {using}"));
    fixes.alter(format!("ALTER COLUMN {name} TYPE {wanted}{using}"));
    true
}

/// The type that a column is to have, and what its values become where PostgreSQL does not convert them by itself; None
/// where nothing sensible does. The categories are those of `pg_type.typcategory`.
fn conversion(column: &Column, found: &FoundColumn, fixes: &mut Fixes) -> Option<(String, Option<String>)> {
    let (name, wanted, category) = (column.name, column.sql_type.name().into_owned(), found.category.as_str());
    let is_money = found.type_name == "money";
    Some(match (column.sql_type, category) {
        (SqlType::Id(_) | SqlType::Text(_), _) if found.type_name == "varchar" => (wanted, None),
        // Everything can be written as text, of whatever length.
        (SqlType::Id(_) | SqlType::Text(_), _) => ("TEXT".into(), None),
        (SqlType::Cents | SqlType::Share, "N") => (with_scale(column.sql_type, found), None),
        (SqlType::Cents | SqlType::Share, "S") => (wanted, Some(format!("{name}::numeric"))),
        (SqlType::Instant, _) if found.type_name == "timestamptz" => {
            (wanted, Some(format!("{name} AT TIME ZONE 'UTC'")))
        }
        (SqlType::Instant, "D") if matches!(found.type_name.as_str(), "timestamp" | "date") => (wanted, None),
        (SqlType::Instant, "S") => {
            // Without an offset it is UTC; with one, the cast to TIMESTAMP alone would drop it.
            fixes.first("SET timezone = 'UTC';");
            (wanted, Some(format!("{name}::timestamptz AT TIME ZONE 'UTC'")))
        }
        (SqlType::Degrees(_) | SqlType::Score, "N") if is_money => (wanted, Some(format!("{name}::numeric"))),
        (SqlType::Degrees(_) | SqlType::Score, "N") => (wanted, None),
        (SqlType::Degrees(_) | SqlType::Score, "S") => (wanted, Some(format!("{name}::double precision"))),
        (SqlType::Flag, "N") => (wanted, Some(format!("{name}::numeric <> 0"))),
        (SqlType::Flag, "S") => (wanted, Some(format!("{name}::boolean"))),
        (SqlType::Integer | SqlType::BigInt, "N") => (wanted.clone(), Some(format!("{name}::numeric::{wanted}"))),
        (SqlType::Integer | SqlType::BigInt, "S") => (wanted.clone(), Some(format!("{name}::{wanted}"))),
        _ => return None,
    })
}

/// A NUMERIC with room for what is accepted, and for every digit that is there.
fn with_scale(sql_type: SqlType, found: &FoundColumn) -> String {
    let (whole, scale) = match found.type_name.as_str() {
        "numeric" => SqlType::digits(found.modifier).unwrap_or_default(),
        // Eight bytes, in cents or not.
        "int2" | "int4" | "int8" | "money" => (19, 2),
        // Of a float, or of a domain, every digit.
        _ => return "NUMERIC".into(),
    };
    let (whole, scale) = (whole.max(sql_type.whole_digits()), scale.max(2));
    format!("NUMERIC({},{scale})", whole + scale)
}
