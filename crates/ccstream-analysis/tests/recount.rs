//! Counts every feature again from all earlier events, in the simplest way, and compares.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use ccstream_analysis::features::{COUNT, DEFINITIONS};
use ccstream_analysis::rules;
use ccstream_analysis::{Event, Feature, Settings, State};
use common::{BEGIN, DAY, Due, events, fold, labels};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const MATURITY: i64 = 7 * DAY;

fn is_online(event: &Event<'_>) -> bool {
    matches!(event.entry_mode, Some("ecommerce" | "recurring"))
}

fn is_present(event: &Event<'_>) -> bool {
    event.entry_mode.is_some() && !is_online(event)
}

fn is_fallback(event: &Event<'_>) -> bool {
    matches!(event.entry_mode, Some("swipe" | "manual"))
}

fn amount(event: &Event<'_>) -> f64 {
    event.amount.0.abs() as f64 / 100.0
}

fn is_refund(event: &Event<'_>) -> bool {
    event.amount.0 < 0
}

/// Holds all events so far, with what each of them had.
struct Past<'a> {
    events: &'a [Event<'a>],
    due: &'a [Due],
    /// The card's ratio, the merchant's ratio as a logarithm, and the merchant's tiny amounts, of each event.
    ratios: Vec<f64>,
    levels: Vec<f64>,
    tested: Vec<f64>,
}

/// What is known of a card's amounts.
#[derive(Debug, Default)]
struct Amounts {
    mean: Option<f64>,
    variance: f64,
    count: f64,
    level: f64,
    levels: f64,
    outliers: Vec<i64>,
    ratios: Vec<(i64, f64)>,
}

