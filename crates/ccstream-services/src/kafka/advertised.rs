//! This module checks the addresses that a cluster advertises for its brokers. Clients use these addresses, whatever
//! bootstrap address they started with. A broker in a container that advertises the container's name answers at the
//! bootstrap address but cannot be used.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaError;

use super::client::ASK_LIMIT;

/// Longest wait for a broker to accept a connection, including the resolution of its name.
const REACH_LIMIT: Duration = Duration::from_secs(5);
/// Maximum number of brokers that are tried. A larger cluster is checked in part.
const MOST: usize = 64;

/// Holds which of a cluster's advertised brokers cannot be reached from this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advertised {
    /// Number of brokers that were tried.
    pub(crate) tried: usize,
    /// Each address that cannot be reached, with the cause.
    pub(crate) unreachable: Vec<(String, String)>,
}

impl Advertised {
    /// Asks a cluster for its brokers and tries to connect to each. None is tried if the only broker is one of the
    /// bootstrap `servers`, as that has just answered.
    ///
    /// Errors: the cluster does not answer.
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

    /// Tries to connect to all brokers at the same time.
    fn try_all(brokers: Vec<(String, u16)>) -> Self {
        let tried = brokers.len();
        let until = Instant::now() + REACH_LIMIT;
        // Each broker has its own thread, because a name's resolution has no time limit. A thread that takes too long
        // is not waited for and ends by itself.
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
                // No thread could be started, so it is unknown whether the broker can be reached.
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

    /// Describes the problem if no broker can be reached; None if one can, or if none was tried.
    pub(crate) fn none_reachable(&self, servers: &str) -> Option<String> {
        (self.tried > 0 && self.unreachable.len() == self.tried).then(|| {
            format!(
                "Kafka at {servers} answers, but advertises only addresses that this machine cannot reach: {}; \
                 {ADVERTISE}",
                self.in_words()
            )
        })
    }

    /// Describes the problem if some brokers can be reached and some cannot; None otherwise.
    pub(crate) fn some_unreachable(&self) -> Option<String> {
        (!self.unreachable.is_empty() && self.unreachable.len() < self.tried).then(|| {
            format!("{} of {} brokers cannot be reached: {}", self.unreachable.len(), self.tried, self.in_words())
        })
    }

    /// Lists the addresses that cannot be reached, each with the cause.
    fn in_words(&self) -> String {
        let words = self.unreachable.iter().map(|(address, why)| format!("{address} ({why})"));
        words.collect::<Vec<_>>().join(", ")
    }
}

/// Tells what to do about advertised addresses that cannot be reached.
pub(crate) const ADVERTISE: &str = "set the broker's advertised.listeners (KAFKA_ADVERTISED_LISTENERS in most \
     images) to an address that this machine can reach, or run ccstream where the advertised address can be reached";

/// Connects to an address and disconnects again.
///
/// Errors: the reason why no connection could be opened.
fn reach(host: &str, port: u16) -> Result<(), String> {
    let addresses = (host, port).to_socket_addrs().map_err(|_| "its name cannot be resolved".to_owned())?;
    // A name may have several addresses, of which one may never answer, so all are tried at the same time.
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
    fn an_unreachable_address_is_reported_with_its_cause() {
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
        assert!(none.none_reachable("localhost:9094").unwrap().contains("kafka.invalid:9092"));
        assert_eq!(none.some_unreachable(), None);
        assert_eq!(Advertised::try_all(Vec::new()).none_reachable("s"), None);
    }
}
