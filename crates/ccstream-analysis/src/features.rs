//! Lists the features of a transaction: their names, units, formulas and sources. Their values are computed where their
//! state is kept: in `card`, `merchant` and `terminal`.

use std::sync::LazyLock;

use crate::key;

/// Changes whenever a value changes although no definition did.
const REVISION: u64 = 1;

/// Says what a feature is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The transaction alone.
    Transaction,
    /// The past of the card in the currency of the transaction.
    Card,
    /// The past of the merchant in the currency of the transaction.
    Merchant,
    /// The past of the terminal, or of the merchant if there is no terminal, and its labels.
    Terminal,
    /// Other features, by the rules of [`rules`](crate::rules).
    Rules,
}

/// Documents a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// The name, by which models refer to the feature.
    pub name: &'static str,
    /// What the feature is computed from.
    pub source: Source,
    /// The unit of the value.
    pub unit: &'static str,
    /// How the value is computed, and when it is missing.
    pub formula: &'static str,
}

/// Declares [`Feature`] and [`DEFINITIONS`] from one list.
macro_rules! features {
    ($($feature:ident $name:literal, $source:ident, $unit:literal, $formula:literal;)+) => {
        /// Identifies a feature by its index in [`Features`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Feature {
            $(#[doc = concat!("`", $name, "` (", $unit, "): ", $formula)] $feature,)+
        }

        /// Documents every feature, in the order of [`Features`].
        pub const DEFINITIONS: &[Definition] = &[
            $(Definition { name: $name, source: Source::$source, unit: $unit, formula: $formula },)+
        ];

        impl Feature {
            /// Lists every feature, in the order of [`Features`].
            pub const ALL: &[Self] = &[$(Self::$feature,)+];
        }
    };
}

