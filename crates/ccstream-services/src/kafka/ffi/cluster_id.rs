//! This module asks librdkafka for the cluster's id. The crate `rdkafka` has such a function too, but it never frees
//! the string that librdkafka allocates.
//!
//! The `unsafe` code is sound because `native_ptr` is a live `rd_kafka_t` while the client is borrowed. librdkafka
//! returns null or a NUL-terminated string that the caller owns; it is copied first and then freed once.

use std::ffi::CStr;
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as raw;
use rdkafka::client::{Client, ClientContext};

/// Returns the id of the client's cluster; None if it is not known within `limit`, which counts whole milliseconds.
pub(crate) fn cluster_id(client: &Client<impl ClientContext>, limit: Duration) -> Option<String> {
    // SAFETY: the module's documentation explains it.
    unsafe {
        let text = raw::rd_kafka_clusterid(client.native_ptr(), limit.as_millis() as i32);
        let id = (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned());
        raw::rd_kafka_mem_free(ptr::null_mut(), text.cast());
        id
    }
}