impl Past<'_> {
    fn now(&self) -> usize {
        self.ratios.len()
    }

    fn earlier(&self, is_of: impl Fn(&Event<'_>) -> bool) -> Vec<usize> {
        (0..self.now()).filter(|index| is_of(&self.events[*index])).collect()
    }

    fn of_card(&self, event: &Event<'_>) -> Vec<usize> {
        self.earlier(|one| one.card == event.card && one.currency == event.currency)
    }

    fn of_merchant(&self, event: &Event<'_>) -> Vec<usize> {
        self.earlier(|one| one.merchant == event.merchant && one.currency == event.currency)
    }

    fn of_terminal(&self, event: &Event<'_>) -> Vec<usize> {
        self.earlier(|one| one.merchant == event.merchant && one.terminal == event.terminal)
    }

    fn merchant_log_mean(&self, event: &Event<'_>) -> Option<f64> {
        event.merchant?;
        let counts = |index: &usize| {
            let one = &self.events[*index];
            !is_refund(one) && !one.is_declined && amount(one) > 0.0
        };
        let logs: Vec<f64> = self
            .of_merchant(event)
            .iter()
            .filter(|index| counts(index))
            .map(|index| amount(&self.events[*index]).ln())
            .collect();
        (!logs.is_empty()).then(|| logs.iter().sum::<f64>() / logs.len() as f64)
    }

    fn is_tiny(&self, index: usize) -> bool {
        self.ratios[index] < 0.08 && !is_refund(&self.events[index])
    }

    fn merchant_tiny(&self, event: &Event<'_>) -> f64 {
        let tiny = self.of_merchant(event).into_iter().filter(|index| self.is_tiny(*index));
        tiny.map(|index| decayed(event, &self.events[index], 1.0 / 12.0)).sum()
    }

    fn amounts(&self, event: &Event<'_>) -> Amounts {
        let mut all = Amounts::default();
        for index in self.of_card(event) {
            let one = &self.events[index];
            let (x, ratio) = (amount(one), self.ratios[index]);
            if is_refund(one) || all.mean.is_none() && (ratio.is_nan() || x == 0.0) {
                continue;
            }
            let start = x / ratio;
            let mean = all.mean.unwrap_or(start);
            if all.mean.is_none() {
                all.variance = start * start / 4.0;
            }
            all.mean = Some(mean);
            all.ratios.push((one.time.0, ratio));
            let is_outlier = all.count >= 3.0 && x > 2.5 * mean;
            if is_outlier {
                all.outliers.push(one.time.0);
            }
            if one.is_declined {
                continue;
            }
            if is_outlier {
                all.mean = Some(mean + 1.5 * mean * 0.1 / (all.count + 2.0));
                continue;
            }
            all.count = (all.count + 1.0).min(200.0);
            let new = mean + (x - mean) / (all.count + 2.0);
            all.variance += ((x - mean) * (x - new) - all.variance) / (all.count + 2.0);
            all.mean = Some(new.max(0.01));
            if self.levels[index].is_finite() {
                all.levels = (all.levels + 1.0).min(200.0);
                all.level += (self.levels[index] - all.level) / (all.levels + 2.0);
            }
        }
        all
    }

    /// Whether an event's merchant is not among the last 16 different ones before it. All are, here: there are five.
    fn is_new_merchant(&self, index: usize) -> bool {
        let one = &self.events[index];
        let is_here = |before: &usize| *before < index && self.events[*before].merchant == one.merchant;
        one.merchant.is_some() && !self.of_card(one).iter().any(is_here)
    }

    fn is_night(&self, index: usize) -> bool {
        let one = &self.events[index];
        let is_place = |before: &&usize| {
            let before = **before;
            before < index
                && is_present(&self.events[before])
                && !is_refund(&self.events[before])
                && self.events[before].place.is_some()
        };
        let last = self.of_card(one).iter().rev().find(is_place).and_then(|before| self.events[*before].place);
        let Some((_, longitude)) = last.or(one.place) else { return false };
        let hour = (one.time.0.rem_euclid(DAY) as f64 / HOUR as f64 + longitude / 15.0).rem_euclid(24.0);
        !(6.5..22.5).contains(&hour)
    }

    fn card(&self, event: &Event<'_>, features: &mut BTreeMap<Feature, f64>) {
        use Feature as F;
        let before = self.of_card(event);
        let amounts = self.amounts(event);
        let since = |time: i64| (event.time.0 - time) as f64 / DAY as f64;
        let mut set = |feature, value| features.insert(feature, value);
        let x = amount(event);
        let mean = amounts.mean.or_else(|| {
            let start = self.merchant_log_mean(event).map_or(x, f64::exp);
            (x > 0.0).then_some(start)
        });
        set(F::CardRatio, mean.map_or(f64::NAN, |mean| x / mean));
        if let Some(mean) = amounts.mean {
            set(F::CardZ, (x - mean) / amounts.variance.sqrt().max(0.15 * mean));
        }
        set(F::CardAmounts, amounts.count);
        if let Some(last) = before.last() {
            set(F::CardSinceLast, since(self.events[*last].time.0));
        }
        if let Some(last) = amounts.outliers.last() {
            set(F::CardSinceOutlier, (event.time.0 / SECOND - last / SECOND) as f64 / 86_400.0);
        }
        let outliers = |constant: f64| amounts.outliers.iter().map(|time| (-since(*time) / constant).exp()).sum();
        set(F::CardOutliers1d, outliers(1.0));
        set(F::CardOutliers7d, outliers(7.0));
        set(F::CardOutliers14d, outliers(14.0));
        let decayed = amounts.ratios.iter().map(|(time, ratio)| ratio * (-since(*time) / 14.0).exp());
        set(F::CardGreatestRatio, decayed.fold(0.0, f64::max));
        if event.merchant.is_some() {
            let here = |index: &&usize| self.events[**index].merchant == event.merchant;
            set(F::CardNewMerchant, f64::from(u8::from(!before.iter().any(|index| here(&index)))));
            let change = |index: &usize| {
                let one = &self.events[*index];
                if one.is_declined {
                    0
                } else if is_refund(one) {
                    -1
                } else {
                    1
                }
            };
            let balance: i32 = before.iter().filter(here).map(change).sum();
            set(F::CardRefundsBeyond, f64::from((i32::from(is_refund(event)) - balance).max(0)));
        }
        let flag = |is_set: bool| f64::from(u8::from(is_set));
        if event.country.is_some() {
            set(F::CardNewCountry, flag(!before.iter().any(|index| self.events[*index].country == event.country)));
        }
        if event.entry_mode.is_some() {
            set(F::CardNewMode, flag(!before.iter().any(|index| self.events[*index].entry_mode == event.entry_mode)));
        }
        let is_place = |index: &&usize| {
            let one = &self.events[**index];
            is_present(one) && !is_refund(one) && one.place.is_some()
        };
        if let (Some(last), Some((north, east)), true) =
            (before.iter().rev().find(is_place), event.place, is_present(event) && !is_refund(event))
        {
            let last = &self.events[*last];
            let (from_north, from_east) = last.place.unwrap_or_default();
            let mut degrees = (east - from_east).abs();
            if degrees > 180.0 {
                degrees = 360.0 - degrees;
            }
            let km =
                111.195 * (north - from_north).hypot(degrees * f64::midpoint(north, from_north).to_radians().cos());
            set(F::CardDistance, km);
            let hours = (event.time.0 / SECOND - last.time.0 / SECOND) as f64 / 3_600.0;
            set(F::CardSpeed, km / hours.max(0.1));
        }
        let level = self.merchant_log_mean(event).filter(|_| x > 0.0).map_or(f64::NAN, |log_mean| x.ln() - log_mean);
        set(F::CardLevel, level - amounts.level);
        self.recent(event, &before, features);
    }

    fn recent(&self, event: &Event<'_>, before: &[usize], features: &mut BTreeMap<Feature, f64>) {
        use Feature as F;
        let last: Vec<usize> = before.iter().rev().take(10).copied().collect();
        let age = |index: usize| (event.time.0 / SECOND - self.events[index].time.0 / SECOND) * SECOND;
        let within = |length: i64| last.iter().copied().filter(move |index| age(*index) < length);
        let mut count = |feature, found: Vec<usize>| features.insert(feature, found.len() as f64);
        let one = |index: usize| &self.events[index];
        count(F::CardHour, within(HOUR).collect());
        count(F::CardDay, within(DAY).collect());
        count(F::CardDeclines, within(DAY).filter(|index| one(*index).is_declined).collect());
        count(F::CardTiny, within(40 * HOUR).filter(|index| self.is_tiny(*index)).collect());
        let online = || within(76 * HOUR).filter(|index| is_online(one(*index)) && !is_refund(one(*index)));
        count(F::CardOnline, online().collect());
        count(F::CardOnlineNew, online().filter(|index| self.is_new_merchant(*index)).collect());
        let at_night = |index: &usize| self.is_new_merchant(*index) && self.is_night(*index);
        count(F::CardOnlineNight, online().filter(at_night).collect());
        let present = || within(2 * HOUR).filter(|index| is_present(one(*index)) && !is_refund(one(*index)));
        count(F::CardPresent, present().collect());
        count(F::CardPresentNew, present().filter(|index| self.is_new_merchant(*index)).collect());
        count(F::CardRefunds, within(8 * DAY).filter(|index| is_refund(one(*index))).collect());
        let tested = within(40 * HOUR).filter(|index| self.is_tiny(*index)).map(|index| self.tested[index]);
        features.insert(F::CardTested, tested.fold(0.0, f64::max));
        let mut rising: Vec<f64> = present().map(|index| amount(one(index)).ln()).collect();
        rising.insert(0, amount(event).ln());
        rising.retain(|log| log.is_finite());
        rising.reverse();
        let is_rising = is_present(event) && !is_refund(event) && rising.len() >= 3;
        let rise = if is_rising { correlation(&rising).max(0.0) * rising.len() as f64 } else { 0.0 };
        features.insert(F::CardRise, rise);
    }

    fn merchant(&self, event: &Event<'_>, features: &mut BTreeMap<Feature, f64>) {
        let before = self.of_merchant(event);
        let log_mean = self.merchant_log_mean(event).filter(|_| amount(event) > 0.0);
        features.insert(Feature::MerchantRatio, log_mean.map_or(f64::NAN, |log_mean| amount(event).ln() - log_mean));
        features.insert(Feature::MerchantTiny, self.merchant_tiny(event));
        let sum = |found: Vec<usize>| found.iter().map(|index| decayed(event, &self.events[*index], 4.0)).sum::<f64>();
        let refunds = sum(before.iter().copied().filter(|index| is_refund(&self.events[*index])).collect());
        features.insert(Feature::MerchantRefunds, refunds);
        features.insert(Feature::MerchantRefundShare, refunds / (sum(before) + 1.0));
    }

    fn terminal(&self, event: &Event<'_>, features: &mut BTreeMap<Feature, f64>) {
        use Feature as F;
        let before = self.of_terminal(event);
        let mut fallbacks: (f64, f64) = (0.0, 0.0);
        for index in &before {
            let one = &self.events[*index];
            if is_present(one) && !is_refund(one) {
                fallbacks.0 = (fallbacks.0 + 1.0).min(30.0);
                fallbacks.1 += (f64::from(u8::from(is_fallback(one))) - fallbacks.1) / fallbacks.0;
            }
        }
        if fallbacks.0 > 0.0 {
            features.insert(F::TerminalFallback, fallbacks.1);
        }
        // Days by number: transactions that are known, frauds that count, and other frauds.
        let mut days: BTreeMap<i64, (u32, u32, u32)> = BTreeMap::new();
        let today = event.time.0.div_euclid(DAY);
        let labelled: BTreeSet<usize> =
            self.due.iter().filter(|due| due.labelled_at <= event.time.0).map(|due| due.event).collect();
        let limit = (event.time.0 - MATURITY) / SECOND;
        let until = (event.time.0 - MATURITY).div_euclid(DAY);
        // Of the last day, what is not among the last 16 transactions is known only if one of those of that day is.
        let last = before.split_at(before.len().saturating_sub(16));
        let of_part = |of: &[usize]| -> Vec<i64> {
            let times = of.iter().map(|index| self.events[*index].time.0);
            times.filter(|time| time.div_euclid(DAY) == until).map(|time| time / SECOND).collect()
        };
        let (dropped, kept) = (of_part(last.0), of_part(last.1));
        let is_in_doubt = !dropped.is_empty() && kept.iter().all(|second| *second > limit);
        for index in before {
            let time = self.events[index].time.0;
            if today - time / DAY >= 64 {
                continue;
            }
            let day = days.entry(time / DAY).or_default();
            let is_part = time.div_euclid(DAY) == until;
            day.0 += u32::from(time / SECOND <= limit && !(is_part && is_in_doubt));
            match (labelled.contains(&index), self.ratios[index] > 2.2) {
                (true, true) => day.2 += 1,
                (true, false) => day.1 += 1,
                (false, _) => {}
            }
        }
        // On the last day, of which a part is known, a labelled fraud is known too.
        if let Some(day) = days.get_mut(&until) {
            day.0 = day.0.max(day.1 + day.2);
        }
        let genuine = |day: &(u32, u32, u32)| day.0.saturating_sub(day.1 + day.2);
        let since = |day: i64| (event.time.0 - day * DAY) as f64 / DAY as f64;
        if let Some((day, _)) = days.iter().rev().find(|(_, counts)| counts.0 > 0) {
            features.insert(F::TerminalKnownSince, since(*day));
        }
        let known = days.iter().filter(|(day, _)| **day >= until - 30).map(|(_, counts)| counts.0).sum::<u32>();
        features.insert(F::TerminalKnown, f64::from(known));
        let frauds: Vec<i64> = days.iter().filter(|(_, counts)| counts.1 > 0).map(|(day, _)| *day).collect();
        for feature in [F::RunFrauds, F::RunTransactions, F::RunShare] {
            features.insert(feature, 0.0);
        }
        let Some(last) = frauds.last() else { return };
        let mut first = *last;
        for day in frauds.iter().rev().skip(1) {
            let between = days.range(day + 1..first).filter(|(_, counts)| counts.1 == 0 && genuine(counts) > 0).count();
            if first - day > 35 || between >= 2 {
                break;
            }
            first = *day;
        }
        let run: u32 = days.range(first..).map(|(_, counts)| counts.1).sum();
        let all: u32 = run + days.range(first..).map(|(_, counts)| genuine(counts)).sum::<u32>();
        features.insert(F::RunAge, since(first));
        features.insert(F::RunSince, since(*last));
        features.insert(F::RunFrauds, f64::from(run));
        features.insert(F::RunTransactions, f64::from(all));
        features.insert(F::RunShare, f64::from(run) / f64::from(all));
        let later: u32 = days.range(last + 1..).map(|(_, counts)| genuine(counts)).sum();
        features.insert(F::RunGenuine, f64::from(later));
        let mut older = days.range(..first).rev().filter(|(_, counts)| counts.1 == 0 && genuine(counts) > 0);
        if let Some((day, _)) = older.next() {
            features.insert(F::RunAgeAtMost, since(*day));
        }
    }

    /// Returns all features of the next event.
    fn features(&self) -> [f64; COUNT] {
        let event = &self.events[self.now()];
        let mut features = BTreeMap::new();
        let flag = |is_set: bool| f64::from(u8::from(is_set));
        features.insert(Feature::Amount, amount(event));
        features.insert(Feature::Refund, flag(is_refund(event)));
        features.insert(Feature::Declined, flag(event.is_declined));
        features.insert(Feature::Fallback, flag(is_fallback(event)));
        if event.card.is_some() {
            self.card(event, &mut features);
        }
        if event.merchant.is_some() {
            self.merchant(event, &mut features);
        }
        if event.merchant.is_some() || event.terminal.is_some() {
            self.terminal(event, &mut features);
        }
        let mut all = [f64::NAN; COUNT];
        for (feature, value) in features {
            all[feature as usize] = value;
        }
        all
    }
}

