//! Writes and reads the state, bucket by bucket.
