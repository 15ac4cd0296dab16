//! This module adds the bootstrap servers again to a client that has lost all brokers.
//!
//! librdkafka forgets brokers that the cluster's metadata no longer lists and returns to the bootstrap servers once
//! none is left. A single-node cluster lists no broker for a moment after its node was suspended for longer than its
//! session (9 s; closing a laptop's lid is enough). librdkafka 2.12 then gets stuck: it detects the empty list while
//! still processing the metadata response and starts the re-bootstrap timer (`rd_kafka_rebootstrap`), and the end of
//! the same processing (`rd_kafka_handle_Metadata`) stops that timer. The client never contacts anyone again, so we add
//! the bootstrap servers ourselves.
//!
//! The `unsafe` code is sound because `native_ptr` is a live `rd_kafka_t` while the client is borrowed, and may be used
//! from any thread. The servers' string is only read during the call, which copies it. librdkafka allocates the ids,
//! which are not read and are freed once.

use std::ffi::CString;
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings as raw;
use rdkafka::client::{Client, ClientContext};

use super::cluster_id;

/// Interval at which the client's brokers are checked.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// Longest interval between two checks. The interval doubles while adding the servers does not help, because librdkafka
/// keeps every copy of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Holds the bootstrap servers, and when the client's brokers were last checked.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    servers: CString,
    /// When the client's brokers were last checked.
    checked: Instant,
    /// Time until the next check.
    pause: Duration,
}

impl Bootstrap {
    /// Creates this for servers that were validated, and so have no NUL.
    pub(crate) fn new(servers: &str) -> Self {
        let servers = CString::new(servers).expect("valid servers have no NUL");
        Self { servers, checked: Instant::now(), pause: CHECK_EVERY }
    }

    /// Checks at intervals whether the client still has a broker, and adds the bootstrap servers if it has none.
    pub(crate) fn keep(&mut self, client: &Client<impl ClientContext>) {
        if self.checked.elapsed() < self.pause {
            return;
        }
        self.checked = Instant::now();
        // Before the client has reached the cluster it still has the bootstrap servers with which it was created.
        if has_brokers(client) || cluster_id(client, Duration::ZERO).is_none() {
            self.pause = CHECK_EVERY;
            return;
        }
        if self.pause == CHECK_EVERY {
            tracing::warn!("The cluster lists no broker; contacting the bootstrap servers again.");
        }
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
        // SAFETY: the client is live and the string is NUL-terminated, as the module's documentation explains.
        unsafe { raw::rd_kafka_brokers_add(client.native_ptr(), self.servers.as_ptr()) };
    }
}

/// Returns whether the client knows a broker of the cluster.
fn has_brokers(client: &Client<impl ClientContext>) -> bool {
    let mut count = 0;
    // SAFETY: the client is live, and the ids are freed once.
    unsafe {
        let ids = raw::rd_kafka_brokers_learned_ids(client.native_ptr(), &raw mut count);
        raw::rd_kafka_mem_free(ptr::null_mut(), ids.cast());
    }
    count > 0
}
