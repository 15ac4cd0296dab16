//! Names what windows and alerts can go by: a field of a transaction, or the segment of its merchant.

use ccstream_core::fields::{FIELDS, Place};
use ccstream_core::sql_type::SqlType;

/// What a transaction can be grouped and compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// A field that is a text or a flag.
    Field(Place),
    /// The name of the segment of its merchant, as `ccstream segment` has assigned it.
    Segment,
}

impl Attribute {
    /// Lists all attributes.
    pub fn all() -> impl Iterator<Item = Self> {
        let is_dimension = |place: &Place| matches!(FIELDS[place.index()].sql_type, SqlType::Text(_) | SqlType::Flag);
        Place::all().filter(is_dimension).map(Self::Field).chain([Self::Segment])
    }

    /// Returns the attribute of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::all().find(|one| one.name() == name)
    }

    /// Lists the names of all attributes, for messages.
    pub(crate) fn names() -> String {
        Self::all().map(Self::name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the name: that of the field's column, or `segment`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Field(place) => place.field().column,
            Self::Segment => "segment",
        }
    }
}

impl From<Place> for Attribute {
    fn from(place: Place) -> Self {
        Self::Field(place)
    }
}
