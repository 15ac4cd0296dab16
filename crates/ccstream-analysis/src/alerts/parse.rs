//! Reads rules from the text of `alerts.toml`. What is wrong is reported with its line and column.

use ccstream_core::fields::Place;

use super::anomaly::Anomalous;
use super::condition::Condition;
use super::definition::{Definition, Kind, Limit, Severity};
use super::keys::MAX_VALUES;
use super::system::System;
use super::top::MAX_BUDGET;
use crate::anomalies::{Dimension, Kpi};
use crate::toml::{DAY, Defined, LONGEST, Parsed, Reading, SECOND, Wrong, dimension, quoted};

/// The maximum number of keys of a rule.
const MAX_KEYS: usize = 1_000_000;
/// The maximum number of transactions that a rate can wait for.
const MAX_LEAST: usize = 1_000_000;
/// By how much a cooldown grows by itself.
const GROWS: i64 = 16;
const MAX_RUNBOOK: usize = 500;

/// The keys of every kind.
const KEYS: [&str; 9] = ["name", "kind", "where", "by", "severity", "cooldown", "cooldown_limit", "runbook", "keys"];

/// Reads the text of a file.
///
/// ```
/// use ccstream_analysis::alerts::parse;
/// let text = "[[alert]]\nname = \"abroad\"\nkind = \"transaction\"\nwhere = \"country != US and amount > 500\"\n";
/// let parsed = parse(text);
/// assert_eq!((parsed.right[0].name.as_str(), parsed.wrong.len()), ("abroad", 0));
/// let wrong = &parse(&text.replace("country", "land")).wrong[0];
/// assert_eq!((wrong.line, wrong.column), (4, 9));
/// ```
pub fn parse(text: &str) -> Parsed<Definition> {
    crate::toml::parse(text)
}

impl Defined for Definition {
    const KEY: &'static str = "alert";
    const KEYS: &'static [&'static str] = &["alert", "notify"];
    const MOST: usize = 32;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(reading: &Reading<'_>) -> Result<Self, Wrong> {
        let name = reading.name()?;
        let (kind, own) = kind(reading)?;
        let is_usual = |key: &&&str| kind.is_about_transactions() || !["where", "by"].contains(*key);
        let known: Vec<&str> = KEYS.iter().filter(is_usual).chain(own).copied().collect();
        reading.only(&known)?;
        let condition = Condition::read(reading.string("where")?.unwrap_or_default());
        let condition = condition.map_err(|text| reading.at("where", text))?;
        if condition.is_empty() && kind == Kind::Transaction {
            return Err(
                reading.at("where", "a rule on transactions needs a condition, as in where = \"amount > 500\"".into())
            );
        }
        if condition.is_empty() && matches!(kind, Kind::Rate { share: Some(_), .. }) {
            return Err(reading.at("share", "share needs a condition: the share of transactions that meet it".into()));
        }
        let by = match kind {
            _ if reading.table.contains_key("by") => reading.by()?,
            Kind::Rate { .. } | Kind::Absence(_) | Kind::Anomaly(_) | Kind::System(_) => Vec::new(),
            _ => vec![Place::CARD_TOKEN.into()],
        };
        let cooldown = reading.length("cooldown", SECOND, LONGEST)?.unwrap_or(DAY / 24);
        let cooldown_limit = reading.length("cooldown_limit", SECOND, LONGEST)?;
        let cooldown_limit = cooldown_limit.unwrap_or((GROWS * cooldown).min(LONGEST));
        if cooldown_limit < cooldown {
            return Err(reading.at("cooldown_limit", "the limit is shorter than the cooldown".into()));
        }
        let runbook = reading.string("runbook")?.unwrap_or_default().to_owned();
        if runbook.chars().count() > MAX_RUNBOOK || runbook.chars().any(char::is_control) {
            return Err(reading.at("runbook", format!("write a link of at most {MAX_RUNBOOK} characters")));
        }
        let severity = severity(reading)?.unwrap_or(Severity::Warning);
        let keys = reading.whole("keys", MAX_KEYS)?.unwrap_or(Self::KEYS);
        Ok(Self { name, kind, condition, by, severity, cooldown, cooldown_limit, runbook, keys })
    }
}

/// Reads a severity. Returns None if the key is absent.
pub(crate) fn severity(reading: &Reading<'_>) -> Result<Option<Severity>, Wrong> {
    let Some(name) = reading.string("severity")? else { return Ok(None) };
    let found = Severity::ALL.into_iter().find(|severity| severity.name() == name);
    found.map(Some).ok_or_else(|| {
        let names = Severity::ALL.map(Severity::name).join(", ");
        reading.at("severity", format!("there is no severity {}; use {names}", quoted(name)))
    })
}

