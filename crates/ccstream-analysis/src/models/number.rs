//! Reads JSON numbers to the last bit.
//!
//! `serde_json` without its feature `float_roundtrip` may miss the nearest `f64` by one unit, and it rounds an `f32`
//! twice. The feature would slow down every message of the stream, so the digits are read by the standard library.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Holds a finite number, read with one rounding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exact<T>(pub(super) T);

/// Lists the types that [`Exact`] reads.
pub(super) trait Float: FromStr + Copy + Display {
    /// Whether the number is neither infinite nor NaN.
    fn finite(self) -> bool;
}

impl Float for f32 {
    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl Float for f64 {
    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl<'de, T: Float> Deserialize<'de> for Exact<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let short = || text.chars().take(40).collect::<String>();
        match text.parse::<T>() {
            Ok(number) if number.finite() => Ok(Self(number)),
            Ok(_) => Err(D::Error::custom(format_args!("the number {} is out of range", short()))),
            Err(_) => Err(D::Error::custom(format_args!("expected a number, found {}", short()))),
        }
    }
}

/// Takes the numbers out of their wrappers.
pub(super) fn plain<T: Copy>(numbers: &[Exact<T>]) -> Vec<T> {
    numbers.iter().map(|number| number.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_rounded_once() {
        // The decimal is above the middle between two f32 by less than half a unit of an f64.
        let text = "1.000000059604644775390625000000000001";
        assert_eq!(serde_json::from_str::<Exact<f32>>(text).unwrap().0.to_bits(), 0x3f80_0001);
        assert_eq!((text.parse::<f64>().unwrap() as f32).to_bits(), 0x3f80_0000);
        assert_eq!(serde_json::from_str::<Exact<f64>>("4.35").unwrap().0.to_bits(), 4.35f64.to_bits());
    }

    #[test]
    fn what_is_no_finite_number_is_refused() {
        for text in ["1e999", "\"1\"", "null", "NaN", "Infinity", "[1]", "-", "true"] {
            assert!(serde_json::from_str::<Exact<f32>>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Exact<f32>>("1e39").is_err());
        assert!(serde_json::from_str::<Exact<f64>>("1e39").is_ok());
    }
}
