//! Random draws from a seed, the same on every machine.

use super::numbers::{ln, normal_quantile};

/// What a stream of draws decides. Each matter has its own streams, so a further draw for one changes no other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Matter {
    /// The stream of payments itself: gaps, who pays, where, how much.
    Stream = 1,
    Person,
    Card,
    Favourite,
    Trip,
    Subscription,
    Places,
    Blocks,
    /// When the campaigns of a series begin.
    Series,
    /// What a campaign does.
    Campaign,
    /// The incidents of a week.
    Incident,
    PlannedIncident,
    /// What incidents do to events.
    Effect,
    Malformed,
    /// Which frauds of a preset are labelled, and when.
    PresetLabel,
}

/// A stream of draws by `SplitMix64` (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Chance {
    /// The stream that decides one matter for one number. Its draws are fixed facts of that number.
    pub(super) fn of(seed: u64, matter: Matter, number: u64) -> Self {
        let key = mix(seed ^ (matter as u64).wrapping_mul(STEP));
        Self(mix(key.wrapping_add(number.wrapping_mul(STEP))))
    }

    /// Draws 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Draws a whole number below `end`.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(end)) >> 32) as u32
    }

    /// Draws a number from 0 to less than 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Draws a number from `least` to less than `most`.
    pub(super) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// Draws true with this probability.
    pub(super) fn is(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Draws from the exponential distribution with mean 1.
    pub(super) fn exponential(&mut self) -> f64 {
        -ln(1.0 - self.unit())
    }

    /// Draws from the standard normal distribution.
    pub(super) fn normal(&mut self) -> f64 {
        normal_quantile(self.unit())
    }
}

/// Chooses among weights by one draw, however many there are (Walker's alias method, built by Vose's algorithm).
#[derive(Debug, Clone, Default)]
pub(super) struct Alias {
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// A draw below this threshold chooses the slot itself.
    threshold: u32,
    /// Any other draw chooses this slot.
    other: u32,
}

impl Alias {
    pub(super) fn new(weights: &[f64]) -> Self {
        let mut alias = Self::default();
        alias.rebuild(weights);
        alias
    }

    /// Replaces the weights. Without any weight above 0, every choice is equally likely.
    pub(super) fn rebuild(&mut self, weights: &[f64]) {
        const FULL: f64 = 4_294_967_296.0;
        let total: f64 = weights.iter().sum();
        let scale = if total > 0.0 { weights.len() as f64 / total } else { 0.0 };
        self.slots.clear();
        self.slots.extend((0..weights.len() as u32).map(|other| Slot { threshold: u32::MAX, other }));
        let mut shares: Vec<f64> =
            weights.iter().map(|weight| if total > 0.0 { weight * scale } else { 1.0 }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|&at| shares[at] < 1.0);
        while let (Some(&from), Some(at)) = (large.last(), small.pop()) {
            self.slots[at] = Slot { threshold: (shares[at] * FULL) as u32, other: from as u32 };
            shares[from] -= 1.0 - shares[at];
            if shares[from] < 1.0 {
                small.extend(large.pop());
            }
        }
    }

    /// Draws the index of a weight.
    pub(super) fn choose(&self, chance: &mut Chance) -> usize {
        let bits = chance.bits();
        let at = (((bits >> 32) * self.slots.len() as u64) >> 32) as usize;
        let slot = self.slots[at];
        if (bits as u32) < slot.threshold { at } else { slot.other as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_chooses_by_weight() {
        let weights = [3.0, 0.0, 1.0, 0.5, 5.5];
        let (alias, mut chance) = (Alias::new(&weights), Chance::of(1, Matter::Stream, 0));
        let mut seen = [0; 5];
        for _ in 0..1_000_000 {
            seen[alias.choose(&mut chance)] += 1;
        }
        for (seen, weight) in seen.iter().zip(weights) {
            assert!((f64::from(*seen) - weight * 100_000.0).abs() < 2_000.0, "{seen} of {weight}");
        }
        assert_eq!(seen[1], 0);
    }

    fn moments(draw: impl Fn(&mut Chance) -> f64) -> (f64, f64) {
        const COUNT: usize = 400_000;
        let mut chance = Chance::of(2, Matter::Stream, 0);
        let draws: Vec<f64> = (0..COUNT).map(|_| draw(&mut chance)).collect();
        let mean = draws.iter().sum::<f64>() / COUNT as f64;
        (mean, draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / COUNT as f64)
    }

    #[test]
    fn draws_have_the_moments_of_their_distributions() {
        for (found, mean, variance) in [
            (moments(Chance::normal), 0.0, 1.0),
            (moments(Chance::exponential), 1.0, 1.0),
            (moments(|chance| f64::from(chance.below(6))), 2.5, 35.0 / 12.0),
        ] {
            assert!((found.0 - mean).abs() < 0.01 && (found.1 / variance - 1.0).abs() < 0.02, "{found:?}");
        }
    }
}
