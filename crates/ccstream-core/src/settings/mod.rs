//! Declares all settings. Each is declared once, with [`settings!`](crate::settings!), in the struct that the part of
//! the program takes. A declaration has the type, default, limits, environment variable and meaning of a setting. `make
//! generate` writes Python's constructors, the flags of the commands, the stub and a table in the docs from it.

pub mod analyzer;
pub mod backfill;
pub mod consumer;
pub mod database_url;
pub mod engine;
pub mod kafka;
mod planned;
pub mod producer;
mod producer_checks;
pub mod servers;
pub mod value;

use std::fmt;

pub use self::analyzer::AnalyzerConfig;
pub use self::backfill::{Backfill, Speed};
pub use self::consumer::{Assignment, ConsumerConfig, MaxRefused};
pub use self::database_url::DatabaseUrl;
pub use self::engine::EngineConfig;
pub use self::kafka::KafkaConfig;
pub use self::producer::ProducerConfig;
pub use self::servers::Servers;
pub use self::value::{Kind, SettingType, Value};

use crate::error::{Error, Result};

/// Describes a setting of the struct `C`.
#[derive(Clone, Copy)]
pub struct Setting<C> {
    /// The name of the field, which is also Python's keyword. The flag has hyphens instead of underscores.
    pub name: &'static str,
    /// The kind of the setting's values.
    pub kind: Kind,
    /// The lines of its documentation.
    pub doc: &'static [&'static str],
    /// The smallest and the largest value; durations are in the setting's [`unit`](Self::unit).
    pub range: Option<(u64, u64)>,
    /// The environment variable that is read if the setting is not given.
    pub variable: Option<&'static str>,
    /// The placeholder for the value in the flag's help.
    pub shown: &'static str,
    /// The flag, if it differs from the name.
    pub flag: Option<&'static str>,
    /// What happens without a value, in words; empty if there is a default.
    pub unset: &'static str,
    /// Whether durations are shown in milliseconds rather than seconds.
    pub in_milliseconds: bool,
    /// Whether the value can be read from a file, which is named by the environment variable with `_FILE` appended.
    pub is_secret: bool,
    /// Sets the value. Fails with [`Error::Config`] if the value does not fit.
    pub set: fn(&mut C, Value) -> Result<()>,
    /// Returns the value; None if it has none.
    pub get: fn(&C) -> Option<Value>,
}

impl<C> fmt::Debug for Setting<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting").field("name", &self.name).finish_non_exhaustive()
    }
}

