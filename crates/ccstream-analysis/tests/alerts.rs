//! Tests that each kind of rule fires on what it looks for and not on what only resembles it, that rules which are
//! loaded again continue as if nothing had happened, and that what is wrong in a file is explained.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use ccstream_analysis::alerts::{Alert, Change, Event, Observation, Rule, parse};
use ccstream_analysis::windows::Fields;
use ccstream_core::event::{Cents, Micros, Transaction};
use ccstream_core::fields::Place;
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A transaction: its time in seconds, and what rules see of it.
#[derive(Debug, Clone, Copy)]
struct Paid {
    time: i64,
    card: &'static str,
    issuer: &'static str,
    country: Option<&'static str>,
    status: &'static str,
    cents: i64,
    score: f64,
    ratio: Option<f32>,
    clock: i64,
}

const PAID: Paid = Paid {
    time: DAY,
    card: "c1",
    issuer: "bank",
    country: Some("DE"),
    status: "approved",
    cents: 1_000,
    score: 0.1,
    ratio: Some(1.0),
    clock: 0,
};

/// A rule, and what became of its alerts.
struct Run {
    rules: Vec<Rule>,
    fields: Fields,
    seq: u64,
    reached: Option<Micros>,
    changes: Vec<Change>,
    observed: Vec<Observation>,
}

impl Run {
    fn new(text: &str) -> Self {
        let parsed = parse(&format!("[[alert]]\nname = \"rule\"\n{text}"));
        assert!(parsed.wrong.is_empty(), "{:?}", parsed.wrong);
        let definition = parsed.right.into_iter().next().unwrap();
        let mut fields = Fields::default();
        fields.add(&definition.attributes());
        let rules = vec![Rule::new(definition, 3, 1)];
        Self { rules, fields, seq: 0, reached: None, changes: Vec::new(), observed: Vec::new() }
    }

    fn add(&mut self, paid: Paid) {
        self.seq += 1;
        let mut transaction = Transaction::new("id", Micros(paid.time * SECOND), Cents(paid.cents))
            .with(Place::CARD_TOKEN, paid.card)
            .with(Place::ISSUER, paid.issuer)
            .with(Place::STATUS, paid.status)
            .with(Place::CURRENCY, "eur")
            .with(Place::MERCHANT, "Alder Books");
        if let Some(country) = paid.country {
            transaction = transaction.with(Place::COUNTRY, country);
        }
        let mut facts = self.fields.facts(&transaction);
        facts.assign(&[("Alder Books", "rare, large")].into_iter().collect());
        let values: Vec<Option<&str>> = facts.values().collect();
        let event = Event {
            seq: self.seq,
            id: "id",
            time: transaction.timestamp,
            reached: self.reached,
            clock: Micros(paid.clock * SECOND),
            facts: &facts,
            fields: &self.fields,
            values: &values,
            score: paid.score,
            ratio: paid.ratio,
        };
        self.rules[0].event(&event, &mut self.changes, &mut self.observed);
        self.reached = self.reached.max(Some(transaction.timestamp));
    }

    fn tick(&mut self, clock: i64) {
        self.rules[0].tick(self.seq, Micros(clock * SECOND), &mut self.changes, &mut self.observed);
    }

    fn opened(&self) -> Vec<&Alert> {
        self.changes
            .iter()
            .filter_map(|change| if let Change::Opened(alert) = change { Some(alert) } else { None })
            .collect()
    }

    /// Says how often alerts were opened, repeated and closed.
    fn counts(&self) -> [usize; 3] {
        let count = |is_one: fn(&Change) -> bool| self.changes.iter().filter(|change| is_one(change)).count();
        [
            count(|change| matches!(change, Change::Opened(_))),
            count(|change| matches!(change, Change::Repeated { .. })),
            count(|change| matches!(change, Change::Closed { .. })),
        ]
    }
}

/// Returns the texts of the alerts that transactions open.
fn opened(text: &str, paid: &[Paid]) -> Vec<String> {
    let mut run = Run::new(text);
    for one in paid {
        run.add(*one);
    }
    run.opened().iter().map(|alert| alert.text.clone()).collect()
}

