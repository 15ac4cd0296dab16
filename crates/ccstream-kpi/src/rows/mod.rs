//! Holds the rows of `orders` as columns in memory, and counts the values of single columns.

pub mod attribute;
pub mod block;
pub(crate) mod cards;
pub mod codes;
pub mod columns;
pub mod decode;
pub(crate) mod dictionary;
pub mod multiset;
pub mod outcome;
pub mod room;
pub mod segments;
pub(crate) mod sketch;
