//! Says who is notified of alerts, and how: reads the targets of `alerts.toml`, writes notifications in the forms of their
//! targets, and decides when one that failed is re-sent. It sends nothing itself.
//!
//! ```text
//! alerts.toml ──> targets ──> which alerts each is notified of
//! alerts of one rule ──> notice ──> body: JSON, Slack's, Alertmanager's, or the text of an e-mail
//! answer of a server ──> retry: sent, re-sent after a time, or refused
//! ```

mod alertmanager;
mod notice;
mod parse;
mod retry;
mod secret;
mod slack;
mod target;
mod text;

pub use self::notice::{Notice, Noticed, What};
pub use self::parse::check_url;
pub use self::retry::{Answer, judge, pause};
pub use self::secret::Secret;
pub use self::target::{Channel, Form, Mail, Target};
