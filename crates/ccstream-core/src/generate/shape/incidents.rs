//! What incidents do to the stream, each measured on the messages that are sent.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::event::Transaction;
use crate::fields::Place;
use crate::generate::calendar::{HOUR, MINUTE, WEEK};
use crate::generate::ids::{as_str, text_of};
use crate::generate::incident_plan::Plan;
use crate::generate::incidents::IncidentKind;
use crate::generate::later::FollowUp;
use crate::generate::merchants::Shops;
use crate::generate::{Message, Topic};
use crate::validate::validate;

/// The incident lasts from the fourth hour of the stream to the tenth.
const SPAN: &str = "@4h+6h";
const START: i64 = MONDAY + 4 * HOUR;
const END: i64 = START + 6 * HOUR;

fn world(incidents: &[String]) -> World {
    World {
        seed: 3,
        start: Some(Micros(MONDAY)),
        pace: Pace::PerSecond(4.0),
        cards: Some(40_000),
        incidents: incidents.iter().map(|text| text.parse().unwrap()).collect(),
        ..World::default()
    }
}

fn messages(world: &World) -> Vec<Message> {
    twelve_hours(&mut Generator::new(world).unwrap())
}

/// All messages of the first twelve hours.
fn twelve_hours(generator: &mut Generator) -> Vec<Message> {
    let next = || {
        let mut message = Message::default();
        generator.next_message(&mut message);
        (message.due.0 < MONDAY + 12 * HOUR).then_some(message)
    };
    std::iter::from_fn(next).collect()
}

fn orders(messages: &[Message]) -> Vec<(i64, Transaction<'_>)> {
    let orders = messages.iter().filter(|message| message.topic == Topic::Orders);
    orders.map(|message| (message.due.0, validate(Some(&message.record.payload)).unwrap())).collect()
}

fn truths(messages: &[Message], kind: &str) -> Vec<serde_json::Value> {
    let truths = messages.iter().filter(|message| message.topic == Topic::Truth);
    let read = truths.map(|message| serde_json::from_slice::<serde_json::Value>(&message.record.payload).unwrap());
    read.filter(|truth| truth["kind"] == kind).collect()
}

fn is_in(time: i64) -> bool {
    (START..END).contains(&time)
}

/// The merchant with the most payments in shops, of those with at most this number of payments.
fn merchant(most: usize) -> String {
    let undisturbed = messages(&world(&[]));
    let mut counts: HashMap<String, usize> = HashMap::new();
    for (_, order) in orders(&undisturbed) {
        if order.text(Place::ENTRY_MODE) != Some("ecommerce") {
            *counts.entry(order.text(Place::MERCHANT).unwrap().to_owned()).or_default() += 1;
        }
    }
    let allowed = counts.into_iter().filter(|(_, count)| *count <= most);
    allowed.max_by_key(|(name, count)| (*count, name.clone())).unwrap().0
}

/// The share of approved payments among those that ask an issuer.
fn approved<'t>(of: impl Iterator<Item = &'t Transaction<'t>>) -> f64 {
    let asked: Vec<bool> =
        of.filter(|order| order.value.0 > 0).map(|order| order.text(Place::STATUS) == Some("approved")).collect();
    assert!(asked.len() > 200, "{}", asked.len());
    share(&asked, |is_approved| *is_approved)
}

#[test]
fn an_outage_declines_what_it_is_about_and_nothing_else() {
    for (kind, place, name) in
        [("issuer_out", Place::ISSUER, "Alderbank"), ("network_out", Place::PAYMENT_METHOD, "amex")]
    {
        let sent = messages(&world(&[format!("{kind}{SPAN}:{name}")]));
        let orders = orders(&sent);
        let of = |is_about: bool, is_during: bool| {
            let chosen = orders
                .iter()
                .filter(move |(due, order)| (order.text(place) == Some(name)) == is_about && is_in(*due) == is_during);
            approved(chosen.map(|(_, order)| order))
        };
        assert!(of(true, true) <= 0.0, "{kind}");
        for (is_about, is_during) in [(true, false), (false, true), (false, false)] {
            assert!(of(is_about, is_during) > 0.9, "{kind} {is_about} {is_during}: {}", of(is_about, is_during));
        }
        let out = orders.iter().filter(|(due, order)| is_in(*due) && order.text(place) == Some(name));
        assert!(
            out.filter(|(_, order)| order.value.0 > 0).all(|(_, order)| order.text(Place::RESPONSE_CODE) == Some("91"))
        );
        let [truth] = &truths(&sent, "incident")[..] else { panic!("one incident") };
        let expected = ("2026-11-02T04:00:00.000000Z", "2026-11-02T10:00:00.000000Z");
        assert_eq!((truth["timestamp"].as_str(), truth["until"].as_str()), (Some(expected.0), Some(expected.1)));
        assert_eq!((truth["scenario"].as_str(), truth["subject"].as_str()), (Some(kind), Some(name)));
    }
}