/// These methods are the attributes of a declaration: `@range(1, 16)` calls [`Setting::range`].
impl<C> Setting<C> {
    /// Creates a setting. Only [`settings!`](crate::settings!) calls this.
    pub const fn new(
        name: &'static str,
        kind: Kind,
        doc: &'static [&'static str],
        set: fn(&mut C, Value) -> Result<()>,
        get: fn(&C) -> Option<Value>,
    ) -> Self {
        let (range, variable, flag) = (None, None, None);
        Self {
            name,
            kind,
            doc,
            range,
            variable,
            shown: "N",
            flag,
            unset: "",
            in_milliseconds: false,
            is_secret: false,
            set,
            get,
        }
    }
    /// Limits the values.
    #[must_use]
    pub const fn range(self, least: u64, most: u64) -> Self {
        Self { range: Some((least, most)), ..self }
    }
    /// Names the environment variable that is read if the setting is not given.
    #[must_use]
    pub const fn variable(self, name: &'static str) -> Self {
        Self { variable: Some(name), ..self }
    }
    /// Sets the placeholder for the value in the flag's help.
    #[must_use]
    pub const fn shown(self, shown: &'static str) -> Self {
        Self { shown, ..self }
    }
    /// Sets a flag that differs from the name.
    #[must_use]
    pub const fn flag(self, flag: &'static str) -> Self {
        Self { flag: Some(flag), ..self }
    }
    /// Describes what happens without a value.
    #[must_use]
    pub const fn unset(self, text: &'static str) -> Self {
        Self { unset: text, ..self }
    }
    /// Allows the value to be read from a file: see [`Setting::is_secret`].
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }
    /// Shows durations in milliseconds.
    #[must_use]
    pub const fn milliseconds(self) -> Self {
        Self { in_milliseconds: true, ..self }
    }

    /// Fails with [`Error::Config`] if the value is not within the range.
    pub fn check(&self, config: &C) -> Result<()> {
        let (Some((least, most)), Some(value)) = (self.range, (self.get)(config)) else { return Ok(()) };
        let unit = self.unit();
        let is_within = match &value {
            Value::Whole(number) => (least..=most).contains(number),
            Value::Span(span) => (self.span(least)..=self.span(most)).contains(span),
            _ => true,
        };
        let text = value.text(self.in_milliseconds);
        let within = if most == u64::MAX { format!("at least {least}") } else { format!("from {least} to {most}") };
        let refused = || Error::config(self.name, format!("{text} is not {within}{unit}"));
        if is_within { Ok(()) } else { Err(refused()) }
    }

    /// Returns the unit of the numbers with a leading space, or an empty text.
    pub fn unit(&self) -> &'static str {
        match self.kind {
            Kind::Span if self.in_milliseconds => " ms",
            Kind::Span => " s",
            _ => "",
        }
    }

    fn span(&self, units: u64) -> std::time::Duration {
        let of = if self.in_milliseconds { std::time::Duration::from_millis } else { std::time::Duration::from_secs };
        of(units)
    }
}

/// Lists the settings of a struct whose fields are settings. `Default` returns the defaults.
pub trait Settings: Default + 'static {
    /// Lists the settings, in the order of the struct.
    const SETTINGS: &'static [Setting<Self>];

    /// Fails with [`Error::Config`] if a value is not within its range. The error names the first one.
    fn check_ranges(&self) -> Result<()> {
        Self::SETTINGS.iter().try_for_each(|setting| setting.check(self))
    }
}

/// Declares a struct of settings. Each setting has a doc comment, attributes after an `@` (which are methods of
/// `Setting`), a name, a type and a default. The first sentence of the doc comment is the help of the flag.
///
/// ```
/// use ccstream_core::settings::{Setting, Settings};
/// ccstream_core::settings! {
///     /// How tea is made.
///     pub struct TeaConfig {
///         /// The number of cups.
///         @range(1, 12)
///         cups: usize = 2;
///     }
/// }
/// assert_eq!(TeaConfig::default().cups, 2);
/// assert_eq!(TeaConfig { cups: 13 }.check_ranges().unwrap_err().to_string(), "cups: 13 is not from 1 to 12");
/// assert_eq!(TeaConfig::SETTINGS[0].doc, [" The number of cups."]);
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub struct $config:ident $(($(#[$part_about:meta])* $part:ident: $part_type:ty))? {
            $($(#[doc = $doc:literal])+ $(@$more:ident($($value:expr),*))* $field:ident: $type:ty = $default:expr;)+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone)]
        pub struct $config {
            $($(#[$part_about])* pub $part: $part_type,)?
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl Default for $config {
            fn default() -> Self {
                Self { $($part: <$part_type>::default(),)? $($field: $default,)+ }
            }
        }

        impl $crate::settings::Settings for $config {
            const SETTINGS: &'static [$crate::settings::Setting<Self>] = &[$(
                $crate::settings::Setting::new(
                    stringify!($field),
                    <$type as $crate::settings::SettingType>::KIND,
                    &[$($doc),+],
                    |config: &mut $config, value| {
                        config.$field = $crate::settings::SettingType::from_value(stringify!($field), value)?;
                        Ok(())
                    },
                    |config: &$config| $crate::settings::SettingType::to_value(&config.$field),
                )
                $(.$more($($value),*))*,
            )+];
        }
    };
}
