//! The cluster's id. `rdkafka` asks for it too, but never frees what librdkafka answers with.
//!
//! Why the `unsafe` is sound: `native_ptr` is a live `rd_kafka_t` while the client is borrowed; what is returned is null
//! or a NUL-terminated text of our own, copied before it is freed, once.

use std::ffi::CStr;
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as raw;
use rdkafka::client::{Client, ClientContext};

/// The id of the cluster that a client has met, waited for at most so long (whole milliseconds).
pub(crate) fn cluster_id(client: &Client<impl ClientContext>, limit: Duration) -> Option<String> {
    // SAFETY: see the file's head.
    unsafe {
        let text = raw::rd_kafka_clusterid(client.native_ptr(), limit.as_millis() as i32);
        let id = (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned());
        raw::rd_kafka_mem_free(ptr::null_mut(), text.cast());
        id
    }
}