#[test]
fn a_transaction() {
    let rule = "kind = \"transaction\"\nwhere = 'status = declined | refused and amount > 500 and country != US'";
    let found = Paid { status: "declined", cents: 50_001, ..PAID };
    assert_eq!(
        opened(rule, &[found]),
        ["500.01 EUR at Alder Books (card_token c1): status = declined | refused and amount > 500 and country != US"]
    );
    // A country that is absent is not US, as on the page.
    assert_eq!(opened(rule, &[Paid { country: None, ..found }]).len(), 1);
    let twins =
        [Paid { cents: 50_000, ..found }, Paid { status: "approved", ..found }, Paid { country: Some("US"), ..found }];
    assert!(opened(rule, &twins).is_empty());
    let quoted = "kind = \"transaction\"\nwhere = 'issuer = \"bank\" and country = (unknown)'";
    assert_eq!(opened(quoted, &[Paid { country: None, ..PAID }, PAID]).len(), 1);
}

#[test]
fn a_transaction_of_a_merchant_of_a_segment() {
    for (condition, fires) in [
        ("segment = rare, large", true),
        ("segment = frequent | \"rare, large\"", true),
        ("segment = rare", false),
        ("segment != \"rare, large\"", false),
        ("segment != (unknown) and amount < 1000", true),
    ] {
        let rule = format!("kind = \"transaction\"\nwhere = '{condition}'\nby = [\"segment\"]");
        let expected = format!("5.00 EUR at Alder Books (segment rare, large): {condition}");
        let found = opened(&rule, &[Paid { cents: 500, ..PAID }]);
        assert_eq!(found, if fires { vec![expected] } else { Vec::new() }, "{condition}");
    }
}

#[test]
fn a_repeat_within_the_cooldown_counts_up() {
    let mut run = Run::new("kind = \"transaction\"\nwhere = \"amount > 5\"\ncooldown = \"10m\"");
    for time in [0, 599, 300, 600] {
        run.add(Paid { time: DAY + time, ..PAID });
    }
    run.add(Paid { card: "c2", time: DAY + 601, ..PAID });
    assert_eq!(run.counts(), [3, 2, 0]);
}

#[test]
fn a_score() {
    let rule = "kind = \"score\"\nthreshold = 0.8";
    let texts = opened(rule, &[Paid { score: 0.8, ..PAID }, Paid { card: "c2", score: 0.79, ..PAID }]);
    assert_eq!(texts, ["10.00 EUR at Alder Books (card_token c1) has a score of 0.800, which is at least 0.800"]);
}

#[test]
fn a_budget_of_scores() {
    let rule = "kind = \"score\"\nbudget = 2";
    let day = |day, card, score| Paid { time: day * DAY, card, score, ..PAID };
    let first = [day(1, "c1", 0.9), day(1, "c2", 0.3), day(1, "c3", 0.6), day(1, "c1", 0.7)];
    assert!(opened(rule, &first).is_empty());
    let all: Vec<Paid> =
        first.into_iter().chain([day(2, "c4", 0.59), day(2, "c5", 0.6), day(3, "c6", 0.589)]).collect();
    assert_eq!(opened(rule, &all).len(), 1);
}

#[test]
fn a_rate() {
    let rule = "kind = \"rate\"\nwhere = \"status = declined\"\nby = [\"issuer\"]\nleast = 3\nsize = \"5m\"";
    let declined = |time| Paid { time: DAY + time, status: "declined", ..PAID };
    assert_eq!(
        opened(rule, &[declined(0), declined(100), declined(289), declined(290)]),
        ["3 transactions with status = declined of issuer bank within 5m"]
    );
    let other = Paid { issuer: "other", ..declined(250) };
    assert!(opened(rule, &[declined(0), declined(100), other, declined(310)]).is_empty());
    // A share among all of the issuer.
    let share = format!("{rule}\nshare = 0.5");
    let approved = Paid { time: DAY + 120, ..PAID };
    assert!(
        opened(&share, &[approved, approved, approved, approved, declined(121), declined(122), declined(123)])
            .is_empty()
    );
    assert_eq!(
        opened(&share, &[approved, approved, approved, declined(121), declined(122), declined(123)]),
        ["3 transactions with status = declined of issuer bank within 5m, of 6"]
    );
}

