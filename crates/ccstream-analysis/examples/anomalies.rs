//! Measures how anomalies of KPIs are found in the simulated world: `anomalies record SEED RATE FILE` simulates four weeks
//! of history and 28 days with planned incidents, and keeps what has to be stored of each minute. `anomalies judge FILE...`
//! prints which incidents were found, and what was a false alarm.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write, stdout};

use ccstream_analysis::anomalies::{Anomalies, Dimension, Kpi, Reading, Turn};
use ccstream_analysis::windows::Fields;
use ccstream_core::event::Micros;
use ccstream_core::fields::Place;
use ccstream_core::generate::{Generator, Message, Pace, Topic, World};
use ccstream_core::validate::validate;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 1_440 * MINUTE;
/// 2026-01-05, a Monday.
const START: i64 = 20_458 * DAY;
/// The seeds begin five weeks apart, so that ten of them cover a year.
const APART: i64 = 35 * DAY;
const HISTORY: i64 = 28 * DAY;
const JUDGED: i64 = 28 * DAY;
/// An alarm this long after an incident is still of it: a window has five minutes, and late messages come.
const AFTERMATH: i64 = 30 * MINUTE;
/// How long after the end of a window its minute is complete.
const LATENESS: i64 = MINUTE;
const IN_TIME: i64 = 10 * MINUTE;

/// An incident that is planned.
#[derive(Debug)]
struct Incident {
    kind: String,
    start: i64,
    end: i64,
    subject: String,
}

type Failed = Box<dyn Error>;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["record", seed, rate, file] => record(seed.parse()?, rate.parse()?, file),
        ["judge", files @ ..] if !files.is_empty() => judge(files),
        _ => Err("usage: anomalies record SEED RATE FILE, or anomalies judge FILE...".into()),
    }
}

fn world(seed: u64, rate: f64) -> World {
    let start = START + (seed % 10) as i64 * APART;
    World { seed, start: Some(Micros(start)), pace: Pace::PerSecond(rate), fraud: 0.005, ..World::default() }
}

