//! What every table of ours says of itself.

/// A table of ours.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The statements that create it, with its comments.
    pub ddl: fn() -> String,
    /// What the consumer's role must be allowed on it.
    pub privileges: &'static [&'static str],
    /// Whether the dashboards' role reads it.
    pub reader: bool,
    /// The statement that starts it over where `orders` is new and it is not; None where it keeps what it has.
    pub on_new_orders: Option<&'static str>,
    /// What brings up a table of an earlier version, in order.
    pub upgrades: &'static [Upgrade],
}

/// A step from an earlier version's table to this one's.
#[derive(Debug, Clone, Copy)]
pub struct Upgrade {
    /// What it does, in words.
    pub what: &'static str,
    /// A query of one boolean: whether the table that is there needs it.
    pub is_needed: &'static str,
    /// The statements.
    pub statements: &'static str,
}

/// What the consumer's role is allowed on most tables.
pub const WRITES: &[&str] = &["SELECT", "INSERT", "UPDATE"];
