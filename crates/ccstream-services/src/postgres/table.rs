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
}

/// What the consumer's role is allowed on most tables.
pub const WRITES: &[&str] = &["SELECT", "INSERT", "UPDATE"];
