//! Exponential, logarithm and the normal quantile in plain arithmetic. The standard library's functions call the
//! system's mathematics library. Their last digits differ between machines, and a seed must give the same bytes on
//! all of them.

use std::f64::consts::{LN_2, LOG2_E, SQRT_2};

/// `e` to the power of `x`, to six digits.
pub(super) fn exp(x: f64) -> f64 {
    let doublings = (x * LOG2_E + 0.5f64.copysign(x)) as i64;
    let doublings = doublings.clamp(-1000, 1000);
    let r = x - doublings as f64 * LN_2;
    let series =
        1.0 + r * (1.0 + r * (1.0 / 2.0 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))))));
    f64::from_bits(((1023 + doublings) as u64) << 52) * series
}

/// The natural logarithm of a positive number, to eight digits.
pub(super) fn ln(x: f64) -> f64 {
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & FRACTION) | (1023 << 52));
    if mantissa > SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square * (1.0 / 9.0))));
    exponent as f64 * LN_2 + 2.0 * s * series
}

/// A positive number to any power.
pub(super) fn power(base: f64, exponent: f64) -> f64 {
    exp(exponent * ln(base))
}

/// The value below which this share of a normal distribution lies, by Acklam's rational approximation (to nine
/// digits).
pub(super) fn normal_quantile(share: f64) -> f64 {
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
        1.0,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] =
        [0.007_784_695_709_041_462, 0.322_467_129_070_039_8, 2.445_134_137_142_996, 3.754_408_661_907_416, 1.0];
    /// The share at each end for which the approximation is by the share's logarithm.
    const TAIL: f64 = 0.024_25;
    let tail = |share: f64| {
        let q = (-2.0 * ln(share)).sqrt();
        polynomial(&C, q) / polynomial(&D, q)
    };
    if share < TAIL {
        return tail(share.max(f64::MIN_POSITIVE));
    }
    if share > 1.0 - TAIL {
        return -tail((1.0 - share).max(f64::MIN_POSITIVE));
    }
    let q = share - 0.5;
    let r = q * q;
    q * polynomial(&A, r) / polynomial(&B, r)
}

fn polynomial(factors: &[f64], x: f64) -> f64 {
    factors.iter().fold(0.0, |sum, factor| sum * x + factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: f64, expected: f64, relative: f64) {
        assert!((found - expected).abs() <= relative * expected.abs().max(1e-9), "{found} for {expected}");
    }

    #[test]
    fn they_agree_with_the_standard_library() {
        for step in -4_000..4_000 {
            let x = f64::from(step) * 0.01;
            assert_near(exp(x), x.exp(), 3e-7);
            assert_near(ln(x.exp()), x, 1e-8);
        }
        assert_near(power(12.0, -1.16), 12f64.powf(-1.16), 1e-6);
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (share, value) in [(0.5, 0.0), (0.841_344_746, 1.0), (0.975, 1.959_963_985), (0.999, 3.090_232_306)] {
            assert_near(normal_quantile(share), value, 1e-7);
            assert_near(normal_quantile(1.0 - share), -value, 1e-6);
        }
        assert!(normal_quantile(0.0).is_finite() && normal_quantile(1.0).is_finite());
    }
}
