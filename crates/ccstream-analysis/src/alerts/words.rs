//! Says in words, and as JSON, why an alert was opened.

use ccstream_core::fields::Place;
use serde_json::{Map, Value, json};

use super::definition::{Definition, Kind, Limit};
use super::event::Event;
use super::head::Suspended;
use crate::toml::length;

/// Returns the values of the key's fields; None for a rule without a key.
pub(super) fn key(definition: &Definition, event: &Event<'_>) -> Option<String> {
    let values: Vec<&str> = definition.by.iter().filter_map(|one| event.value(*one)).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Says why a rule has fired, as JSON and in words. `counts` is what the rule has counted.
pub(super) fn why(
    definition: &Definition,
    key: Option<&str>,
    event: Option<&Event<'_>>,
    (all, hits): (u64, u64),
    threshold: Option<f64>,
) -> (String, String) {
    let mut why = Map::new();
    why.insert("kind".into(), definition.kind.name().into());
    let condition = definition.condition.to_string();
    if !condition.is_empty() {
        why.insert("where".into(), condition.clone().into());
    }
    let names: Vec<&str> = definition.by.iter().map(|one| one.name()).collect();
    if let Some(key) = key {
        why.insert("by".into(), json!(names));
        why.insert("key".into(), key.into());
    }
    if let Some(event) = event {
        why.insert("transaction".into(), event.id.into());
        why.insert("amount".into(), json!(event.facts.cents() as f64 / 100.0));
        for place in [Place::CURRENCY, Place::MERCHANT] {
            if let Some(value) = event.value(place) {
                why.insert(place.field().column.into(), value.into());
            }
        }
        why.insert("score".into(), json!(event.score));
    }
    let of = key.map_or_else(String::new, |key| format!(" of {} {key}", names.join(", ")));
    let whose = key.map_or_else(String::new, |key| format!(" ({} {key})", names.join(", ")));
    let paid = event.map_or_else(String::new, |event| format!("{}{whose}", paid(event)));
    let with = if condition.is_empty() { String::new() } else { format!(" with {condition}") };
    let mut set = |name: &str, value: Value| drop(why.insert(name.into(), value));
    let text = match definition.kind {
        Kind::Transaction => format!("{paid}: {condition}"),
        Kind::Score(limit) => {
            let score = event.map_or(0.0, |event| event.score);
            let (least, which) = match limit {
                Limit::Threshold(threshold) => (threshold, String::new()),
                Limit::Budget(budget) => {
                    let what = if definition.by == [Place::CARD_TOKEN.into()] { "cards" } else { "keys" };
                    (threshold.unwrap_or_default(), format!(", which {budget} {what} reached on the day before"))
                }
            };
            set("threshold", json!(least));
            format!("{paid} has a score of {score:.3}, which is at least {least:.3}{which}")
        }
        Kind::Rate { size, distinct: Some(field), .. } => {
            let name = field.name();
            set("distinct", name.into());
            set("count", json!(hits));
            set("all", json!(all));
            set("size", length(size).into());
            format!("{hits} different values of {name} in {all} transactions{with}{of} within {}", length(size))
        }
        Kind::Rate { size, .. } => {
            set("count", json!(hits));
            set("all", json!(all));
            set("size", length(size).into());
            let share = if all > hits { format!(", of {all}") } else { String::new() };
            format!("{hits} transactions{with}{of} within {}{share}", length(size))
        }
        Kind::NewValue(of) => {
            let (name, value) = (of.name(), event.and_then(|event| event.value(of)).unwrap_or_default());
            set("of", name.into());
            set("value", value.into());
            set("before", json!(all));
            format!("{paid} has the {name} {value}, which is new after {all} known")
        }
        Kind::Amount(_) => {
            let ratio = event.and_then(|event| event.ratio).unwrap_or_default();
            set("ratio", json!(ratio));
            format!("{paid} is {ratio:.1} times the card's usual amount")
        }
        // Their words are those of what was measured.
        Kind::Anomaly(_) | Kind::System(_) => String::new(),
        Kind::Absence(after) => {
            set("after", length(after).into());
            format!("no transaction{with}{of} for {}", length(after))
        }
    };
    (Value::Object(why).to_string(), text)
}

/// Returns the amount of a transaction, with its currency and merchant.
fn paid(event: &Event<'_>) -> String {
    let cents = event.facts.cents();
    let sign = if cents < 0 { "-" } else { "" };
    let mut text = format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
    if let Some(currency) = event.value(Place::CURRENCY) {
        text = format!("{text} {currency}");
    }
    match event.value(Place::MERCHANT) {
        Some(merchant) => format!("{text} at {merchant}"),
        None => text,
    }
}

/// Says why a rule is suspended, as JSON and in words.
pub(super) fn suspension(definition: &Definition, Suspended { fired, rows, .. }: &Suspended) -> (String, String) {
    let why = json!({ "kind": "suspended", "fired": fired, "of": rows });
    let text = format!(
        "the rule {} is suspended for an hour: it fired on {fired} of {rows} transactions of a minute, which is more than \
         1 %; make it narrower",
        definition.name
    );
    (why.to_string(), text)
}
