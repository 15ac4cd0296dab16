//! What an operator asks: is everything there, does everything agree, what was rejected.

pub mod doctor;
pub mod rejections;
pub mod verify;
