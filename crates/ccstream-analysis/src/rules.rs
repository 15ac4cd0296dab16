//! Scores a transaction without a model, by two rules.