/// Returns the names that the transactions of the first day have, the most frequent first.
fn names(world: &World, place: Place) -> Result<Vec<String>, Failed> {
    let mut generator = Generator::new(world)?;
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..300_000 {
        if let Some(name) = generator.next_transaction().text(place) {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    let mut names: Vec<(String, u32)> = counts.into_iter().collect();
    names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(names.into_iter().map(|(name, _)| name).collect())
}

/// Returns a number that follows from a seed and another number.
fn draw(seed: u64, number: u64) -> u64 {
    ccstream_analysis::key::pair(seed, number)
}

/// Plans the incidents: every issuer and network is out once, and each of the largest merchants offline.
fn plan(world: &World) -> Result<Vec<Incident>, Failed> {
    let (issuers, networks) = (names(world, Place::ISSUER)?, names(world, Place::PAYMENT_METHOD)?);
    let merchants = names(world, Place::MERCHANT)?;
    let mut planned: Vec<(&str, i64, String)> = Vec::new();
    let mut add = |kind, minutes, subjects: &[String]| {
        planned.extend(subjects.iter().map(|subject| (kind, minutes, subject.clone())));
    };
    add("issuer_out", 45, &issuers);
    add("network_out", 45, &networks);
    add("terminal_offline", 45, &merchants[..12]);
    add("surge", 180, &merchants[..12]);
    add("slow_processor", 60, &issuers[..8]);
    add("wrong_clock", 180, &merchants[..4]);
    add("duplicates", 30, &[String::new(), String::new()]);
    let mut order: Vec<usize> = (0..planned.len()).collect();
    order.sort_by_key(|at| draw(world.seed, *at as u64));
    let slot = JUDGED / planned.len() as i64;
    let start = world.start.map_or(0, |start| start.0) + HISTORY;
    let incident = |(place, at): (usize, usize)| {
        let (kind, minutes, subject) = planned[at].clone();
        let room = (slot - (minutes * MINUTE + AFTERMATH + 10 * MINUTE)) / MINUTE;
        let begins = (draw(world.seed, 1_000 + at as u64) % room as u64) as i64 * MINUTE;
        // Not at the beginning of a minute.
        let start = start + place as i64 * slot / MINUTE * MINUTE + begins + 17_000_000;
        Incident { kind: kind.to_owned(), start, end: start + minutes * MINUTE, subject }
    };
    Ok(order.into_iter().enumerate().map(incident).collect())
}

fn record(seed: u64, rate: f64, file: &str) -> Result<(), Failed> {
    let mut world = world(seed, rate);
    let incidents = plan(&world)?;
    let start = world.start.map_or(0, |start| start.0);
    let mut listed = File::create(format!("{file}.incidents"))?;
    for Incident { kind, start: begins, end, subject } in &incidents {
        let about = if subject.is_empty() { String::new() } else { format!(":{subject}") };
        let text = format!("{kind}@{}s+{}s{about}", (begins - start) / 1_000_000, (end - begins) / 1_000_000);
        world.incidents.push(text.parse()?);
        writeln!(listed, "{kind}\t{begins}\t{end}\t{subject}")?;
    }
    let mut fields = Fields::default();
    fields.add(&Anomalies::places());
    let (mut anomalies, mut generator, mut message) =
        (Anomalies::new(&fields), Generator::new(&world)?, Message::default());
    let mut out = BufWriter::new(File::create(file)?);
    let (mut events, end) = (0_u64, start + HISTORY + JUDGED);
    while message.due.0 < end {
        generator.next_message(&mut message);
        if message.topic != Topic::Orders {
            continue;
        }
        let Ok(transaction) = validate(Some(&message.record.payload)) else { continue };
        anomalies.event(&fields.facts(&transaction), transaction.timestamp);
        events += 1;
        if events.is_multiple_of(1_000) {
            keep(&mut anomalies, &mut out)?;
        }
    }
    keep(&mut anomalies, &mut out)?;
    writeln!(stdout(), "seed {seed}: {events} transactions, {:?}", anomalies.missed())?;
    Ok(())
}

fn keep(anomalies: &mut Anomalies, out: &mut impl Write) -> Result<(), Failed> {
    anomalies.close_minutes(Micros(0));
    for (_, journal) in anomalies.take_journals() {
        out.write_all(&(journal.len() as u32).to_le_bytes())?;
        out.write_all(&journal)?;
    }
    Ok(())
}

/// What was found of the incidents of a kind, by the number of transactions that were expected.
#[derive(Debug, Default, Clone)]
struct Found {
    incidents: u32,
    in_time: u32,
    later: u32,
    delays: Vec<i64>,
}

/// The results of all seeds.
#[derive(Debug, Default)]
struct Results {
    found: BTreeMap<(String, &'static str), Found>,
    false_alarms: Vec<String>,
    /// Alarms during incidents.
    during: u32,
    quiet: i64,
    readings: u64,
}

fn judge(files: &[&str]) -> Result<(), Failed> {
    let (mut results, is_listed) = (Results::default(), std::env::var_os("LIST").is_some());
    let mut print = stdout().lock();
    for file in files {
        let incidents = read_incidents(&format!("{file}.incidents"))?;
        let before = results.false_alarms.len();
        one(file, &incidents, &mut results)?;
        writeln!(print, "{file}: {} false alarms", results.false_alarms.len() - before)?;
        if is_listed {
            results.false_alarms[before..].iter().try_for_each(|alarm| writeln!(print, "    {alarm}"))?;
        }
    }
    for ((kind, size), found) in &mut results.found {
        found.delays.sort_unstable();
        let median = found.delays.get(found.delays.len() / 2).map_or(0, |delay| delay / 1_000_000);
        writeln!(
            print,
            "{kind:16} {size:10} {:4} incidents, {:4} within 10 minutes ({:5.1} %), {:3} later, median {median} s",
            found.incidents,
            found.in_time,
            100.0 * f64::from(found.in_time) / f64::from(found.incidents),
            found.later,
        )?;
    }
    let fortnights = results.quiet as f64 / (14.0 * DAY as f64);
    writeln!(
        print,
        "{} false alarms in {fortnights:.2} fortnights without incidents: {:.2} a fortnight; {} alarms during incidents; {} readings",
        results.false_alarms.len(),
        results.false_alarms.len() as f64 / fortnights,
        results.during,
        results.readings,
    )?;
    Ok(())
}

fn read_incidents(file: &str) -> Result<Vec<Incident>, Failed> {
    let mut all = Vec::new();
    for line in fs::read_to_string(file)?.lines() {
        let [kind, start, end, subject] = line.split('\t').collect::<Vec<_>>()[..] else { return Err(line.into()) };
        let (start, end) = (start.parse()?, end.parse()?);
        all.push(Incident { kind: kind.to_owned(), start, end, subject: subject.to_owned() });
    }
    Ok(all)
}

/// Judges a recorded stream.
fn one(file: &str, incidents: &[Incident], results: &mut Results) -> Result<(), Failed> {
    let data = fs::read(file)?;
    let mut anomalies = Anomalies::new(&Fields::default());
    let (mut rest, mut all) = (data.as_slice(), Vec::new());
    let mut expected: HashMap<(Dimension, Box<str>, i64), f64> = HashMap::new();
    let first = i64::from_le_bytes(data[4..12].try_into()?) * MINUTE;
    while let Some((length, after)) = rest.split_first_chunk() {
        let (journal, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        rest = after;
        anomalies.replay(journal)?;
        for reading in anomalies.close_minutes(Micros(0)) {
            results.readings += 1;
            if reading.end < first + HISTORY {
                continue;
            }
            if reading.kpi == Kpi::Rate && !reading.is_anomalous {
                expected.insert((reading.dimension, reading.series.clone(), reading.end), reading.expected);
            }
            if reading.turn == Some(Turn::Opened) {
                all.push(reading);
            }
        }
    }
    let is_during = |end: i64| incidents.iter().any(|one| one.start <= end && end <= one.end + AFTERMATH);
    for reading in &all {
        if is_during(reading.end) { results.during += 1 } else { results.false_alarms.push(words(reading)) }
    }
    results.quiet += JUDGED - incidents.iter().map(|one| one.end - one.start + AFTERMATH).sum::<i64>();
    for incident in incidents {
        let dimension = match incident.kind.as_str() {
            "issuer_out" | "slow_processor" => Dimension::Issuer,
            "network_out" => Dimension::Network,
            "duplicates" => Dimension::All,
            _ => Dimension::Merchant,
        };
        let minute = incident.start / MINUTE * MINUTE;
        let of = expected.get(&(dimension, incident.subject.as_str().into(), minute));
        let size = match of {
            Some(events) if *events >= 100.0 => "100 and up",
            Some(_) => "50 to 100",
            None => "below 50",
        };
        let is_of = |reading: &&Reading| reading.dimension == dimension && *reading.series == *incident.subject;
        let opened = all.iter().filter(is_of).map(|reading| reading.end + LATENESS - incident.start);
        let delay = opened.filter(|delay| *delay > 0 && *delay <= incident.end - incident.start + LATENESS).min();
        let found = results.found.entry((incident.kind.clone(), size)).or_default();
        found.incidents += 1;
        found.in_time += u32::from(delay.is_some_and(|delay| delay <= IN_TIME));
        found.later += u32::from(delay.is_some_and(|delay| delay > IN_TIME));
        found.delays.extend(delay);
        if size == "100 and up" && delay.is_none_or(|delay| delay > IN_TIME) && std::env::var_os("LIST").is_some() {
            writeln!(stdout(), "    missed: {incident:?}, expected {of:?}, {delay:?}")?;
        }
    }
    Ok(())
}

fn words(reading: &Reading) -> String {
    format!(
        "{} {} {} {}: {:.2}, expected {:.2} ({:.2} to {:.2}), deviation {:.1}, {:?}",
        Micros(reading.end).to_utc(),
        reading.dimension.name(),
        reading.series,
        reading.kpi.name(),
        reading.observed.unwrap_or_default(),
        reading.expected,
        reading.low,
        reading.high,
        reading.deviation,
        reading.basis
    )
}