fn decayed(event: &Event<'_>, earlier: &Event<'_>, constant: f64) -> f64 {
    (-(event.time.0 - earlier.time.0) as f64 / DAY as f64 / constant).exp()
}

fn correlation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let (order, mean) = ((n - 1.0) / 2.0, values.iter().sum::<f64>() / n);
    let pairs = || values.iter().enumerate().map(|(at, value)| (at as f64 - order, value - mean));
    let both: f64 = pairs().map(|(x, y)| x * y).sum();
    let spread: f64 = pairs().map(|(x, _)| x * x).sum::<f64>() * pairs().map(|(_, y)| y * y).sum::<f64>();
    if spread > 1e-9 { both / spread.sqrt() } else { 0.0 }
}

/// Returns how far a feature may be from what was counted again. Features have 24 bits, and most counts are kept with as
/// many. The amounts of the last transactions are kept in steps of 1/256 of a logarithm.
fn tolerance(feature: Feature, expected: f64) -> f64 {
    match feature {
        Feature::CardRise => 0.05,
        // Differences that may cancel out.
        Feature::CardLevel | Feature::MerchantRatio | Feature::CardZ => 2e-5 * expected.abs().max(1.0),
        _ => 2e-5 * expected.abs().max(1e-3),
    }
}

#[test]
fn every_feature_equals_what_is_counted_again_from_all_events() {
    let mut varied: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for seed in 1..=3 {
        let events = events(1_200, seed);
        let due = labels(&events, seed);
        let mut past = Past { events: &events, due: &due, ratios: vec![], levels: vec![], tested: vec![] };
        let mut state = State::new(&Settings { maturity: MATURITY, ..Settings::default() });
        fold(&mut state, &events, &due, |_, _, scored| {
            let Some(scored) = scored else { return };
            let expected = past.features();
            for feature in &Feature::ALL[..Feature::RuleCard as usize] {
                let (found, expected) = (scored.features.get(*feature), expected[*feature as usize]);
                let name = feature.definition().name;
                varied.entry(name).or_default().insert(found.to_bits());
                let is_near = (f64::from(found) - expected).abs() <= tolerance(*feature, expected);
                let at = past.now();
                assert!(
                    is_near || found.is_nan() && expected.is_nan(),
                    "{name} of event {at}: {found}, not {expected}"
                );
            }
            assert_eq!(scored.verdict, rules::score(&scored.features));
            let event = &events[past.now()];
            let is_tiny = expected[Feature::CardRatio as usize] < 0.08 && !is_refund(event) && event.merchant.is_some();
            past.tested.push(if is_tiny { (past.merchant_tiny(event) + 0.5).floor() } else { 0.0 });
            past.ratios.push(expected[Feature::CardRatio as usize]);
            past.levels.push(expected[Feature::MerchantRatio as usize]);
        });
    }
    for definition in &DEFINITIONS[..Feature::RuleCard as usize] {
        let values = varied[definition.name].len();
        assert!(values > 1, "{} never varied, so it was not tested", definition.name);
    }
}

#[test]
fn a_label_changes_nothing_before_its_time() {
    let events = events(1_200, 9);
    let due = labels(&events, 9);
    let all = |due: &[Due]| {
        let mut all = Vec::new();
        let mut state = State::new(&Settings::default());
        fold(&mut state, &events, due, |_, _, scored| all.extend(scored.map(common::bits)));
        all
    };
    let (with, without) = (all(&due), all(&[]));
    let differs = (0..events.len()).find(|index| with[*index] != without[*index]);
    let first = due[0].labelled_at;
    let differs = differs.map(|index| events[index].time.0);
    assert!(differs.is_some_and(|time| time >= first && time < first + 20 * DAY), "{differs:?}, {first}");
    // Labels of which the last one comes later change nothing before the time at which it came.
    let mut later = due.clone();
    let last = due.len() / 2;
    later.truncate(last + 1);
    let some = all(&later);
    later.truncate(last);
    let fewer = all(&later);
    let until = events.iter().position(|event| event.time.0 >= due[last].labelled_at).unwrap_or(events.len());
    assert!(some[..until] == fewer[..until] && until > 0);
    assert!(events[0].time.0 >= BEGIN);
}
