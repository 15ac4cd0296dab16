//! Collects the statements that make an existing table `orders` usable, in an order that PostgreSQL accepts.

use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::shape::FoundColumn;
use crate::error::{Error, Result};
use ccstream_core::sql_type::SqlType;
use ccstream_core::table::Column;

/// Holds the statements to run.
#[derive(Debug, Default)]
pub(super) struct Fixes {
    before: Vec<String>,
    /// The parts of one ALTER TABLE. PostgreSQL itself runs them in the right order.
    parts: Vec<String>,
    after: Vec<String>,
}

impl Fixes {
    /// Adds a statement that runs before the ALTER TABLE.
    pub(super) fn first(&mut self, statement: impl Into<String>) {
        self.before.push(statement.into());
    }

    /// Adds a part of the ALTER TABLE.
    pub(super) fn alter(&mut self, part: String) {
        self.parts.push(part);
    }

    /// Adds a statement that runs after the ALTER TABLE.
    pub(super) fn last(&mut self, statement: String) {
        self.after.push(statement);
    }

    /// Renames a column whose values cannot be converted. The consumer then adds a new column of the old name.
    pub(super) fn rename_column(&mut self, column: &FoundColumn) {
        let name = &column.name;
        self.first(format!("ALTER TABLE orders RENAME COLUMN {name} TO {name}_before;"));
        if !column.has_default {
            self.allow_null(column, &format!("{name}_before"));
        }
    }

    /// Lets a column be NULL. `name` is the column's name when the statements run.
    pub(super) fn allow_null(&mut self, column: &FoundColumn, name: &str) {
        if let Some(base) = &column.strict_domain {
            self.last(format!("ALTER TABLE orders ALTER COLUMN {name} TYPE {base};"));
        }
        if column.is_not_null {
            self.last(format!("ALTER TABLE orders ALTER COLUMN {name} DROP NOT NULL;"));
        }
    }

    /// Drops the foreign keys of other tables, because they depend on the primary key.
    pub(super) fn drop_foreign_keys(&mut self, referrers: &[(String, String)]) {
        for (table, constraint) in referrers {
            let statement = format!("ALTER TABLE {table} DROP CONSTRAINT {constraint};");
            if !self.before.contains(&statement) {
                self.before.push(statement);
            }
        }
    }

    /// Drops the views that use one of these columns, directly or through another view, and recreates them at the end.
    /// Returns their names.
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

    /// Keeps only the statements that run before the ALTER TABLE.
    pub(super) fn only_first(self) -> Self {
        Self { before: self.before, ..Self::default() }
    }

    /// Returns all statements, in the order in which they have to run.
    pub(super) fn statements(mut self) -> Vec<String> {
        if !self.parts.is_empty() {
            self.before.push(format!("ALTER TABLE orders {};", self.parts.join(", ")));
        }
        self.before.append(&mut self.after);
        self.before
    }
}

/// Converts a column to a type that fits, with its values as far as they can be converted. If they cannot, renames the
/// column and returns false.
pub(super) fn retype(column: &Column, found: &FoundColumn, fixes: &mut Fixes) -> bool {
    let Some((wanted, using)) = conversion(column, found, fixes) else {
        fixes.rename_column(found);
        return false;
    };
    let name = column.name;
    if found.is_identity {
        // This is a separate statement because ALTER TABLE checks an identity column's type before its own parts have
        // dropped the identity.
        fixes.first(format!("ALTER TABLE orders ALTER COLUMN {name} DROP IDENTITY;"));
    }
    // With a default, PostgreSQL would have to convert that as well, and often cannot.
    if found.has_default {
        fixes.alter(format!("ALTER COLUMN {name} DROP DEFAULT"));
    }
    let using = using.map_or_else(String::new, |using| format!(" USING {using}"));
    fixes.alter(format!("ALTER COLUMN {name} TYPE {wanted}{using}"));
    true
}

/// Returns the type that a column is to have, and the expression for USING if PostgreSQL does not convert the values by
/// itself. Returns None if there is no sensible conversion. The categories are those of `pg_type.typcategory`.
fn conversion(column: &Column, found: &FoundColumn, fixes: &mut Fixes) -> Option<(String, Option<String>)> {
    let (name, wanted, category) = (column.name, column.sql_type.name().into_owned(), found.category.as_str());
    let is_money = found.type_name == "money";
    Some(match (column.sql_type, category) {
        (SqlType::Id(_) | SqlType::Text(_), _) if found.type_name == "varchar" => (wanted, None),
        // TEXT fits all values, because any value can be written as text and TEXT has no length limit.
        (SqlType::Id(_) | SqlType::Text(_), _) => ("TEXT".into(), None),
        (SqlType::Cents | SqlType::Share, "N") => (with_scale(column.sql_type, found), None),
        (SqlType::Cents | SqlType::Share, "S") => (wanted, Some(format!("{name}::numeric"))),
        (SqlType::Instant, _) if found.type_name == "timestamptz" => {
            (wanted, Some(format!("{name} AT TIME ZONE 'UTC'")))
        }
        (SqlType::Instant, "D") if matches!(found.type_name.as_str(), "timestamp" | "date") => (wanted, None),
        (SqlType::Instant, "S") => {
            // A text without an offset means UTC. A direct cast to TIMESTAMP would ignore an offset.
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

/// Returns a NUMERIC type that holds every value that ccstream accepts and every digit of the column's present values.
fn with_scale(sql_type: SqlType, found: &FoundColumn) -> String {
    let (whole, scale) = match found.type_name.as_str() {
        "numeric" => SqlType::digits(found.modifier).unwrap_or_default(),
        // Nineteen digits hold every integer of eight bytes. MONEY is such an integer, in cents.
        "int2" | "int4" | "int8" | "money" => (19, 2),
        // A float or a domain may have any number of digits.
        _ => return "NUMERIC".into(),
    };
    let (whole, scale) = (whole.max(sql_type.whole_digits()), scale.max(2));
    format!("NUMERIC({},{scale})", whole + scale)
}
