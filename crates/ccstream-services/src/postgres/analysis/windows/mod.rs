//! This module creates, writes and reads the tables of windows: a table `window_<name>` for each definition, and three
//! tables about all of them.

mod batch;
mod begin;
mod compare;
mod ddl;
mod read;
mod schema;
mod write;

pub(crate) use self::batch::{CountedWindow, MissedRow, WindowsBatch};
pub(crate) use self::begin::{BegunWindow, StoredWindow};
pub(crate) use self::compare::ListedWindow;
pub(crate) use self::read::PastRow;
pub(in crate::postgres) use self::schema::{WINDOWS, WINDOWS_LATE, WINDOWS_STATE};
pub(super) use self::write::write;
