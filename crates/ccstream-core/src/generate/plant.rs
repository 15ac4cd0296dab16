//! What is planted in the stream: frauds of seven scenarios, and honest behaviour that looks like each: its twin.

/// Scenarios, by their places: blunt amounts, a compromised terminal, leaked credentials, a stolen card, card testing, a
/// clone far away, and a merchant's refund abuse.
pub(super) static SCENARIOS: [&str; 7] = ["S1", "S2", "S3", "S4", "S5", "S6", "S7"];

/// Transactions of twins for each of frauds.
pub(super) const TWINS: f64 = 3.0;

/// The campaign that a transaction belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plant {
    /// Different from that of any other campaign.
    pub(super) campaign: u32,
    pub(super) role: Role,
}

/// A scenario, or its twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Role {
    /// The place in [`SCENARIOS`].
    pub(super) scenario: u8,
    pub(super) is_twin: bool,
}

/// How many roles there are.
pub(super) const ROLE_COUNT: usize = 2 * SCENARIOS.len();

impl Role {
    pub(super) const ALL: [Self; ROLE_COUNT] = {
        let mut all = [Self { scenario: 0, is_twin: false }; ROLE_COUNT];
        let mut at = 0;
        while at < ROLE_COUNT {
            all[at] = Self { scenario: (at / 2) as u8, is_twin: at % 2 == 1 };
            at += 1;
        }
        all
    };

    pub(super) fn name(self) -> &'static str {
        SCENARIOS[usize::from(self.scenario)]
    }
}

impl Plant {
    pub(super) fn is_fraud(self) -> bool {
        !self.role.is_twin
    }

    /// The kind of its truth.
    pub(super) fn kind(self) -> &'static str {
        if self.role.is_twin { "twin" } else { "fraud" }
    }
}
