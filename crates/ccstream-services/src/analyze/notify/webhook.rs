//! Sends notifications by HTTP.

use std::time::{Duration, SystemTime};

use ureq::config::Config;
use ureq::http::HeaderMap;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Error};

use super::deliver::{Delivery, LIMIT};
use super::secrets;
use ccstream_analysis::notify::{Answer, Form, Notice, Secret, judge};

/// A webhook.
pub(super) struct Webhook {
    url: Secret,
    form: Form,
    agent: Agent,
}

impl Webhook {
    pub(super) fn new(url: Secret, form: Form) -> Self {
        let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier).build();
        let config = Config::builder()
            .tls_config(tls)
            .timeout_global(Some(LIMIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Notifications are rare, and a server may close a connection at the moment at which it is used again.
            .max_idle_connections(0)
            .user_agent(concat!("ccstream/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { url, form, agent: config.new_agent() }
    }

    pub(super) fn send(&self, notice: &Notice) -> Delivery {
        let url = match secrets::url(&self.url) {
            Ok(url) => url,
            Err(error) => return Delivery::failed(error),
        };
        let request = self.agent.post(&url);
        let request = request.header("Content-Type", "application/json").header("Idempotency-Key", &notice.key);
        // The body of the answer is not read: its status says enough, and an error page may contain a secret of the URL.
        match request.send(notice.body(self.form)) {
            Ok(response) => {
                let status = response.status().as_u16();
                let says = format!("the server answered {}", response.status());
                match judge(status) {
                    Answer::Taken => Delivery::Sent,
                    Answer::Later => {
                        Delivery::Failed { error: says, asked: retry_after(response.headers()), is_refused: false }
                    }
                    Answer::Refused => {
                        let error = if (300..400).contains(&status) {
                            format!("{says}, and redirects are not followed")
                        } else {
                            says
                        };
                        Delivery::Failed { error, asked: None, is_refused: true }
                    }
                }
            }
            Err(error) => Delivery::failed(describe(&error).replace(&url, "the URL")),
        }
    }
}

/// Returns how long a server wants to be left alone.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok())
}

/// Describes an error without the URL, which may have a secret.
fn describe(error: &Error) -> String {
    match error {
        Error::BadUri(_) => "the URL cannot be used".into(),
        Error::Timeout(_) => format!("no answer within {} s", LIMIT.as_secs()),
        Error::HostNotFound => "the host was not found".into(),
        other => other.to_string(),
    }
}
