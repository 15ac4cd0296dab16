//! Converts the values of settings from and to a common form, whether they come from Python, flags or environment
//! variables.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::generate::{Pace, handbook};
use crate::units::Micros;
use crate::validate::parse_moment;

use super::{Assignment, DatabaseUrl, MaxRefused};

/// Lists the kinds of values that settings accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// One of the given texts.
    Choice(&'static [&'static str]),
    /// A moment in the format of RFC 3339 or ISO 8601.
    Moment,
    /// The path of a file.
    File,
    /// A whole number of at least 0.
    Whole,
    /// A whole number of at least 0, or the text `all`.
    Limit,
    /// A number above 0; infinity means as much as possible.
    Rate,
    /// A share of a whole, from 0 to 1.
    Share,
    /// A duration.
    Span,
    /// True or false.
    Switch,
    /// Texts, in their order.
    Texts,
    /// Pairs of names and values.
    Pairs,
}

/// Holds the value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A value of [`Kind::Text`], [`Kind::Choice`] or [`Kind::Moment`], or `all` of [`Kind::Limit`].
    Text(String),
    /// A value of [`Kind::File`].
    File(PathBuf),
    /// A value of [`Kind::Whole`] or [`Kind::Limit`].
    Whole(u64),
    /// A value of [`Kind::Rate`].
    Rate(f64),
    /// A value of [`Kind::Share`].
    Share(f64),
    /// A value of [`Kind::Span`].
    Span(Duration),
    /// A value of [`Kind::Switch`].
    Switch(bool),
    /// A value of [`Kind::Texts`].
    Texts(Vec<String>),
    /// A value of [`Kind::Pairs`].
    Pairs(Vec<(String, String)>),
}

impl Value {
    /// Reads the text of an environment variable. The error says why that is impossible, in words that follow the text.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, &'static str> {
        match kind {
            Kind::Text | Kind::Choice(_) | Kind::Moment => Ok(Self::Text(text.to_owned())),
            Kind::File => Ok(Self::File(text.into())),
            Kind::Whole => text.parse().map(Self::Whole).map_err(|_| "is not a whole number"),
            _ => Err("cannot be set by an environment variable"),
        }
    }

    /// Returns the value in words for a message to a user, without the unit.
    pub fn text(&self, in_milliseconds: bool) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::File(path) => path.display().to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Rate(number) | Self::Share(number) => number.to_string(),
            Self::Span(span) if in_milliseconds => format!("{}", span.as_secs_f64() * 1e3),
            Self::Span(span) => format!("{}", span.as_secs_f64()),
            Self::Switch(is_on) => is_on.to_string(),
            Self::Texts(texts) => texts.join(", "),
            Self::Pairs(pairs) => {
                pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// Converts a type that settings have from and to a [`Value`].
pub trait SettingType: Sized {
    /// The kind of values that the type accepts.
    const KIND: Kind;
    /// Converts a value. Fails with [`Error::Config`], which names the setting, if the value does not fit.
    fn from_value(name: &'static str, value: Value) -> Result<Self>;
    /// Returns the value; None if there is none.
    fn to_value(&self) -> Option<Value>;
}

/// Removes white space and quotes around a text, which secrets, .env files and the clipboard may contain.
///
/// ```
/// use ccstream_core::settings::value::unwrapped;
/// assert_eq!(unwrapped(" \"postgresql://db/x\"\n"), "postgresql://db/x");
/// ```
pub fn unwrapped(text: &str) -> &str {
    let text = text.trim();
    let quoted = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    quoted.map_or(text, unwrapped)
}

fn misfit<T>(name: &'static str, value: &Value) -> Result<T> {
    Err(Error::config(name, format!("{} does not have the type of this setting", value.text(false))))
}

/// Implements [`SettingType`] for types that a variant of [`Value`] holds.
macro_rules! held {
    ($($type:ty, $kind:expr, $variant:ident;)+) => {$(
        impl SettingType for $type {
            const KIND: Kind = $kind;
            fn from_value(name: &'static str, value: Value) -> Result<Self> {
                match value {
                    Value::$variant(held) => Ok(held),
                    other => misfit(name, &other),
                }
            }
            fn to_value(&self) -> Option<Value> {
                Some(Value::$variant(self.clone()))
            }
        }
    )+};
}

held! {
    String, Kind::Text, Text;
    PathBuf, Kind::File, File;
    u64, Kind::Whole, Whole;
    f64, Kind::Share, Share;
    Duration, Kind::Span, Span;
    bool, Kind::Switch, Switch;
    Vec<(String, String)>, Kind::Pairs, Pairs;
}

/// Implements [`SettingType`] for integers that may be smaller than those in [`Value`].
macro_rules! whole {
    ($($type:ty),+) => {$(
        impl SettingType for $type {
            const KIND: Kind = Kind::Whole;
            fn from_value(name: &'static str, value: Value) -> Result<Self> {
                let number = u64::from_value(name, value)?;
                Self::try_from(number)
                    .map_err(|_| Error::config(name, format!("{number} is too large; at most {}", Self::MAX)))
            }
            fn to_value(&self) -> Option<Value> {
                u64::try_from(*self).ok().map(Value::Whole)
            }
        }
    )+};
}

whole!(u16, u32, usize);

impl<T: SettingType> SettingType for Option<T> {
    const KIND: Kind = T::KIND;
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        T::from_value(name, value).map(Some)
    }
    fn to_value(&self) -> Option<Value> {
        self.as_ref().and_then(T::to_value)
    }
}

impl SettingType for DatabaseUrl {
    const KIND: Kind = Kind::Text;
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        String::from_value(name, value).map(|text| Self(unwrapped(&text).to_owned()))
    }
    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(self.0.clone()))
    }
}

impl SettingType for Assignment {
    const KIND: Kind = Kind::Choice(&["eager", "cooperative"]);
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        String::from_value(name, value)?.parse()
    }
    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(self.name().to_owned()))
    }
}

impl SettingType for MaxRefused {
    const KIND: Kind = Kind::Limit;
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        match value {
            Value::Whole(limit) => Ok(Self::Of(limit)),
            Value::Text(text) if text == "all" => Ok(Self::All),
            other => Err(Error::config(name, format!("{:?} is neither a whole number nor all", other.text(false)))),
        }
    }
    fn to_value(&self) -> Option<Value> {
        match self {
            Self::TableAtFault => None,
            Self::Of(limit) => Some(Value::Whole(*limit)),
            Self::All => Some(Value::Text("all".into())),
        }
    }
}

impl SettingType for Micros {
    const KIND: Kind = Kind::Moment;
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        parse_moment(&String::from_value(name, value)?).map_err(|why| Error::config(name, why))
    }
    fn to_value(&self) -> Option<Value> {
        None
    }
}

impl SettingType for Pace {
    const KIND: Kind = Kind::Rate;
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        match value {
            Value::Rate(f64::INFINITY) => Ok(Self::Max),
            Value::Rate(rate) => Ok(Self::PerSecond(rate)),
            other => misfit(name, &other),
        }
    }
    fn to_value(&self) -> Option<Value> {
        match self {
            Self::Human => None,
            Self::PerSecond(rate) => Some(Value::Rate(*rate)),
            Self::Max => Some(Value::Rate(f64::INFINITY)),
        }
    }
}

impl SettingType for handbook::Settings {
    const KIND: Kind = Kind::Text;
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        String::from_value(name, value)?.parse()
    }
    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(self.to_string()))
    }
}