#[test]
fn a_rate_of_different_values() {
    let rule = "kind = \"rate\"\nwhere = \"status = declined\"\nby = [\"merchant\"]\nleast = 3\ndistinct = \"card_token\"\nsize = \"5m\"";
    let declined = |time, card| Paid { time: DAY + time, card, status: "declined", ..PAID };
    assert_eq!(
        opened(rule, &[declined(0, "c1"), declined(100, "c2"), declined(101, "c2"), declined(289, "c3")]),
        ["3 different values of card_token in 4 transactions with status = declined of merchant Alder Books within 5m"]
    );
    // One card that tries again and again looks alike, and so do three cards of which one is declined.
    assert!(opened(rule, &[0, 1, 2, 3, 4].map(|time| declined(time, "c1"))).is_empty());
    let approved = |time, card| Paid { status: "approved", ..declined(time, card) };
    assert!(opened(rule, &[approved(0, "c1"), approved(1, "c2"), declined(2, "c3")]).is_empty());
}

#[test]
fn a_new_value() {
    let rule = "kind = \"new_value\"\nof = \"country\"";
    let at = |time, country| Paid { time: DAY + time, country: Some(country), ..PAID };
    assert_eq!(
        opened(rule, &[at(0, "DE"), at(1, "DE"), at(2, "FR"), at(9_000, "FR"), at(9_001, "DE")]),
        ["10.00 EUR at Alder Books (card_token c1) has the country FR, which is new after 1 known"]
    );
    // The first value of a card is not new, and none is not a value.
    assert!(
        opened(rule, &[at(0, "DE"), Paid { card: "c2", ..at(1, "FR") }, Paid { country: None, ..PAID }]).is_empty()
    );
}

#[test]
fn an_amount() {
    let rule = "kind = \"amount\"\nratio = 8\nwhere = \"amount > 5\"";
    let of = |ratio| Paid { ratio, ..PAID };
    assert_eq!(
        opened(rule, &[of(Some(8.0))]),
        ["10.00 EUR at Alder Books (card_token c1) is 8.0 times the card's usual amount"]
    );
    assert!(opened(rule, &[of(Some(7.99)), of(None), Paid { cents: 500, ..of(Some(9.0)) }]).is_empty());
}

#[test]
fn an_absence() {
    let mut run = Run::new("kind = \"absence\"\nafter = \"60s\"\nby = [\"issuer\"]\ncooldown = \"5m\"");
    let bank = |clock| Paid { clock, ..PAID };
    run.tick(50);
    run.add(bank(100));
    run.add(Paid { issuer: "other", ..bank(150) });
    run.tick(159);
    assert_eq!(run.counts(), [0, 0, 0]);
    run.tick(160);
    run.tick(170);
    assert_eq!(run.counts(), [1, 0, 0]);
    assert_eq!(run.opened()[0].text, "no transaction of issuer bank for 1m");
    assert_eq!((run.opened()[0].key.as_deref(), run.opened()[0].at), (Some("bank"), 160 * SECOND));
    // It is over, and begins again within the cooldown.
    run.add(bank(180));
    run.add(Paid { issuer: "other", ..bank(200) });
    run.tick(240);
    assert_eq!(run.counts(), [1, 1, 1]);
    // Without a key, even the first transaction is waited for.
    let mut run = Run::new("kind = \"absence\"\nafter = \"60s\"\nwhere = \"status = declined\"");
    run.tick(0);
    run.add(bank(59));
    run.tick(59);
    assert_eq!(run.counts(), [0, 0, 0]);
    run.tick(60);
    assert_eq!(run.counts(), [1, 0, 0]);
}

#[test]
fn a_rule_that_fires_too_often_is_suspended_for_an_hour() {
    let of_minute = |rule: &str, hits: i64, rows: i64| {
        let mut run = Run::new(rule);
        for number in 0..rows {
            let cents = if number < hits { 1_000 } else { 1 };
            run.add(Paid { time: DAY + number * 60 / rows, cents, ..PAID });
        }
        run.add(Paid { time: DAY + 60, ..PAID });
        run
    };
    let rule = "kind = \"transaction\"\nwhere = \"amount > 5\"\ncooldown = \"1s\"";
    let is_suspension = |alert: &&&Alert| alert.text.contains("is suspended");
    let run = of_minute(rule, 20, 1_999);
    assert_eq!(run.opened().iter().filter(is_suspension).count(), 1);
    assert!(run.opened().last().unwrap().text.contains("20 of 1999 transactions"));
    assert_eq!(of_minute(rule, 20, 2_000).opened().iter().filter(is_suspension).count(), 0);
    // A rule that fires rarely is not suspended, although that is a large share of few transactions.
    assert_eq!(of_minute(rule, 19, 100).opened().iter().filter(is_suspension).count(), 0);
    let mut run = of_minute(rule, 20, 100);
    let before = run.counts();
    run.add(Paid { time: DAY + 60 + HOUR - 1, ..PAID });
    assert_eq!(run.counts(), before);
    run.add(Paid { time: DAY + 60 + HOUR, ..PAID });
    assert_eq!(run.counts()[0], before[0] + 1);
    // The end of the minute is not waited for.
    let mut run = Run::new(rule);
    (0..201).for_each(|_| run.add(PAID));
    assert_eq!(run.opened().iter().filter(is_suspension).count(), 1);
}

