//! This module calls functions of librdkafka that the crate `rdkafka` does not wrap, or not correctly. It is the only
//! module with `unsafe` code. Each file explains why its code is sound.
#![allow(unsafe_code, reason = "this is the only module with unsafe code")]

mod bootstrap;
mod cluster_id;
mod topic_id;

pub(crate) use self::bootstrap::Bootstrap;
pub(crate) use self::cluster_id::cluster_id;
pub(crate) use self::topic_id::{TopicIds, TopicState};