features! {
    Amount "amount", Transaction, "currency",
        "The absolute amount.";
    Refund "refund", Transaction, "flag",
        "1 if the amount is negative.";
    Declined "declined", Transaction, "flag",
        "1 if the issuer declined the transaction.";
    Fallback "fallback", Transaction, "flag",
        "1 if the card was present and its chip was not read: swiped, or its number typed in.";
    CardRatio "card_ratio", Card, "ratio",
        "The amount divided by the card's mean before it. The mean begins as the merchant's geometric mean, with a weight \
         of two amounts, or as the first amount if the merchant has none. An amount above 2.5 times the mean, once the card \
         has three, is an outlier and counts as 2.5 times the mean with a tenth of the weight. The weight of the past is at \
         most that of 200 amounts. Refunds and declined amounts do not count. The mean is at least 0.01.";
    CardZ "card_z", Card, "standard deviations",
        "The amount minus the card's mean, divided by the standard deviation of the card's amounts, which is at least 0.15 \
         of the mean.";
    CardAmounts "card_amounts", Card, "count",
        "The number of amounts in the card's mean, at most 200.";
    CardSinceLast "card_since_last", Card, "days",
        "Time since the card's last transaction; missing for its first.";
    CardSinceOutlier "card_since_outlier", Card, "days",
        "Time since the card's last outlier; missing if it had none.";
    CardOutliers1d "card_outliers_1d", Card, "count",
        "The card's outliers before this, each decaying with a time constant of 1 day.";
    CardOutliers7d "card_outliers_7d", Card, "count",
        "The card's outliers before this, each decaying with a time constant of 7 days.";
    CardOutliers14d "card_outliers_14d", Card, "count",
        "The card's outliers before this, each decaying with a time constant of 14 days.";
    CardGreatestRatio "card_greatest_ratio", Card, "ratio",
        "The greatest card_ratio before this, each decaying with a time constant of 14 days.";
    CardHour "card_hour", Card, "count",
        "The card's transactions of the last hour, of its last 10.";
    CardDay "card_day", Card, "count",
        "The card's transactions of the last 24 hours, of its last 10.";
    CardNewMerchant "card_new_merchant", Card, "flag",
        "1 if the merchant is not among the last 16 different ones of the card.";
    CardNewCountry "card_new_country", Card, "flag",
        "1 if the country is not among the last 4 different ones of the card.";
    CardNewMode "card_new_mode", Card, "flag",
        "1 if the card has not used the entry mode before.";
    CardDeclines "card_declines", Card, "count",
        "The card's declined transactions of the last 24 hours, of its last 10.";
    CardTiny "card_tiny", Card, "count",
        "The card's tiny amounts of the last 40 hours, of its last 10 transactions. An amount is tiny if its card_ratio is \
         below 0.08.";
    CardTested "card_tested", Card, "count",
        "The greatest merchant_tiny of the card's tiny amounts of the last 40 hours, of its last 10 transactions.";
    CardOnline "card_online", Card, "count",
        "The card's online purchases of the last 76 hours, of its last 10 transactions.";
    CardOnlineNew "card_online_new", Card, "count",
        "Those of card_online at merchants that were new to the card.";
    CardOnlineNight "card_online_night", Card, "count",
        "Those of card_online_new between 22:30 and 6:30 by the longitude of the card's last purchase in person.";
    CardPresent "card_present", Card, "count",
        "The card's purchases in person of the last 2 hours, of its last 10 transactions.";
    CardPresentNew "card_present_new", Card, "count",
        "Those of card_present at merchants that were new to the card.";
    CardRise "card_rise", Card, "count",
        "The correlation of order and logarithm of the amounts of card_present and this purchase in person, if positive, \
         times their number, if that is three or more; otherwise 0.";
    CardDistance "card_distance", Card, "km",
        "Distance from the card's last purchase in person to this one, with the earth unrolled around the latitude between \
         them; missing online and for the first.";
    CardSpeed "card_speed", Card, "km/h",
        "card_distance divided by the time between both, which is at least 6 minutes.";
    CardRefunds "card_refunds", Card, "count",
        "The card's refunds of the last 8 days, of its last 10 transactions.";
    CardRefundsBeyond "card_refunds_beyond", Card, "count",
        "By how many the card's refunds at this merchant, with this one, exceed its purchases there; at least 0. It is \
         forgotten once the card has been at 16 other merchants.";
    MerchantRatio "merchant_ratio", Merchant, "logarithm",
        "The natural logarithm of the amount divided by the merchant's geometric mean; missing at a new merchant.";
    CardLevel "card_level", Card, "logarithm",
        "merchant_ratio minus the card's mean of it, which begins at 0 with a weight of two and excludes refunds, declined \
         amounts and outliers.";
    MerchantTiny "merchant_tiny", Merchant, "count",
        "The merchant's tiny amounts before this, each decaying with a time constant of 2 hours.";
    MerchantRefunds "merchant_refunds", Merchant, "count",
        "The merchant's refunds before this, each decaying with a time constant of 4 days.";
    MerchantRefundShare "merchant_refund_share", Merchant, "share",
        "merchant_refunds divided by the merchant's transactions, decaying in the same way, plus one.";
    TerminalFallback "terminal_fallback", Terminal, "share",
        "The share of fallback among the terminal's transactions with the card present, by a running mean over 30 of them, \
         which begins at 0; missing before the first.";
    RunAge "run_age", Terminal, "days",
        "Time since the beginning of the first day of the terminal's current run of known frauds. A fraud counts if its \
         card_ratio was at most 2.2. A run ends if 35 days pass without a known fraud, or two days that have known genuine \
         transactions and no known fraud. A transaction is known if it is older than the maturity of labels, and is genuine \
         if it has no label then. If only a part of a day is that old, what is not among the terminal's last 16 transactions \
         is known only if one of those of that day is. Missing if no fraud is known of the last 64 days.";
    RunAgeAtMost "run_age_at_most", Terminal, "days",
        "Time since the beginning of the last day with known genuine transactions before the run; missing if there is none.";
    RunSince "run_since", Terminal, "days",
        "Time since the beginning of the last day of the run.";
    RunFrauds "run_frauds", Terminal, "count",
        "The known frauds of the run; 0 if there is none.";
    RunTransactions "run_transactions", Terminal, "count",
        "The known transactions since the run began, and later frauds that are known; 0 if there is no run.";
    RunShare "run_share", Terminal, "share",
        "run_frauds divided by run_transactions; 0 if there is no run.";
    RunGenuine "run_genuine", Terminal, "count",
        "The known genuine transactions since the last day of the run; missing if there is no run.";
    TerminalKnownSince "terminal_known_since", Terminal, "days",
        "Time since the beginning of the last day with a known transaction of the terminal; missing if there is none in 64 \
         days.";
    TerminalKnown "terminal_known", Terminal, "count",
        "The terminal's transactions that are known, of the 30 days before the last day that is not completely known, and \
         of that day.";
    RuleCard "rule_card", Rules, "probability",
        "0.95 times the logistic function of 8 (ln card_ratio - 1.08) plus card_outliers_14d, at most 3. A missing \
         ratio is 1.";
    RuleMerchant "rule_merchant", Rules, "probability",
        "0.3 times the logistic function of 8 (merchant_ratio - 1.6). A missing ratio is 0.";
    RuleTerminal "rule_terminal", Rules, "probability",
        "0.95 run_frauds / (run_transactions + 0.3) exp(-1.2 run_genuine) / (1 + (run_age / 35)^4); 0 if there is no run.";
    Rules "rules", Rules, "probability",
        "One minus the product, over all rules, of one minus the rule's probability.";
    RulesLogOdds "rules_log_odds", Rules, "log odds",
        "The natural logarithm of the odds of rules.";
}

/// The number of features.
pub const COUNT: usize = DEFINITIONS.len();

/// Holds the values of all features of a transaction. A missing value is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features(pub [f32; COUNT]);

impl Default for Features {
    fn default() -> Self {
        Self([f32::NAN; COUNT])
    }
}

impl Features {
    /// Returns the value of a feature.
    pub fn get(&self, feature: Feature) -> f32 {
        self.0[feature as usize]
    }

    /// Sets the value of a feature. There is one NaN, as processors differ in the bits of those that they compute.
    pub(crate) fn set(&mut self, feature: Feature, value: f64) {
        self.0[feature as usize] = if value.is_nan() { f32::NAN } else { value as f32 };
    }
}

impl Feature {
    /// Returns what documents the feature.
    pub fn definition(self) -> &'static Definition {
        &DEFINITIONS[self as usize]
    }
}

/// Returns the version of the features: a hash of their definitions. A model of another version cannot be used, nor a
/// snapshot.
///
/// ```
/// assert_eq!(ccstream_analysis::version().len(), 16);
/// ```
pub fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:016x}", version_key()));
    &TEXT
}

pub(crate) fn version_key() -> u64 {
    static KEY: LazyLock<u64> = LazyLock::new(|| {
        DEFINITIONS.iter().fold(REVISION, |hash, one| {
            let source = format!("{:?}", one.source);
            let texts = [one.name, &source, one.unit, one.formula];
            texts.iter().fold(hash, |hash, text| key::pair(hash, key::of(text)))
        })
    });
    *KEY
}
