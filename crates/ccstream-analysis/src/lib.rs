//! Analyses a stream of transactions: the order in which they are folded, features of cards and merchants, and scores.
//! This crate contacts no service and reads no clock.

pub mod merge;
pub mod pending;