#[test]
fn a_merchant_without_terminals_has_no_transactions() {
    let name = merchant(usize::MAX);
    let mut generator = Generator::new(&world(&[format!("terminal_offline{SPAN}:{name}")])).unwrap();
    let sent = twelve_hours(&mut generator);
    let (mut before, mut during, mut after) = (0, 0, 0);
    let mut ids = HashSet::new();
    for (due, order) in orders(&sent) {
        ids.insert(order.order_id.clone().into_owned());
        if order.text(Place::MERCHANT) == Some(&name) {
            *(if due < START {
                &mut before
            } else if is_in(due) {
                &mut during
            } else {
                &mut after
            }) += 1;
        }
    }
    assert!(before > 100 && during == 0 && after > 100, "{before} {during} {after}");
    // What did not take place is neither refunded nor tried again, whenever that is due.
    let mut waiting = 0;
    ids.insert(as_str(&generator.text).to_owned());
    while let Some(entry) = generator.later.pop(i64::MAX) {
        let (FollowUp::Refund(id) | FollowUp::Retry(id, _)) = entry.follow_up else { panic!("nothing is planted") };
        assert!(ids.contains(as_str(&text_of(&id))));
        waiting += 1;
    }
    assert!(waiting > 500, "{waiting}");
}

#[test]
fn a_sale_brings_a_merchant_several_times_its_usual_rate() {
    // The largest merchant has too much of its category for four times its sales.
    for (most, range) in [(300, 2.5..6.0), (usize::MAX, 1.2..3.5)] {
        let name = merchant(most);
        let counts = |incidents: &[String]| {
            let sent = messages(&world(incidents));
            let orders = orders(&sent);
            let at = orders.iter().filter(|(_, order)| order.text(Place::MERCHANT) == Some(&name) && order.value.0 > 0);
            let (during, other): (Vec<i64>, Vec<i64>) = at.map(|(due, _)| *due).partition(|due| is_in(*due));
            (during.len() as f64, other.len() as f64, orders.len() as f64)
        };
        let (usual, sale) = (counts(&[]), counts(&[format!("surge{SPAN}:{name}")]));
        println!("{name}: {usual:?}, with a sale {sale:?}");
        assert!(usual.0 > 80.0);
        assert!(range.contains(&(sale.0 / usual.0)), "{} in place of {}", sale.0, usual.0);
        assert!((0.7..1.4).contains(&(sale.1 / usual.1)), "{} in place of {}", sale.1, usual.1);
        assert!((sale.2 / usual.2 - 1.0).abs() < 0.02, "all others lose what it wins");
    }
}

