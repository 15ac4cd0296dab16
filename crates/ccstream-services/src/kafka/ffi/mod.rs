//! What librdkafka can do and `rdkafka` does not wrap, or not soundly. The one module with `unsafe` code; each file says why
//! it is sound.
#![allow(unsafe_code, reason = "the one module for it")]

mod bootstrap;
mod cluster_id;
mod topic_id;

pub(crate) use self::bootstrap::Bootstrap;
pub(crate) use self::cluster_id::cluster_id;
pub(crate) use self::topic_id::{TopicIds, TopicState};
