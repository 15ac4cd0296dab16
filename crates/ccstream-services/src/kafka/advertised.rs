//! The addresses that a cluster names for its brokers: clients use these, whatever address they asked at first. A broker in
//! a container that names its name there is found, and cannot be used.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaError;

use super::client::ASK_LIMIT;

/// How long a broker may take to accept a connection, its name's resolution included.
const REACH_LIMIT: Duration = Duration::from_secs(5);
/// Of a larger cluster no more are tried.
const MOST: usize = 64;

/// The brokers that a cluster names, and those of them that cannot be reached from this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advertised {
    /// How many were tried.
    pub(crate) tried: usize,
    /// Each address that cannot be reached, with the cause.
    pub(crate) unreachable: Vec<(String, String)>,
}

impl Advertised {
    /// Asks for the brokers, and tries each but those that were asked.
    pub(crate) fn ask<C: ClientContext>(client: &Client<C>, servers: &str) -> Result<Self, KafkaError> {
        let metadata = client.fetch_metadata(None, ASK_LIMIT)?;
        let asked = |address: &str| servers.split(',').any(|server| server.rsplit("://").next() == Some(address));
        if let [only] = metadata.brokers()
            && asked(&format!("{}:{}", only.host(), only.port()))
        {
            return Ok(Self { tried: 0, unreachable: Vec::new() });
        }
        let brokers = metadata.brokers().iter().take(MOST);
        Ok(Self::try_all(brokers.map(|broker| (broker.host().to_owned(), broker.port() as u16)).collect()))
    }

    fn try_all(brokers: Vec<(String, u16)>) -> Self {
        let tried = brokers.len();
        let until = Instant::now() + REACH_LIMIT;
        // Threads, as a resolver may take longer than anybody waits; then its thread ends by itself.
        let asked: Vec<_> = brokers
            .into_iter()
            .map(|(host, port)| {
                let (answer, answers) = mpsc::channel();
                let (name, of_thread) = (format!("{host}:{port}"), host.clone());
                let spawned = thread::Builder::new()
                    .name("ccstream-reach".into())
                    .spawn(move || drop(answer.send(reach(&of_thread, port))));
                (name, spawned.map(|_| answers))
            })
            .collect();
        let unreachable = asked.into_iter().filter_map(|(name, answers)| {
            let answer = match answers {
                Ok(answers) => answers.recv_timeout(until.saturating_duration_since(Instant::now())),
                // What was not tried is not known to be unreachable.
                Err(_) => return None,
            };
            match answer {
                Ok(Ok(())) => None,
                Ok(Err(why)) => Some((name, why)),
                Err(_) => Some((name, format!("no answer within {} s", REACH_LIMIT.as_secs()))),
            }
        });
        Self { tried, unreachable: unreachable.collect() }
    }

    /// What to say where no broker can be reached; None where one can.
    pub(crate) fn none_reachable(&self, servers: &str) -> Option<String> {
        (self.tried > 0 && self.unreachable.len() == self.tried).then(|| {
            format!(
                "Kafka at {servers} answers, and names {} for clients to use, which this machine cannot reach; {ADVERTISE}",
                self.in_words()
            )
        })
    }

    /// What to say where some can be reached and some cannot; None otherwise.
    pub(crate) fn some_unreachable(&self) -> Option<String> {
        (!self.unreachable.is_empty() && self.unreachable.len() < self.tried).then(|| {
            format!("{} of {} brokers cannot be reached: {}", self.unreachable.len(), self.tried, self.in_words())
        })
    }

    fn in_words(&self) -> String {
        let words = self.unreachable.iter().map(|(address, why)| format!("{address} ({why})"));
        words.collect::<Vec<_>>().join(", ")
    }
}

/// What to do about addresses that cannot be reached.
pub(crate) const ADVERTISE: &str = "set the broker's advertised.listeners (KAFKA_ADVERTISED_LISTENERS of most images) to \
     an address that clients reach, or run ccstream where that name is known";

/// Errors: why no connection could be opened.
fn reach(host: &str, port: u16) -> Result<(), String> {
    let addresses = (host, port).to_socket_addrs().map_err(|_| "its name cannot be resolved".to_owned())?;
    // All at once: of a name with two addresses, one may swallow whatever is sent to it.
    let (answer, answers) = mpsc::channel();
    for address in addresses {
        let answer = answer.clone();
        thread::spawn(move || drop(answer.send(TcpStream::connect_timeout(&address, REACH_LIMIT).map(drop))));
    }
    drop(answer);
    let mut why = "its name has no address".to_owned();
    for answer in answers {
        match answer {
            Ok(()) => return Ok(()),
            Err(error) => why = error.to_string().to_lowercase(),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_cannot_be_reached_is_named_with_its_cause() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap().port();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let local = |port| ("127.0.0.1".to_owned(), port);
        let unknown = ("kafka.invalid".to_owned(), 9092);
        let all = Advertised::try_all(vec![local(open)]);
        assert_eq!((all.none_reachable("s"), all.some_unreachable()), (None, None));
        let some = Advertised::try_all(vec![local(open), local(closed), unknown.clone()]);
        assert_eq!(some.none_reachable("s"), None);
        let text = some.some_unreachable().unwrap();
        assert!(text.starts_with("2 of 3 brokers cannot be reached: 127.0.0.1:"), "{text}");
        assert!(text.contains("refused") && text.contains("kafka.invalid:9092 (its name"), "{text}");
        let none = Advertised::try_all(vec![unknown]);
        assert!(none.none_reachable("localhost:9094").unwrap().contains("names kafka.invalid:9092"));
        assert_eq!(none.some_unreachable(), None);
        assert_eq!(Advertised::try_all(Vec::new()).none_reachable("s"), None);
    }
}
