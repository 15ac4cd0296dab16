//! Selects the features that raise a score most.

/// The greatest number of reasons for a score.
pub const MAX_REASONS: usize = 3;

/// Holds a feature that raises a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reason<'a> {
    /// The feature's position in a row.
    pub feature: usize,
    /// The feature's name.
    pub name: &'a str,
    /// The row's value; NaN if it is missing.
    pub value: f32,
    /// What the value adds to the margin; above zero.
    pub contribution: f64,
}

/// Returns the greatest contributions above zero, the greatest first. Of equal ones, the first feature comes first.
pub(super) fn greatest<'a>(names: &'a [String], row: &[f32], contributions: &[f64]) -> Vec<Reason<'a>> {
    let mut reasons: Vec<Reason<'a>> = Vec::with_capacity(MAX_REASONS + 1);
    for (feature, (name, (value, contribution))) in names.iter().zip(row.iter().zip(contributions)).enumerate() {
        if *contribution > 0.0 {
            let place = reasons.partition_point(|reason| reason.contribution >= *contribution);
            reasons.insert(place, Reason { feature, name, value: *value, contribution: *contribution });
            reasons.truncate(MAX_REASONS);
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_greatest_come_in_order() {
        let names: Vec<String> = ["a", "b", "c", "d", "e", "f"].map(str::to_owned).into();
        let reasons = greatest(&names, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &[0.5, -9.0, 2.0, 0.0, 0.5, 0.7]);
        let found: Vec<_> = reasons.iter().map(|reason| (reason.name, reason.value, reason.contribution)).collect();
        assert_eq!(found, [("c", 2.0, 2.0), ("f", 5.0, 0.7), ("a", 0.0, 0.5)]);
        assert!(greatest(&names, &[0.0; 6], &[0.0; 6]).is_empty());
    }
}
