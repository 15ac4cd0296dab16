//! What is planted, its labels, and the truth about it.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::generate::calendar::DAY;
use crate::generate::plant::{Role, SCENARIOS, TWINS};
use crate::generate::{Early, LabelDelay, Message, Topic, Unsent};

const FRAUD: f64 = 0.005;
const COUNT: usize = 1_000_000;

fn planted(seed: u64, fraud: f64, label_delay: LabelDelay) -> Generator {
    let pace = Pace::PerSecond(0.5);
    let world =
        World { seed, start: Some(Micros(MONDAY)), pace, cards: Some(20_000), fraud, label_delay, ..World::default() };
    Generator::new(&world).unwrap()
}

/// The messages of a number of transactions, and all labels.
fn messages(generator: &mut Generator, transactions: usize) -> Vec<Message> {
    let (mut all, mut message, mut orders) = (Vec::new(), Message::default(), 0);
    while orders < transactions || generator.has_pending() {
        generator.next_message(&mut message);
        orders += usize::from(message.topic == Topic::Orders);
        all.push(message.clone());
    }
    assert!(generator.waiting().0 > 0);
    all.extend(generator.take_unsent().into_iter().map(Unsent::into_message));
    assert_eq!(generator.waiting(), (0, 0));
    all
}

fn json(message: &Message) -> serde_json::Value {
    serde_json::from_slice(&message.record.payload).unwrap()
}

fn text(of: &serde_json::Value, field: &str) -> String {
    of[field].as_str().unwrap_or_default().to_owned()
}

#[test]
fn each_scenario_has_its_share_and_its_twin_three_times_as_much() {
    let (mut frauds, mut twins) = (0.0, 0.0);
    let mut of_role: HashMap<Role, (f64, HashSet<u32>)> = HashMap::new();
    for seed in 1..=2 {
        let mut generator = planted(seed, FRAUD, LabelDelay::default());
        for seen in stream(&mut generator, COUNT) {
            let Some(plant) = seen.payment.plant else { continue };
            *(if plant.is_fraud() { &mut frauds } else { &mut twins }) += 1.0;
            let (count, campaigns) = of_role.entry(plant.role).or_default();
            *count += 1.0;
            campaigns.insert(plant.campaign * 2 + seed as u32);
        }
    }
    let count = 2.0 * COUNT as f64;
    println!("frauds {:.5}, twins {:.5}", frauds / count, twins / count);
    assert!((frauds / count / FRAUD - 1.0).abs() < 0.12, "{} of {FRAUD}", frauds / count);
    assert!((twins / count / (TWINS * FRAUD) - 1.0).abs() < 0.12, "{} of {}", twins / count, TWINS * FRAUD);
    for role in Role::ALL {
        let planned = FRAUD / SCENARIOS.len() as f64 * if role.is_twin { TWINS } else { 1.0 };
        let (found, campaigns) = &of_role[&role];
        println!("{role:?} {:.2} of the plan, {} campaigns", found / count / planned, campaigns.len());
        // The number of campaigns is that of a Poisson process.
        let tolerance = 0.15 + 4.0 / (campaigns.len() as f64).sqrt();
        assert!((found / count / planned - 1.0).abs() < tolerance, "{role:?}: {found}");
    }
}

#[test]
fn the_stream_keeps_its_rate_whatever_is_planted() {
    for fraud in [0.0, FRAUD, 0.1] {
        let mut generator = planted(3, fraud, LabelDelay::default());
        let seen = stream(&mut generator, 400_000);
        let rate = 400_000.0 / ((seen[399_999].time - MONDAY) as f64 / 1e6);
        println!("{fraud}: {rate:.3} a second");
        assert!((rate / 0.5 - 1.0).abs() < 0.05, "{rate} a second with {fraud}");
    }
}

#[test]
fn a_fast_stream_does_not_begin_with_what_waits() {
    let world = World { seed: 1, start: Some(Micros(MONDAY)), pace: Pace::PerSecond(1_000.0), ..World::default() };
    let mut generator = Generator::new(&World { cards: Some(50_000), fraud: FRAUD, ..world }).unwrap();
    let seen = stream(&mut generator, 20_000);
    assert_eq!((seen[0].time >= MONDAY, generator.early()), (true, Early::default()));
    assert!(share(&seen, |one| one.payment.plant.is_some()) < 0.05);
}

