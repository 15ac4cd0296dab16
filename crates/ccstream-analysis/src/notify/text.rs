//! Writes a notification as plain text, for e-mails.

use std::fmt::Write;

use super::notice::{Notice, What, shorten};

/// The most characters of a subject.
const MAX_SUBJECT: usize = 150;

impl Notice {
    /// Returns one line that says what has happened.
    pub fn title(&self) -> String {
        let (severity, rule) = (self.severity(), &self.rule);
        let closed = if self.what == What::Closed { ", closed" } else { "" };
        match &self.alerts[..] {
            [one] => {
                let key = one.key.as_deref().map_or_else(String::new, |key| format!(": {}", shorten(key, 60)));
                format!("Alert {rule} ({severity}{closed}){key}")
            }
            several => format!("{} alerts {rule} ({severity}{closed})", several.len()),
        }
    }

    /// Returns the subject of an e-mail.
    pub fn subject(&self) -> String {
        let title: String = self.title().chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
        format!("[ccstream] {}", shorten(&title, MAX_SUBJECT))
    }

    /// Returns the text of an e-mail.
    pub fn text(&self) -> String {
        let (listed, others) = self.listed();
        let mut text = format!("{}\n", self.title());
        for alert in listed {
            let closed = alert.closed_at.as_ref().map_or_else(String::new, |at| format!(", closed {at}"));
            let _ = writeln!(text, "\n{}\n(alert {}, opened {}{closed})", alert.text, alert.id, alert.opened_at);
            if let Some(runbook) = &alert.runbook {
                let _ = writeln!(text, "See {runbook}");
            }
        }
        if others > 0 {
            let _ = writeln!(text, "\nand {others} more");
        }
        text
    }
}