#[test]
fn the_keys_that_were_used_longest_ago_are_forgotten() {
    let mut run = Run::new("kind = \"new_value\"\nof = \"country\"\nkeys = 64");
    let cards: Vec<&'static str> =
        (0..1_000).map(|number| &*Box::leak(format!("c{number}").into_boxed_str())).collect();
    for card in &cards {
        run.add(Paid { card, ..PAID });
    }
    assert!((1_000 - 64..1_000).contains(&run.rules[0].forgotten()), "{}", run.rules[0].forgotten());
    for card in &cards[..900] {
        run.add(Paid { card, country: Some("FR"), ..PAID });
    }
    assert!(run.opened().len() < 10);
    run.add(Paid { card: cards[899], country: Some("DE"), ..PAID });
    assert!(run.opened().last().is_some_and(|alert| alert.key.as_deref() == Some("c899")));
}

#[test]
fn what_is_wrong_is_explained() {
    let rule = "[[alert]]\nname = \"a\"\nkind = \"rate\"\nsize = \"5m\"\nleast = 3\n";
    assert!(parse(rule).wrong.is_empty());
    for (text, says) in [
        (rule.replace("kind = \"rate\"", "kind = \"rates\""), "line 3, column 8: a: there is no kind \"rates\""),
        (rule.replace("least = 3", "most = 3"), "line 1, column 1: a: a rule of the kind rate needs least"),
        (rule.replace("least = 3", "least = 0"), "line 5, column 9: a: write a whole number from 1"),
        (format!("{rule}most = 3\n"), "line 6, column 1: a: there is no key \"most\""),
        (format!("{rule}threshold = 0.5\n"), "line 6, column 1: a: there is no key \"threshold\""),
        (format!("{rule}where = \"land = DE\"\n"), "line 6, column 9: a: there is no field \"land\""),
        (format!("{rule}where = \"amount != 5\"\n"), "line 6, column 9: a: \"amount != 5\" is not possible"),
        (format!("{rule}where = \"issuer > 5\"\n"), "line 6, column 9: a: compare issuer by = or !=, not by >"),
        (format!("{rule}where = 'issuer = \"a'\n"), "line 6, column 9: a: a double quote is missing"),
        (format!("{rule}share = 0.5\n"), "line 6, column 9: a: share needs a condition"),
        (format!("{rule}distinct = \"bank\"\n"), "line 6, column 12: a: there is no dimension \"bank\""),
        (
            format!("{rule}distinct = \"issuer\"\nwhere = \"status = declined\"\nshare = 0.5\n"),
            "line 8, column 9: a: write share or distinct, not both",
        ),
        (
            format!("{}distinct = \"issuer\"\n", rule.replace("least = 3", "least = 65")),
            "line 5, column 9: a: write a whole number from 1 to 64",
        ),
        (format!("{rule}share = 2\n"), "line 6, column 9: a: write a share from 0 to 1"),
        (format!("{rule}severity = \"bad\"\n"), "line 6, column 12: a: there is no severity \"bad\""),
        (format!("{rule}by = [\"issuer\", \"bank\"]\n"), "line 6, column 17: a: there is no dimension \"bank\""),
        (format!("{rule}cooldown = \"1h\"\ncooldown_limit = \"1m\"\n"), "line 7, column 18: a: the limit is shorter"),
        (format!("{rule}{rule}"), "line 7, column 8: a: another alert has this name"),
        ("[[alert]]\nkind = \"score\"\n".into(), "line 1, column 1: an alert needs a name"),
        ("[[window]]\n".into(), "line 1, column 3: there is no key \"window\"; use [[alert]] and [[notify]]"),
        ("[[alert]\n".into(), "line 1, column "),
    ] {
        let wrong: Vec<String> = parse(&text).wrong.iter().map(ToString::to_string).collect();
        assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
        assert!(wrong[0].starts_with(says), "{} is not: {says}", wrong[0]);
    }
    // The place of each mistake takes time by the length of the file, so not all of them are found.
    let parsed = parse(&"[[alert]]\n".repeat(50_000));
    assert_eq!((parsed.wrong.len(), parsed.is_unreadable), (21, true));
    assert!(parsed.wrong[20].text.starts_with("there are 20 mistakes or more"));
    let long = parse(&rule.replace("\"rate\"", &format!("\"{}\"", "é".repeat(500))));
    assert!(long.wrong[0].text.contains("éé\"…; use"), "{}", long.wrong[0]);
    // A definition that is written and read again is the same.
    let full = format!(
        "{rule}where = 'issuer = \"a\" and amount >= -1.5'\nshare = 0.25\nfor = \"90s\"\nrunbook = \"https://x\"\n"
    );
    let right = &parse(&full).right[0];
    assert_eq!(&parse(&right.to_string()).right[0], right);
}

