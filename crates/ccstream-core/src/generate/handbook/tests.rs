use std::collections::{HashMap, HashSet};

use super::*;
use crate::codec::Encoder;
use crate::fields::Place;
use crate::generate::{LabelDelay, Message, Topic, Unsent};
use crate::record::Record;
use crate::validate::validate;

/// 2018-04-01T00:00:00Z, the first day of the Handbook's data.
const START: Micros = Micros(1_522_540_800_000_000);

fn generate(seed: u64, preset: &str) -> Vec<HandbookTransaction> {
    Handbook::new(seed, START, &preset.parse().unwrap()).unwrap().collect()
}

fn day(transaction: &HandbookTransaction) -> i64 {
    (transaction.time.0 - START.0) / DAY_MICROS
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

fn assert_near(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{value} is not within {tolerance} of {expected}");
}

#[test]
fn equal_seeds_give_equal_transactions() {
    let preset = "handbook,customers=300,days=20";
    assert_eq!(generate(1, preset), generate(1, preset));
    assert_ne!(generate(1, preset), generate(2, preset));
    let longer = generate(1, "handbook,customers=300,days=40,s3_customers=0");
    let shorter = generate(1, "handbook,customers=300,days=20,s3_customers=0");
    assert_eq!(longer[..shorter.len()], shorter[..], "a longer run begins with the shorter one");
}

#[test]
fn transactions_are_in_order_and_within_the_days() {
    let all = generate(3, "handbook,days=4");
    assert!(all.is_sorted_by_key(|one| one.time));
    let days: HashSet<i64> = all.iter().map(day).collect();
    assert_eq!(days, (0..4).collect());
    let late = Micros(Micros::END.0 - 2 * DAY_MICROS);
    let last = Handbook::new(3, late, &Settings::default()).unwrap().last().unwrap();
    assert!((Micros::END.0 - DAY_MICROS..Micros::END.0).contains(&last.time.0), "the world ends with the year 2099");
}

#[test]
fn distributions_are_the_published_ones() {
    let all = generate(5, "handbook,days=60,s2_terminals=0,s3_customers=0");
    // 5,000 customers make U(0, 4) transactions a day, of which 0.9692 are within the day.
    assert_near(all.len() as f64 / 60.0, 5_000.0 * 2.0 * 0.9692, 250.0);
    let mut customers: HashMap<u32, Vec<f64>> = HashMap::new();
    for one in &all {
        customers.entry(one.customer).or_default().push(one.cents.0 as f64 / 100.0);
    }
    let rates: Vec<f64> = customers.values().map(|amounts| amounts.len() as f64 / 60.0 / 0.9692).collect();
    assert_near(mean(rates.iter().copied()), 2.0, 0.06);
    assert_near(mean(rates.iter().map(|rate| (rate - 2.0).powi(2))), 16.0 / 12.0, 0.08);
    let seconds = |one: &HandbookTransaction| (one.time.0 - START.0) as f64 / 1e6 % 86_400.0;
    assert_near(mean(all.iter().map(seconds)), 43_200.0, 150.0);
    // Without its tails beyond 2.16 standard deviations, the standard deviation is 0.9096 of the whole.
    assert_near(mean(all.iter().map(|one| (seconds(one) - 43_200.0).powi(2))).sqrt(), 0.9096 * 20_000.0, 150.0);
    // A normal amount is negative in 2.275 % of draws, and replaced by a mean of 1. The mean of amounts is then
    // (0.97725 + 0.05399 / 2 + 0.02275) of the customer's mean, and the second moment 1.2789 of its square.
    let frequent = || customers.values().filter(|amounts| amounts.len() > 150);
    let means: Vec<f64> = frequent().map(|amounts| mean(amounts.iter().copied())).collect();
    assert_near(mean(means.iter().copied()), 52.5 * 1.027, 2.0);
    let spread = |amounts: &Vec<f64>| {
        let centre = mean(amounts.iter().copied());
        mean(amounts.iter().map(|amount| (amount / centre - 1.0).powi(2)))
    };
    assert_near(mean(frequent().map(spread)), 1.2789 / 1.027_f64.powi(2) - 1.0, 0.008);
    assert!(means.iter().all(|mean| (4.0..115.0).contains(mean)));
}

#[test]
fn customers_use_the_terminals_within_the_radius() {
    let mut used: HashMap<u32, HashSet<u32>> = HashMap::new();
    for one in generate(6, "handbook,days=120,customers=400,terminals=2000") {
        used.entry(one.customer).or_default().insert(one.terminal);
    }
    // The disc has 15.7 of 2,000 terminals on average, less what is outside the square.
    let counts: Vec<f64> = used.values().map(|terminals| terminals.len() as f64).collect();
    assert_near(mean(counts.iter().copied()), 2_000.0 * 25.0 * std::f64::consts::PI / 10_000.0, 1.5);
    assert!(counts.iter().all(|count| *count < 40.0));
}

#[test]
fn every_amount_above_the_limit_is_fraud() {
    let all = generate(7, "handbook,days=20,s2_terminals=0,s3_customers=0");
    let frauds = all.iter().filter(|one| one.scenario.is_some()).count();
    assert!(frauds > 50, "{frauds}");
    for one in &all {
        let expected = (one.cents > Cents(22_000)).then_some(Scenario::Amount);
        assert_eq!((one.scenario, one.campaign), (expected, None));
    }
}

#[test]
fn all_transactions_of_compromised_terminals_are_fraud() {
    let all = generate(8, "handbook,days=70,terminals=300,s1_above=100000,s3_customers=0,s2_days=21");
    let mut campaigns: HashMap<u32, (u32, i64, i64)> = HashMap::new();
    for one in all.iter().filter(|one| one.scenario.is_some()) {
        assert_eq!(one.scenario, Some(Scenario::Terminal));
        let (terminal, _, last) = campaigns.entry(one.campaign.unwrap()).or_insert((one.terminal, day(one), 0));
        assert_eq!(*terminal, one.terminal);
        *last = day(one);
    }
    // Two campaigns begin each day; all but those of the last days have transactions.
    assert!((138..=140).contains(&campaigns.len()), "{}", campaigns.len());
    for (campaign, &(_, first, last)) in &campaigns {
        let begin = i64::from(campaign / 2);
        assert!(begin <= first && last < begin + 21, "campaign {campaign} lasts from {first} to {last}");
    }
    assert!(campaigns.values().filter(|(_, first, last)| last - first == 20).count() > 60);
    // No other transaction of the terminal is genuine from a campaign's first day on.
    for one in all.iter().filter(|one| one.scenario.is_none()) {
        let is_over = |(campaign, (terminal, _, _)): (&u32, &(u32, i64, i64))| {
            *terminal != one.terminal || !(i64::from(campaign / 2)..i64::from(campaign / 2) + 21).contains(&day(one))
        };
        assert!(campaigns.iter().all(is_over), "{one:?}");
    }
}

#[test]
fn a_third_of_leaked_customers_transactions_are_fraud_at_five_times_the_amount() {
    let preset = "handbook,days=50,s1_above=100000,s2_terminals=0";
    let (all, genuine) = (generate(9, preset), generate(9, &format!("{preset},s3_factor=1")));
    assert_eq!(all.len(), genuine.len());
    let mut frauds: HashMap<u32, Vec<&HandbookTransaction>> = HashMap::new();
    let mut remainders = [0; 5];
    for (one, before) in all.iter().zip(&genuine) {
        assert_eq!((one.time, one.customer, one.scenario), (before.time, before.customer, before.scenario));
        if one.scenario.is_some() {
            assert_eq!(one.scenario, Some(Scenario::Credentials));
            assert!((one.cents.0 - 5 * before.cents.0).abs() <= 3, "{one:?} {before:?}");
            remainders[(one.cents.0 % 5) as usize] += 1;
            frauds.entry(one.campaign.unwrap()).or_default().push(one);
        } else {
            assert_eq!(one, before);
        }
    }
    assert!(remainders.iter().all(|count| *count > 100), "cents do not betray the factor: {remainders:?}");
    assert!(frauds.len() > 120, "{}", frauds.len());
    let mut leaks: HashMap<u32, Vec<u32>> = HashMap::new();
    for (campaign, of_customer) in &frauds {
        let (begin, customer) = (campaign / 3, of_customer[0].customer);
        let days = i64::from(begin)..i64::from(begin + 14);
        assert!(of_customer.iter().all(|one| one.customer == customer && days.contains(&day(one))));
        leaks.entry(begin).or_default().push(customer);
    }
    // Some customers have no fraud, or several leaks; the sizes of these leaks cannot be seen.
    let is_alone = |customers: &[u32], customer| customers.iter().filter(|other| **other == customer).count() == 1;
    let all_leaked: Vec<u32> = leaks.values().flatten().copied().collect();
    leaks.retain(|_, customers| customers.len() == 3 && customers.iter().all(|one| is_alone(&all_leaked, *one)));
    assert!(leaks.len() > 30, "{}", leaks.len());
    for (begin, customers) in leaks {
        let days = i64::from(begin)..i64::from(begin + 14);
        let used = all.iter().filter(|one| customers.contains(&one.customer) && days.contains(&day(one)));
        let (count, fraud) =
            used.fold((0, 0), |(count, fraud), one| (count + 1, fraud + usize::from(one.scenario.is_some())));
        assert_eq!(fraud, count / 3, "the leak of day {begin}");
    }
}

#[test]
fn several_leaks_multiply_an_amount_once() {
    let preset = "handbook,days=10,customers=3,terminals=5000,s1_above=100000,s2_terminals=0,s3_share=1,daily_min=2";
    let all = generate(10, preset);
    assert!(all.iter().all(|one| one.scenario == Some(Scenario::Credentials)));
    let genuine = generate(10, &format!("{preset},s3_factor=1"));
    for (one, before) in all.iter().zip(&genuine) {
        assert!((one.cents.0 - 5 * before.cents.0).abs() <= 3);
        assert_eq!(i64::from(one.campaign.unwrap() / 3), day(one), "the last leak counts");
    }
}

#[test]
fn messages_are_valid_and_of_one_length() {
    let (mut writer, mut record, mut length) = (Writer::new(11), Record::default(), None);
    let (mut payload, mut ids) = (Vec::new(), Vec::new());
    for one in generate(11, "handbook,customers=300,days=30,s3_factor=1000") {
        let id = writer.write(&one, &mut record);
        assert_eq!(*length.get_or_insert(record.payload.len()), record.payload.len());
        let read = validate(Some(&record.payload)).unwrap_or_else(|rejection| panic!("{rejection:?}"));
        assert_eq!((read.order_id.as_ref(), read.timestamp, read.value), (id.as_str(), one.time, one.cents));
        assert_eq!(read.text(Place::CARD_TOKEN).map(str::as_bytes), record.key.as_deref());
        assert_eq!(read.text(Place::CARD_TOKEN), Some(format!("hb_c{:07}", one.customer).as_str()));
        assert_eq!(read.text(Place::MERCHANT), Some(format!("Terminal {:07}", one.terminal).as_str()));
        payload.clear();
        Encoder::new().encode(&read, &mut payload);
        assert_eq!(payload.strip_suffix(b"}"), Some(record.payload.strip_suffix(b"}").unwrap().trim_ascii_end()));
        ids.push(id);
    }
    assert!(ids.is_sorted());
    ids.dedup();
    assert!(ids.len() > 10_000, "{}", ids.len());
}

#[test]
fn bad_settings_are_named() {
    for (preset, part) in [
        ("", "\"\" is not a preset; the only preset is handbook"),
        ("hand", "\"hand\" is not a preset"),
        ("handbook,", "\"\" is not NAME=VALUE"),
        ("handbook,days", "\"days\" is not NAME=VALUE"),
        ("handbook,radios=1", "\"radios\" is not a constant of handbook, which has customers, terminals, days,"),
        ("handbook,customers=0", "customers: \"0\" is not a number from 1 to 1000000"),
        ("handbook,customers=1000001", "customers: \"1000001\" is not a number from 1 to 1000000"),
        ("handbook,terminals=1e3", "terminals: \"1e3\" is not a number from 1 to 1000000"),
        ("handbook,radius=nan", "radius: \"NaN\" is not a number from 0.001"),
        ("handbook,radius=", "radius: \"\" is not a number"),
        ("handbook,radius=5,radius=5", "radius is given twice"),
        ("handbook,s3_share=1.5", "s3_share: \"1.5\" is not a number from 0 to 1"),
        ("handbook,mean_min=200", "mean_min is 200, above mean_max, which is 100"),
        ("handbook,daily_min=4.5", "daily_min is 4.5, above daily_max, which is 4"),
        ("handbook,terminals=1", "s2_terminals is 2, above terminals, which is 1"),
        ("handbook,customers=2", "s3_customers is 3, above customers, which is 2"),
        ("handbook,customers=1000000,daily_max=11", "customers times daily_max is 11000000; the maximum is 10000000"),
    ] {
        let error = preset.parse::<Settings>().unwrap_err().to_string();
        assert!(error.starts_with("preset: ") && error.contains(part), "{preset}: {error}");
    }
    let settings: Settings = " handbook , customers = 30, s3_share=0.25 ".parse().unwrap();
    assert_eq!(settings, Settings { customers: 30, s3_share: 0.25, ..Settings::default() });
    assert_eq!(settings.to_string().parse(), Ok(settings));
    let refused =
        |start, preset: &str| Handbook::new(1, Micros(start), &preset.parse().unwrap()).unwrap_err().to_string();
    let error = refused(START.0 + 3_600_000_000, "handbook");
    assert!(error.starts_with("start_time: 2018-04-01T01:00:00Z is not midnight UTC"), "{error}");
    assert!(refused(Micros::END.0, "handbook").starts_with("start_time: "));
    let error = refused(START.0, "handbook,customers=3,terminals=2,radius=0.01");
    assert!(error.starts_with("preset: no customer has a terminal within the radius of 0.01"), "{error}");
}

/// Returns all messages of a world, with what is not due at its end.
fn messages(preset: &str, delay: LabelDelay) -> Vec<Message> {
    let mut feed = Feed::new(9, START, &preset.parse().unwrap(), delay).unwrap();
    let (mut all, mut message) = (Vec::new(), Message::default());
    while feed.next_message(&mut message) {
        all.push(message.clone());
    }
    assert!(all.is_sorted_by_key(|message| message.due));
    let (unsent, last) = (feed.take_unsent(), all[all.len() - 1].due);
    assert!(unsent.iter().all(|one| one.due() > last), "what was due has been sent");
    all.extend(unsent.into_iter().map(Unsent::into_message));
    assert_eq!((feed.labels_waiting(), feed.early()), (0, 0));
    all
}

fn fields(message: &Message) -> serde_json::Value {
    serde_json::from_slice(&message.record.payload).unwrap()
}

#[test]
fn every_fraud_has_its_truth_and_its_label_after_seven_days() {
    let preset = "handbook,customers=300,days=30,s1_above=150";
    let delay = LabelDelay::Fixed(7 * DAY_MICROS);
    let all = messages(preset, delay);
    assert_eq!(all, messages(preset, delay));
    let of = |topic| all.iter().filter(move |message| message.topic == topic);
    let ids: Vec<String> = of(Topic::Orders).map(|one| fields(one)["transaction_id"].to_string()).collect();
    let frauds: HashMap<&String, HandbookTransaction> =
        ids.iter().zip(generate(9, preset)).filter(|(_, one)| one.scenario.is_some()).collect();
    assert!(frauds.len() > 300);
    let mut names = HashSet::new();
    for (place, truth) in all.iter().enumerate().filter(|(_, message)| message.topic == Topic::Truth) {
        let told = fields(truth);
        let fraud = frauds[&told["transaction_id"].to_string()];
        assert_eq!(fields(&all[place - 1])["transaction_id"], told["transaction_id"], "the truth follows at once");
        assert_eq!((&told["kind"], &told["timestamp"]), (&"fraud".into(), &fields(&all[place - 1])["timestamp"]));
        assert_eq!(told["scenario"], format!("S{}", fraud.scenario.unwrap() as u8));
        assert_eq!(told.get("campaign").and_then(serde_json::Value::as_u64), fraud.campaign.map(u64::from));
        names.insert(told["scenario"].to_string());
    }
    assert_eq!((of(Topic::Truth).count(), names.len()), (frauds.len(), 3));
    assert_eq!(of(Topic::Labels).count(), frauds.len());
    for label in of(Topic::Labels) {
        let told = fields(label);
        let fraud = frauds[&told["transaction_id"].to_string()];
        assert_eq!(label.due.0, fraud.time.0 + 7 * DAY_MICROS);
        assert_eq!(told["labelled_at"], serde_json::to_value(format!("{:.6}Z", label.due.to_utc())).unwrap());
        assert_eq!((&told["fraud"], &told["source"]), (&true.into(), &"chargeback".into()));
    }
}

#[test]
fn a_share_of_frauds_is_labelled() {
    let count = |preset: &str, topic| {
        messages(preset, LabelDelay::default()).iter().filter(|message| message.topic == topic).count()
    };
    let preset = "handbook,customers=500,days=20,s1_above=100,labelled=0.6";
    assert_near(count(preset, Topic::Labels) as f64 / count(preset, Topic::Truth) as f64, 0.6, 0.05);
    assert_eq!(count("handbook,customers=500,days=3,s1_above=100,labelled=0", Topic::Labels), 0);
}
