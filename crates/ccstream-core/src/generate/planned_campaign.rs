//! A campaign of fraud as `--campaign` plans it.

use std::str::FromStr;

use super::planned_incident::Begin;
use super::plant::{Role, SCENARIOS};

/// A campaign of fraud as `--campaign` plans it: `SCENARIO@TIME`.
///
/// ```
/// use ccstream_core::generate::PlannedCampaign;
/// let planned: PlannedCampaign = "S5@2026-12-01T10:00:00Z".parse().unwrap();
/// assert_eq!(planned.to_string(), "S5@2026-12-01T10:00:00Z");
/// assert!("S8@2h".parse::<PlannedCampaign>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCampaign {
    text: String,
    pub(super) role: Role,
    pub(super) begin: Begin,
}

impl std::fmt::Display for PlannedCampaign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PlannedCampaign {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not SCENARIO@TIME, as S5@2026-12-01T10:00:00Z");
        let (name, time) = text.split_once('@').ok_or_else(form)?;
        let scenario = SCENARIOS
            .iter()
            .position(|&scenario| scenario == name)
            .ok_or_else(|| format!("{name:?} is no scenario of fraud; it is one of {}", SCENARIOS.join(", ")))?;
        let role = Role { scenario: scenario as u8, is_twin: false };
        Ok(Self { text: text.into(), role, begin: time.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_and_a_time() {
        let planned: PlannedCampaign = "S7@90m".parse().unwrap();
        assert_eq!((planned.role.name(), planned.role.is_twin), ("S7", false));
        assert_eq!((planned.begin, planned.to_string()), (Begin::After(5_400_000_000), "S7@90m".into()));
        for (text, part) in [
            ("", "is not SCENARIO@TIME"),
            ("S5", "is not SCENARIO@TIME"),
            ("s5@2h", "\"s5\" is no scenario of fraud; it is one of S1, S2, S3, S4, S5, S6, S7"),
            ("S5@soon", "\"soon\" is neither a moment nor a length of time"),
        ] {
            let why = text.parse::<PlannedCampaign>().unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
