//! Answers an operator's questions: whether everything is available, whether the figures agree, and what was rejected.

pub mod doctor;
pub mod rejections;
pub mod verify;
