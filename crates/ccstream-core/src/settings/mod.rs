//! What a person may set: each setting is declared once, with [`settings!`](crate::settings!), in a struct that its part
//! of the program takes. The declaration has its type, default, limits, environment variable and meaning; Python's
//! constructors, the commands' flags, the stub and the table of the docs are made from it (`make generate`).

pub mod consumer;
pub mod database_url;
pub mod engine;
pub mod kafka;
pub mod producer;
pub mod servers;
pub mod value;

use std::fmt;

pub use self::consumer::{Assignment, ConsumerConfig, MaxRefused};
pub use self::database_url::DatabaseUrl;
pub use self::engine::EngineConfig;
pub use self::kafka::KafkaConfig;
pub use self::producer::{EventSource, ProducerConfig};
pub use self::servers::Servers;
pub use self::value::{Kind, SettingType, Value};

use crate::error::{Error, Result};

/// One setting of a struct `C`.
#[derive(Clone, Copy)]
pub struct Setting<C> {
    /// Its field, and Python's keyword; the flag has hyphens in place of the low lines.
    pub name: &'static str,
    /// What is taken for it.
    pub kind: Kind,
    /// What it means, in lines.
    pub doc: &'static [&'static str],
    /// Its least and greatest value, a length of time in `unit`s.
    pub range: Option<(u64, u64)>,
    /// The environment variable that is read where it is not given.
    pub variable: Option<&'static str>,
    /// The placeholder of its value in a flag's help.
    pub shown: &'static str,
    /// The flag, where that is not its name.
    pub flag: Option<&'static str>,
    /// What becomes of it where it has no default.
    pub unset: &'static str,
    /// Lengths of time are shown in milliseconds, not in seconds.
    pub in_milliseconds: bool,
    /// Its variable may have `_FILE` after its name, and then names the file that holds it.
    pub is_secret: bool,
    /// Sets it.
    pub set: fn(&mut C, Value) -> Result<()>,
    /// Its value; None where it has none.
    pub get: fn(&C) -> Option<Value>,
}

impl<C> fmt::Debug for Setting<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a declaration says beside name, type and default: `@range(1, 16)` calls [`Setting::range`].
impl<C> Setting<C> {
    /// For [`settings!`](crate::settings!) alone.
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
    /// Its least and greatest value.
    #[must_use]
    pub const fn range(self, least: u64, most: u64) -> Self {
        Self { range: Some((least, most)), ..self }
    }
    /// The environment variable that it is read from.
    #[must_use]
    pub const fn variable(self, name: &'static str) -> Self {
        Self { variable: Some(name), ..self }
    }
    /// The placeholder of its value in a flag's help.
    #[must_use]
    pub const fn shown(self, shown: &'static str) -> Self {
        Self { shown, ..self }
    }
    /// The flag, where that is not its name.
    #[must_use]
    pub const fn flag(self, flag: &'static str) -> Self {
        Self { flag: Some(flag), ..self }
    }
    /// What becomes of it where it has no default.
    #[must_use]
    pub const fn unset(self, text: &'static str) -> Self {
        Self { unset: text, ..self }
    }
    /// Its variable may have `_FILE` after its name.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }
    /// It is shown in milliseconds.
    #[must_use]
    pub const fn milliseconds(self) -> Self {
        Self { in_milliseconds: true, ..self }
    }

    /// Errors: [`Error::Config`] where its value is not within its range.
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

    /// The unit of its numbers, with a blank before it.
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

/// A struct whose fields are settings: `SETTINGS` lists them, `Default` has their defaults.
pub trait Settings: Default + 'static {
    /// Each, in the order of the struct.
    const SETTINGS: &'static [Setting<Self>];

    /// Errors: [`Error::Config`] of the first that is not within its range.
    fn check_ranges(&self) -> Result<()> {
        Self::SETTINGS.iter().try_for_each(|setting| setting.check(self))
    }
}

/// Declares a struct of settings. Each has its meaning as a doc comment, what else there is to say of it after an `@`
/// (the methods of `Setting`), its name and type, and its default.
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