#[test]
fn a_slow_processor_sends_events_late_and_changes_none() {
    let name = "Alderbank";
    let sent = messages(&world(&[format!("slow_processor{SPAN}:{name}")]));
    let orders = orders(&sent);
    assert!(sent.is_sorted_by_key(|message| message.due), "messages are sent in the order in which they are due");
    let (mut most, mut ids) = (0, HashSet::new());
    for (due, order) in &orders {
        let late = due - order.timestamp.0;
        if order.text(Place::ISSUER) == Some(name) && is_in(order.timestamp.0) {
            assert!((0..=10 * MINUTE).contains(&late));
            most = most.max(late);
        } else {
            assert_eq!(late, 0);
        }
        ids.insert(&order.order_id);
    }
    assert_eq!(ids.len(), orders.len());
    assert!(most > 9 * MINUTE, "{} s", most / 1_000_000);
    let undisturbed = messages(&world(&[]));
    let times = |orders: &[(i64, Transaction<'_>)]| {
        let mut events: Vec<_> = orders.iter().map(|(_, order)| (order.timestamp, order.value)).collect();
        events.sort_unstable();
        events
    };
    assert_eq!(times(&orders), times(&super::incidents::orders(&undisturbed)));
}

#[test]
fn duplicates_are_the_same_bytes_within_seconds() {
    let sent = messages(&world(&[format!("duplicates{SPAN}")]));
    let orders: Vec<&Message> = sent.iter().filter(|message| message.topic == Topic::Orders).collect();
    let mut first: HashMap<&[u8], i64> = HashMap::new();
    let (mut during, mut twice) = (0.0, HashSet::new());
    for message in orders {
        let payload = message.record.payload.as_slice();
        match first.get(payload) {
            None => {
                first.insert(payload, message.due.0);
                during += f64::from(u8::from(is_in(message.due.0)));
            }
            Some(due) => {
                assert!((0..=5_000_000).contains(&(message.due.0 - due)) && is_in(*due));
                assert!(
                    twice.insert(validate(Some(payload)).unwrap().order_id.into_owned()),
                    "none is sent three times"
                );
            }
        }
    }
    let share = twice.len() as f64 / during;
    assert!((0.23..0.27).contains(&share), "{share}");
    let told = truths(&sent, "duplicate");
    assert_eq!(told.len(), twice.len());
    assert!(told.iter().all(|truth| twice.contains(truth["transaction_id"].as_str().unwrap())));
}

#[test]
fn a_wrong_clock_is_whole_hours_off() {
    let name = merchant(usize::MAX);
    let sent = messages(&world(&[format!("wrong_clock{SPAN}:{name}")]));
    let mut offsets: HashMap<i64, usize> = HashMap::new();
    for (due, order) in orders(&sent) {
        let offset = order.timestamp.0 - due;
        if order.text(Place::MERCHANT) == Some(&name) && is_in(due) {
            *offsets.entry(offset).or_default() += 1;
        } else {
            assert_eq!(offset, 0);
        }
    }
    let [(offset, count)] = offsets.into_iter().collect::<Vec<_>>()[..] else { panic!("one offset") };
    assert!(offset % HOUR == 0 && (1..12).contains(&(offset / HOUR).abs()) && count > 100, "{offset} {count}");
    let detail = truths(&sent, "incident")[0]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&format!(
        " {} h too {}",
        (offset / HOUR).abs(),
        if offset < 0 { "early" } else { "late" }
    )));
}

#[test]
fn the_same_incidents_give_the_same_bytes_and_without_a_subject_it_is_by_the_seed() {
    let all: Vec<String> = IncidentKind::ALL.iter().map(|kind| format!("{}@1h+2h", kind.name())).collect();
    let sent = messages(&world(&all));
    assert_eq!(sent, messages(&world(&all)));
    assert_eq!(truths(&sent, "incident").len(), all.len());
    let subjects = |seed| {
        let truths = truths(&messages(&World { seed, ..world(&all) }), "incident");
        truths.iter().map(|truth| truth["subject"].to_string()).collect::<Vec<_>>()
    };
    assert_ne!(subjects(3), subjects(4));
}

#[test]
fn a_few_a_week_happen_by_chance_whenever_the_stream_begins() {
    let shops = Shops::new();
    let until = |start: i64, end: i64| {
        let mut plan = Plan::new(8, &[], true, start, &shops);
        std::iter::from_fn(move || plan.take(end, &Shops::new())).collect::<Vec<_>>()
    };
    let end = MONDAY + 40 * WEEK;
    let year = until(MONDAY, end);
    let started = year.iter().filter(|incident| incident.start >= MONDAY).count();
    assert!((100..180).contains(&started), "{started} in 40 weeks");
    let kinds: HashSet<&str> = year.iter().map(|incident| incident.kind.name()).collect();
    assert_eq!(kinds.len(), IncidentKind::ALL.len());
    assert!(year.is_sorted_by_key(|incident| incident.start));
    let later = MONDAY + 20 * WEEK + 5 * HOUR;
    let rest: Vec<_> = year.into_iter().filter(|incident| incident.end > later).collect();
    assert_eq!(until(later, end), rest);
}