/// Reads the kind of a rule, and lists the keys that only this kind has.
fn kind(reading: &Reading<'_>) -> Result<(Kind, &'static [&'static str]), Wrong> {
    let names = Kind::NAMES.join(", ");
    let Some(kind) = reading.string("kind")? else {
        return Err(reading.at("kind", format!("an alert needs a kind: {names}")));
    };
    let required = |key: &str, example: &str| {
        reading.at(key, format!("a rule of the kind {kind} needs {key}, as in {key} = {example}"))
    };
    Ok(match kind {
        "transaction" => (Kind::Transaction, &[]),
        "score" => {
            let threshold = reading.number("threshold", 0.0..=1.0, "a score from 0 to 1")?;
            let limit = match (threshold, reading.whole("budget", MAX_BUDGET)?) {
                (Some(threshold), None) => Limit::Threshold(threshold),
                (None, Some(budget)) => Limit::Budget(budget),
                (Some(_), Some(_)) => {
                    return Err(reading.at("budget", "write a threshold or a budget, not both".into()));
                }
                (None, None) => {
                    let text =
                        "a rule of the kind score needs threshold, as in threshold = 0.9, or budget, as in budget = 50";
                    return Err(reading.at("threshold", text.into()));
                }
            };
            (Kind::Score(limit), &["threshold", "budget"])
        }
        "rate" => {
            let size = reading.length("size", SECOND, LONGEST)?.ok_or_else(|| required("size", "\"5m\""))?;
            let distinct = reading.string("distinct")?.map(dimension).transpose();
            let distinct = distinct.map_err(|text| reading.at("distinct", text))?;
            let most = if distinct.is_some() { MAX_VALUES } else { MAX_LEAST };
            let least = reading.whole("least", most)?.ok_or_else(|| required("least", "10"))? as u32;
            let share = reading.number("share", 0.0..=1.0, "a share from 0 to 1")?;
            if distinct.is_some() && share.is_some() {
                return Err(reading.at("share", "write share or distinct, not both".into()));
            }
            let is_tumbling = match reading.string("window")? {
                None | Some("sliding") => false,
                Some("tumbling") => true,
                Some(_) => return Err(reading.at("window", "write \"sliding\" or \"tumbling\"".into())),
            };
            let holds_for = reading.length("for", 0, LONGEST)?.unwrap_or_default();
            let kind = Kind::Rate { least, distinct, share, size, is_tumbling, holds_for };
            (kind, &["size", "least", "distinct", "share", "window", "for"])
        }
        "new_value" => {
            let of = reading.string("of")?.ok_or_else(|| required("of", "\"country\""))?;
            (Kind::NewValue(dimension(of).map_err(|text| reading.at("of", text))?), &["of"])
        }
        "amount" => {
            let ratio = reading.number("ratio", 1.0..=1e6, "a multiple from 1 to 1000000")?;
            (Kind::Amount(ratio.ok_or_else(|| required("ratio", "8"))?), &["ratio"])
        }
        "absence" => {
            let after = reading.length("after", SECOND, LONGEST)?.ok_or_else(|| required("after", "\"10m\""))?;
            (Kind::Absence(after), &["after"])
        }
        "anomaly" => {
            let kpis = chosen(reading, "kpis", Kpi::ALL.map(Kpi::name))?;
            let dimensions = chosen(reading, "series", Dimension::ALL.map(Dimension::name))?;
            (Kind::Anomaly(Anomalous { kpis, dimensions }), &["kpis", "series"])
        }
        "system" => system(reading)?,
        _ => return Err(reading.at("kind", format!("there is no kind {}; use {names}", quoted(kind)))),
    })
}

/// Reads what a rule on the system looks for, and lists the keys that only such a rule has.
fn system(reading: &Reading<'_>) -> Result<(Kind, &'static [&'static str]), Wrong> {
    let time = |key: &str, usual: i64| Ok(reading.length(key, SECOND, System::LONGEST)?.unwrap_or(usual));
    let refuse = || reading.at("of", format!("a rule of the kind system needs of: {}", System::NAMES.join(", ")));
    let (system, keys): (_, &[&str]) = match reading.string("of")?.ok_or_else(refuse)? {
        "lag" => {
            let least = reading.whole("least", i32::MAX as usize)?;
            let least = least.ok_or_else(|| reading.at("least", "lag needs least, as in least = 100000".into()))?;
            (System::Lag { least: least as i64, holds_for: time("for", DAY / 1_440)? }, &["of", "least", "for"])
        }
        "rejected" => {
            let share = reading.number("share", 0.0..=1.0, "a share from 0 to 1")?.unwrap_or(0.01);
            (System::Rejected { share, size: time("size", DAY / 288)? }, &["of", "share", "size"])
        }
        "consumer" => (System::Consumer(time("after", DAY / 1_440)?), &["of", "after"]),
        _ => return Err(refuse()),
    };
    Ok((Kind::System(system), keys))
}

/// Reads which of these names a list has. Without the list, all are chosen.
fn chosen<const N: usize>(reading: &Reading<'_>, key: &str, names: [&'static str; N]) -> Result<[bool; N], Wrong> {
    if !reading.table.contains_key(key) {
        return Ok([true; N]);
    }
    let mut chosen = [false; N];
    for (name, span) in reading.texts(key)? {
        let Some(at) = names.iter().position(|one| *one == name) else {
            return Err(reading.wrong(span, format!("{key} has no {}; use {}", quoted(&name), names.join(", "))));
        };
        chosen[at] = true;
    }
    if chosen.contains(&true) { Ok(chosen) } else { Err(reading.at(key, format!("name one of {}", names.join(", ")))) }
}
