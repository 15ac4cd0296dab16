//! Sends notifications by e-mail.

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, SmtpTransport, Transport};

use super::deliver::{Delivery, LIMIT};
use super::secrets;
use ccstream_analysis::notify::{Mail, Notice};

/// Sends e-mails by one server.
pub(super) struct Mailer {
    mail: Mail,
}

impl Mailer {
    pub(super) fn new(mail: Mail) -> Self {
        Self { mail }
    }

    pub(super) fn send(&self, notice: &Notice) -> Delivery {
        let message = match self.message(notice) {
            Ok(message) => message,
            Err(error) => return Delivery::Failed { error, asked: None, is_refused: true },
        };
        let transport = match self.transport() {
            Ok(transport) => transport,
            Err(error) => return Delivery::failed(error),
        };
        match transport.send(&message) {
            Ok(_) => Delivery::Sent,
            Err(error) => {
                let is_refused = error.is_permanent();
                Delivery::Failed { error: describe(&error), asked: None, is_refused }
            }
        }
    }

    fn message(&self, notice: &Notice) -> Result<Message, String> {
        let mailbox = |address: &str| {
            let address: Address = address.parse().map_err(|error| format!("{address} is no address: {error}"))?;
            Ok::<_, String>(Mailbox::new(None, address))
        };
        Message::builder()
            .from(mailbox(&self.mail.from)?)
            .to(mailbox(&self.mail.to)?)
            .subject(notice.subject())
            .message_id(Some(format!("<{}@ccstream>", notice.key)))
            .header(ContentType::TEXT_PLAIN)
            .body(notice.text())
            .map_err(|error| error.to_string())
    }

    fn transport(&self) -> Result<SmtpTransport, String> {
        let Mail { host, port, is_tls, login, .. } = &self.mail;
        let parameters = TlsParameters::new(host.clone()).map_err(|error| describe(&error))?;
        let tls = match login {
            _ if *is_tls => Tls::Wrapper(parameters),
            // A password is never sent in plain text.
            Some(_) => Tls::Required(parameters),
            None => Tls::Opportunistic(parameters),
        };
        let mut builder = SmtpTransport::builder_dangerous(host).port(*port).timeout(Some(LIMIT)).tls(tls);
        if let Some((user, password)) = login {
            builder = builder.credentials(Credentials::new(user.clone(), secrets::read(password)?));
        }
        Ok(builder.build())
    }
}

/// Returns an error with its causes.
fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut parts: Vec<String> = Vec::new();
    for part in causes.map(ToString::to_string) {
        if !parts.last().is_some_and(|last| last.ends_with(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}
