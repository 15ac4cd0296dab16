//! Writes a notification for Slack's incoming webhooks: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.

use serde_json::{Value, json};

use super::notice::{Notice, shorten};

/// The most characters of the text of a section, which Slack limits to 3,000.
const MAX_SECTION: usize = 2_900;
/// The most characters of the line of one alert.
const MAX_ALERT: usize = 500;

pub(super) fn body(notice: &Notice) -> Value {
    let (listed, others) = notice.listed();
    let title = escape(&notice.title());
    // A section holds as many lines as fit into it.
    let mut sections = vec![format!("*{title}*")];
    let lines = listed.iter().map(|alert| {
        let text = escape(&shorten(&alert.text, MAX_ALERT));
        let runbook = alert.runbook.as_deref().map(|link| format!(" (see {})", escape(link)));
        format!("• {text}{} `{}`", runbook.unwrap_or_default(), alert.id)
    });
    for line in lines.chain((others > 0).then(|| format!("and {others} more"))) {
        let line = shorten(&line, MAX_SECTION);
        match sections.last_mut() {
            Some(last) if last.chars().count() + line.chars().count() < MAX_SECTION => {
                last.push('\n');
                last.push_str(&line);
            }
            _ => sections.push(line),
        }
    }
    let block = |text: &String| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    json!({ "text": title, "blocks": sections.iter().map(block).collect::<Vec<_>>() })
}

/// Escapes the three characters that Slack reads as its own.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
