//! The bootstrap servers, named again to a client that has lost all brokers.
//!
//! librdkafka drops a broker that the cluster does not name, and begins anew with the bootstrap servers once it has none.
//! A cluster of one names none for a moment after that one stood still for longer than its session (9 s; a laptop's lid
//! is enough). But that none is left is found while the cluster's answer is being read, and the end of the reading calls
//! the new beginning off (librdkafka 2.12: `rd_kafka_rebootstrap` sets a timer, and `rd_kafka_handle_Metadata` stops it),
//! after which the client asks nobody, for good.
//!
//! Why the `unsafe` is sound: `native_ptr` is a live `rd_kafka_t` while the client is borrowed, and may be used from any
//! thread; the servers' text is only read during the call, which copies it; the ids are librdkafka's own allocation, are
//! not read, and are freed once.

use std::ffi::CString;
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings as raw;
use rdkafka::client::{Client, ClientContext};

use super::cluster_id;

/// How often it is looked,
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// and while naming the servers does not help: librdkafka keeps each copy.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(30);

/// The servers, and when it was looked last whether the client needs them.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    servers: CString,
    looked: Instant,
    pause: Duration,
}

impl Bootstrap {
    /// For servers that are valid, and so have no NUL.
    pub(crate) fn new(servers: &str) -> Self {
        let servers = CString::new(servers).expect("valid servers have no NUL");
        Self { servers, looked: Instant::now(), pause: LOOK_EVERY }
    }

    /// Looks, now and then, whether the client still has a broker, and names the servers to it if it has none.
    pub(crate) fn keep(&mut self, client: &Client<impl ClientContext>) {
        if self.looked.elapsed() < self.pause {
            return;
        }
        self.looked = Instant::now();
        // Before it has met the cluster it has the servers that it was made with, and keeps a copy of any that are added.
        if has_brokers(client) || cluster_id(client, Duration::ZERO).is_none() {
            self.pause = LOOK_EVERY;
            return;
        }
        if self.pause == LOOK_EVERY {
            tracing::warn!("The cluster named no broker: asking the bootstrap servers again.");
        }
        self.pause = (2 * self.pause).min(LOOK_AT_LEAST_EVERY);
        // SAFETY: a live client and a NUL-terminated text; see the file's head.
        unsafe { raw::rd_kafka_brokers_add(client.native_ptr(), self.servers.as_ptr()) };
    }
}

/// Whether the client knows a broker of the cluster.
fn has_brokers(client: &Client<impl ClientContext>) -> bool {
    let mut count = 0;
    // SAFETY: a live client; what is returned is freed once.
    unsafe {
        let ids = raw::rd_kafka_brokers_learned_ids(client.native_ptr(), &raw mut count);
        raw::rd_kafka_mem_free(ptr::null_mut(), ids.cast());
    }
    count > 0
}
