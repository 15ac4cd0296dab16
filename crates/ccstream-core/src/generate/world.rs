//! The parameters of a simulated world.

use super::labels::LabelDelay;
use super::pace::Pace;
use super::planned_campaign::PlannedCampaign;
use super::planned_incident::PlannedIncident;
use crate::units::Micros;

/// The parameters of a simulated world.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// The seed. Another one gives other people, cards and purchases.
    pub seed: u64,
    /// The time of the first event. None: at [`Pace::Max`] each event has the time at which it is made; otherwise the
    /// first one has.
    pub start: Option<Micros>,
    /// The gaps between events, in simulated time.
    pub pace: Pace,
    /// The number of cards. None: [`Pace::usual_cards`].
    pub cards: Option<u32>,
    /// The share of planted frauds among transactions; three times as many look like frauds and are none.
    pub fraud: f64,
    /// Campaigns of fraud that are planned, in addition to the share of planted frauds, which is above 0.
    pub campaigns: Vec<PlannedCampaign>,
    /// How long after its transaction a label comes.
    pub label_delay: LabelDelay,
    /// Incidents that are planned.
    pub incidents: Vec<PlannedIncident>,
    /// Whether some incidents a week happen by chance.
    pub has_incidents_by_chance: bool,
    /// The share of messages that are invalid.
    pub malformed: f64,
    /// Whether commands may change the world, so that incidents may come.
    pub is_controlled: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            seed: 1,
            start: None,
            pace: Pace::Human,
            cards: None,
            fraud: 0.0,
            campaigns: Vec::new(),
            label_delay: LabelDelay::default(),
            incidents: Vec::new(),
            has_incidents_by_chance: false,
            malformed: 0.0,
            is_controlled: false,
        }
    }
}

/// The key of the Kafka header that names a simulated world.
pub const WORLD_HEADER: &str = "ccstream-world";

impl World {
    /// What the header says: which world it is, and its version, which is raised whenever the same settings give other
    /// events.
    pub fn name(&self) -> &'static str {
        "habits/2"
    }

    /// The number of cards.
    pub fn cards(&self) -> u32 {
        self.cards.unwrap_or_else(|| self.pace.usual_cards())
    }

    /// Whether labels and truth are sent beside the transactions.
    pub fn has_truth(&self) -> bool {
        let has_incidents = !self.incidents.is_empty() || self.has_incidents_by_chance || self.is_controlled;
        self.fraud > 0.0 || has_incidents || self.malformed > 0.0
    }

    /// The mean number of payments a card and day; None at [`Pace::Max`].
    pub fn payments_a_day(&self) -> Option<f64> {
        let is_paced = self.pace != Pace::Max;
        is_paced.then(|| self.pace.per_second() * 86_400.0 / f64::from(self.cards()))
    }
}
