//! Defines the types of fields and columns: their SQL names, and which existing columns can hold their values.

use std::borrow::Cow;

/// Lists the types of values. The type of a field determines how its values are checked, written and stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SqlType {
    /// The primary key, a text with this maximum number of characters.
    Id(usize),
    /// A text with this maximum number of characters.
    Text(usize),
    /// An amount of money in hundredths.
    Cents,
    /// A share from 0 to 1 with two decimals.
    Share,
    /// A moment in UTC.
    Instant,
    /// Degrees from minus this number to this number.
    Degrees(f64),
    /// True or false.
    Flag,
    /// A number from 0 to 1 of any precision, such as a probability.
    Score,
    /// An integer of 32 bits that ccstream sets. It is never in a message.
    Integer,
    /// An integer of 64 bits that ccstream sets. It is never in a message.
    BigInt,
}

/// PostgreSQL adds this to a length or precision in `atttypmod`: the size of the header of a varlena value
/// (`VARHDRSZ`).
const HEADER: i32 = 4;

impl SqlType {
    /// Returns the SQL name of the type.
    ///
    /// ```
    /// use ccstream_core::sql_type::SqlType;
    /// assert_eq!(SqlType::Text(50).name(), "VARCHAR(50)");
    /// assert_eq!(SqlType::Cents.name(), "NUMERIC(10,2)");
    /// ```
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Id(chars) | Self::Text(chars) => format!("VARCHAR({chars})").into(),
            Self::Cents => "NUMERIC(10,2)".into(),
            Self::Share => "NUMERIC(4,2)".into(),
            Self::Instant => "TIMESTAMP".into(),
            Self::Degrees(_) | Self::Score => "DOUBLE PRECISION".into(),
            Self::Flag => "BOOLEAN".into(),
            Self::Integer => "INTEGER".into(),
            Self::BigInt => "BIGINT".into(),
        }
    }

    /// Returns the declaration of a column of this type, as ccstream creates it.
    pub fn declaration(self) -> String {
        match self {
            // Comparing bytes is cheaper than the rules of a language, and it is the order in which batches are sorted.
            Self::Id(_) => format!("{} COLLATE \"C\"", self.name()),
            _ => self.name().into_owned(),
        }
    }

    /// Returns the name of the type in `pg_type`.
    pub fn pg_type(self) -> &'static str {
        match self {
            Self::Id(_) | Self::Text(_) => "varchar",
            Self::Cents | Self::Share => "numeric",
            Self::Instant => "timestamp",
            Self::Degrees(_) | Self::Score => "float8",
            Self::Flag => "bool",
            Self::Integer => "int4",
            Self::BigInt => "int8",
        }
    }

    /// Returns whether an existing column can hold every value of this type.
    ///
    /// `type_name` is the name of the column's type in `pg_type`. `modifier` is the column's `atttypmod`: the length of
    /// a VARCHAR, the precision and scale of a NUMERIC, or the precision of a TIMESTAMP; -1 if it has none.
    pub fn fits(self, type_name: &str, modifier: i32) -> bool {
        let is_same = type_name == self.pg_type();
        match self {
            Self::Id(chars) | Self::Text(chars) => match type_name {
                "text" => true,
                "varchar" => modifier < 0 || modifier - HEADER >= chars as i32,
                _ => false,
            },
            Self::Cents | Self::Share => {
                let digits = Self::digits(modifier);
                is_same && digits.is_none_or(|(whole, scale)| whole >= self.whole_digits() && scale >= 2)
            }
            Self::Instant => is_same && !(0..6).contains(&modifier),
            _ => is_same,
        }
    }

    /// Returns the number of digits before the decimal point that a NUMERIC column needs for this type. The column also
    /// needs two after it.
    pub fn whole_digits(self) -> i32 {
        if self == Self::Share { 1 } else { 8 }
    }

    /// Returns the numbers of digits before and after the decimal point of a NUMERIC with this `atttypmod`; None if it
    /// is unlimited.
    pub fn digits(modifier: i32) -> Option<(i32, i32)> {
        let bits = modifier - HEADER;
        // Since PostgreSQL 15, the scale is a signed number of eleven bits.
        let (precision, scale) = ((bits >> 16) & 0xffff, ((bits & 0x7ff) ^ 0x400) - 0x400);
        (modifier >= 0).then_some((precision - scale, scale))
    }

    /// Describes which JSON values are accepted, for a message to a user.
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Self::Id(_) | Self::Text(_) => "a string",
            Self::Cents | Self::Share | Self::Degrees(_) | Self::Score => "a number, or a string with a number",
            Self::Instant => "a string (RFC 3339) or a number (since 1970)",
            Self::Flag => "true, false, 0 or 1",
            Self::Integer | Self::BigInt => "absent",
        }
    }

    /// Returns the maximum number of characters; None if the type is not a text.
    pub fn max_chars(self) -> Option<usize> {
        match self {
            Self::Id(chars) | Self::Text(chars) => Some(chars),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_can_hold_a_type() {
        let numeric = |precision: i32, scale: i32| (precision << 16 | scale) + 4;
        for (sql_type, type_name, modifier, expected) in [
            (SqlType::Id(50), "varchar", 54, true),
            (SqlType::Id(50), "varchar", 104, true),
            (SqlType::Id(50), "varchar", -1, true),
            (SqlType::Id(50), "text", -1, true),
            (SqlType::Id(50), "varchar", 44, false),
            (SqlType::Id(50), "uuid", -1, false),
            (SqlType::Text(4), "varchar", 8, true),
            (SqlType::Text(4), "varchar", 7, false),
            (SqlType::Text(4), "bpchar", 8, false),
            (SqlType::Cents, "numeric", numeric(10, 2), true),
            (SqlType::Cents, "numeric", numeric(12, 4), true),
            (SqlType::Cents, "numeric", -1, true),
            (SqlType::Cents, "float8", -1, false),
            (SqlType::Cents, "numeric", numeric(10, 0), false),
            (SqlType::Cents, "numeric", numeric(10, 3), false),
            (SqlType::Share, "numeric", numeric(4, 2), true),
            (SqlType::Share, "numeric", numeric(3, 2), true),
            (SqlType::Share, "numeric", numeric(2, 2), false),
            (SqlType::Cents, "numeric", numeric(10, -2 & 0x7ff), false),
            (SqlType::Instant, "timestamp", -1, true),
            (SqlType::Instant, "timestamp", 6, true),
            (SqlType::Instant, "timestamp", 3, false),
            (SqlType::Instant, "timestamptz", -1, false),
            (SqlType::Degrees(90.0), "float8", -1, true),
            (SqlType::Degrees(90.0), "float4", -1, false),
            (SqlType::Score, "float8", -1, true),
            (SqlType::Flag, "bool", -1, true),
            (SqlType::Flag, "int4", -1, false),
            (SqlType::BigInt, "int8", -1, true),
            (SqlType::BigInt, "int4", -1, false),
        ] {
            assert_eq!(sql_type.fits(type_name, modifier), expected, "{sql_type:?} in {type_name} {modifier}");
        }
    }

    #[test]
    fn created_columns_fit() {
        for (sql_type, modifier) in [
            (SqlType::Id(7), 11),
            (SqlType::Text(7), 11),
            (SqlType::Cents, (10 << 16 | 2) + 4),
            (SqlType::Share, (4 << 16 | 2) + 4),
            (SqlType::Instant, -1),
            (SqlType::Degrees(1.0), -1),
            (SqlType::Flag, -1),
            (SqlType::Score, -1),
            (SqlType::Integer, -1),
            (SqlType::BigInt, -1),
        ] {
            assert!(sql_type.fits(sql_type.pg_type(), modifier), "{}", sql_type.declaration());
        }
    }
}