fn paid() -> impl Strategy<Value = Paid> {
    let card = prop_oneof![Just("c1"), Just("c2"), Just("c3"), Just("c4")];
    let country = prop_oneof![Just(Some("DE")), Just(Some("FR")), Just(Some("US")), Just(None)];
    let status = prop_oneof![Just("approved"), Just("declined")];
    (0..4 * DAY, card, country, status, 0..1_000_i64, 0..100_u8).prop_map(
        |(time, card, country, status, clock, score)| Paid {
            time: DAY + time / 60,
            card,
            country,
            status,
            clock,
            score: f64::from(score) / 100.0,
            ratio: Some(f32::from(score) / 10.0),
            ..PAID
        },
    )
}

const RULES: [&str; 8] = [
    "kind = \"transaction\"\nwhere = \"status = declined\"\ncooldown = \"10m\"\nkeys = 2",
    "kind = \"score\"\nthreshold = 0.7\ncooldown = \"1m\"",
    "kind = \"score\"\nbudget = 2\ncooldown = \"1m\"",
    "kind = \"rate\"\nwhere = \"status = declined\"\nby = [\"country\"]\nleast = 2\nsize = \"5m\"\nshare = 0.4",
    "kind = \"rate\"\nby = [\"country\"]\ndistinct = \"card_token\"\nleast = 2\nsize = \"5m\"\ncooldown = \"1m\"",
    "kind = \"new_value\"\nof = \"country\"\nkeys = 2",
    "kind = \"amount\"\nratio = 5\ncooldown = \"1m\"",
    "kind = \"absence\"\nafter = \"60s\"\nby = [\"country\"]\ncooldown = \"2m\"",
];

proptest! {
    /// A rule that is stored and loaded again at random gives the same changes as one that is not.
    #[test]
    fn a_rule_continues_from_its_parts_and_journals(
        rule in 0..RULES.len(),
        paid in prop::collection::vec((paid(), 0..10_u8), 1..120),
    ) {
        let (mut whole, mut run) = (Run::new(RULES[rule]), Run::new(RULES[rule]));
        let definition = run.rules[0].definition().clone();
        let (mut journals, mut parts, mut journal) = (Vec::new(), std::collections::BTreeMap::new(), 0);
        for (clock, (paid, what)) in paid.into_iter().enumerate() {
            let paid = Paid { clock: 20 * clock as i64, ..paid };
            for one in [&mut whole, &mut run] {
                one.add(paid);
                if what % 2 == 1 {
                    one.tick(paid.clock);
                }
            }
            if what < 4 {
                journal += 1;
                journals.push((journal, Rule::journal(&run.rules, &run.observed)));
                run.observed.clear();
                if what < 2 {
                    // A few bytes, so that most parts are older than the journal.
                    for (part, data) in run.rules[0].snapshot(journal, 1) {
                        parts.insert(part, (journal, data));
                    }
                    let keep_from = run.rules[0].needs_after().map_or(journal, |after| after + 1).min(journal);
                    journals.retain(|(number, _)| *number >= keep_from);
                }
                if what % 2 == 0 {
                    run.rules = vec![Rule::new(definition.clone(), 3, 1)];
                    for (part, (number, data)) in &parts {
                        run.rules[0].load(*part, *number, data).unwrap();
                    }
                    for (number, data) in &journals {
                        Rule::replay(&mut run.rules, *number, data).unwrap();
                    }
                }
            }
            prop_assert_eq!(&run.changes, &whole.changes);
        }
    }
}