#[test]
fn labels_are_of_their_share_and_time() {
    const MEDIAN: i64 = DAY;
    for delay in [LabelDelay::LogNormal(MEDIAN), LabelDelay::Fixed(MEDIAN)] {
        let all = messages(&mut planted(5, 0.02, delay), COUNT);
        let (mut orders, mut frauds) = (HashMap::new(), HashSet::new());
        let (mut found, mut claimed, mut delays, mut last) = (0.0, 0.0, Vec::new(), i64::MIN);
        for message in &all {
            let read = json(message);
            let id = text(&read, "transaction_id");
            match message.topic {
                Topic::Orders => {
                    orders.insert(id, message.due.0);
                }
                Topic::Truth if read["kind"] == "fraud" => {
                    frauds.insert(id);
                }
                Topic::Truth => {}
                Topic::Labels => {
                    let at = crate::validate::parse_moment(&text(&read, "labelled_at")).unwrap().0;
                    // It is known once its transaction is, and comes in the order of its time.
                    delays.push(at - orders[&id]);
                    assert!(at >= last, "labels are in the order of time");
                    last = at;
                    assert_eq!(read["fraud"], true);
                    *(if frauds.contains(&id) { &mut found } else { &mut claimed }) += 1.0;
                }
            }
        }
        delays.sort_unstable();
        let honest = orders.len() as f64 - frauds.len() as f64;
        let (share, claims) = (found / frauds.len() as f64, claimed / honest);
        let median = delays[delays.len() / 2] as f64 / MEDIAN as f64;
        println!("{share:.4} of {} frauds, {claims:.6} of honest, median {median:.3}", frauds.len());
        assert!((share / 0.85 - 1.0).abs() < 0.02, "{share}");
        assert!((claims / 0.000_2 - 1.0).abs() < 0.3, "{claims}");
        assert!((median - 1.0).abs() < 0.02, "{median}");
        assert!(delays[0] > 0, "a label before its transaction");
    }
}

#[test]
fn each_planted_transaction_is_followed_by_its_truth() {
    let all = messages(&mut planted(6, 0.02, LabelDelay::default()), 100_000);
    let (mut ids, mut last, mut kinds) = (HashSet::new(), String::new(), HashMap::<String, usize>::new());
    for message in &all {
        let read = json(message);
        let id = text(&read, "transaction_id");
        match message.topic {
            Topic::Orders => {
                last.clone_from(&id);
                ids.insert(id);
            }
            Topic::Truth => {
                assert_eq!(id, last, "a truth is about the transaction before it");
                let kind = text(&read, "kind");
                let is_planted = matches!(kind.as_str(), "fraud" | "twin");
                assert_eq!(SCENARIOS.contains(&text(&read, "scenario").as_str()), is_planted);
                assert_eq!(read["campaign"].is_number(), is_planted);
                let subject = text(&read, "subject");
                assert!(is_planted || ids.contains(&subject), "{kind} of {subject}");
                *kinds.entry(kind).or_default() += 1;
            }
            Topic::Labels => assert!(ids.contains(&id)),
        }
    }
    println!("{kinds:?}");
    assert!(["fraud", "twin", "refund", "retry"].iter().all(|kind| kinds[*kind] > 300));
}

#[test]
fn a_planned_campaign_comes_in_addition_at_its_time() {
    const AT: i64 = 5 * 3_600_000_000;
    let world = World {
        seed: 4,
        start: Some(Micros(MONDAY)),
        pace: Pace::PerSecond(1.0),
        fraud: 1e-6,
        campaigns: vec!["S5@5h".parse().unwrap(), "S5@5h".parse().unwrap()],
        ..World::default()
    };
    let mut generator = Generator::new(&world).unwrap();
    let found: Vec<_> = stream(&mut generator, 50_000)
        .into_iter()
        .filter_map(|seen| {
            seen.payment
                .plant
                .filter(|plant| plant.role.name() == "S5" && plant.is_fraud())
                .map(|plant| (plant.campaign, seen.time))
        })
        .collect();
    let campaigns: HashSet<u32> = found.iter().map(|(campaign, _)| *campaign).collect();
    assert_eq!(campaigns.len(), 2, "{found:?}");
    for campaign in campaigns {
        let times: Vec<i64> = found.iter().filter(|one| one.0 == campaign).map(|one| one.1 - MONDAY).collect();
        assert!(times.len() > 10 && times.iter().all(|&time| time >= AT), "{times:?}");
        assert!(times.iter().filter(|&&time| time < AT + 2 * 3_600_000_000).count() > 8, "{times:?}");
    }
    // Nothing is planted without a share of fraud, and nothing else changes.
    let without = |campaigns: Vec<_>| {
        let mut generator = Generator::new(&World { fraud: 0.0, campaigns, ..world.clone() }).unwrap();
        stream(&mut generator, 30_000).iter().map(|seen| seen.time).collect::<Vec<_>>()
    };
    assert_eq!(without(Vec::new()), without(world.campaigns.clone()));
}
