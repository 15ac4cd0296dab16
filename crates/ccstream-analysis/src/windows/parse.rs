//! Reads definitions of windows from the text of `windows.toml`. What is wrong is reported with its line and column.

use std::fmt;
use std::ops::Range;

use ccstream_core::fields::Place;
use ccstream_core::units::length_of_time;
use toml_edit::{Document, Item, Table, Value};

use super::bucket::MAX_CELLS;
use super::definition::{Definition, Measure, Shape, length};

/// The maximum number of windows in a file.
const MAX_WINDOWS: usize = 32;
/// The maximum number of characters of a name.
const MAX_NAME: usize = 41;
/// The maximum number of windows that a transaction belongs to.
const MAX_HOPS: i64 = 120;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// The longest window or session, and the longest lateness.
const LONGEST: i64 = 31 * DAY;

const KEYS: [&str; 10] = ["name", "size", "hop", "gap", "longest", "lateness", "by", "measures", "high", "cells"];

/// Says what is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The name of the window, if it is known.
    pub window: Option<String>,
    /// What is wrong, in words.
    pub text: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if let Some(window) = &self.window {
            write!(f, "{window}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// What a file has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parsed {
    /// The definitions that are right.
    pub right: Vec<Definition>,
    /// What is wrong with the others.
    pub wrong: Vec<Wrong>,
    /// Whether the file is not TOML, so that nothing is known of its windows.
    pub is_unreadable: bool,
}

/// Reads the text of a file.
///
/// ```
/// use ccstream_analysis::windows::parse;
/// let text = "[[window]]\nname = \"issuer_5m\"\nsize = \"5m\"\nby = [\"issuer\"]\nmeasures = [\"count\"]\n";
/// let parsed = parse(text);
/// assert_eq!((parsed.right[0].table().as_str(), parsed.wrong.len()), ("window_issuer_5m", 0));
/// let wrong = &parse(&text.replace("5m\"\nby", "5x\"\nby")).wrong[0];
/// assert_eq!((wrong.line, wrong.column), (3, 8));
/// ```
pub fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let says = error.message().lines().next().unwrap_or_default().to_owned();
            parsed.wrong.push(Position::new(text, error.span()).wrong(None, says));
            parsed.is_unreadable = true;
            return parsed;
        }
    };
    for (key, item) in document.iter() {
        let at = Position::new(text, document.as_table().key(key).and_then(toml_edit::Key::span).or(item.span()));
        if key != "window" {
            parsed.wrong.push(at.wrong(None, format!("there is no key {key:?}; write each window as [[window]]")));
        } else if let Some(tables) = item.as_array_of_tables() {
            for table in tables {
                add(text, table, &mut parsed);
            }
        } else {
            parsed.wrong.push(at.wrong(None, "write each window as [[window]]".into()));
        }
    }
    parsed
}

fn add(text: &str, table: &Table, parsed: &mut Parsed) {
    let reading = Reading { text, table, name: table.get("name").and_then(Item::as_str).map(ToOwned::to_owned) };
    let read = reading.definition().and_then(|definition| {
        if parsed.right.iter().any(|other| other.name == definition.name) {
            return Err(reading.at("name", "another window has this name".into()));
        }
        if parsed.right.len() == MAX_WINDOWS {
            return Err(reading.at("name", format!("there are more than {MAX_WINDOWS} windows")));
        }
        Ok(definition)
    });
    match read {
        Ok(definition) => parsed.right.push(definition),
        Err(wrong) => parsed.wrong.push(wrong),
    }
}

/// A place in the text.
struct Position {
    line: usize,
    column: usize,
}

impl Position {
    fn new(text: &str, span: Option<Range<usize>>) -> Self {
        let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
    }

    fn wrong(&self, window: Option<String>, text: String) -> Wrong {
        Wrong { line: self.line, column: self.column, window, text }
    }
}

/// A text of a list, and its place.
type Listed = (String, Option<Range<usize>>);

/// A table of a window that is being read.
struct Reading<'a> {
    text: &'a str,
    table: &'a Table,
    name: Option<String>,
}

impl Reading<'_> {
    fn wrong(&self, span: Option<Range<usize>>, text: String) -> Wrong {
        Position::new(self.text, span.or(self.table.span())).wrong(self.name.clone(), text)
    }

    /// Says that the value of a key is wrong, or that the key is missing.
    fn at(&self, key: &str, text: String) -> Wrong {
        self.wrong(self.table.get(key).and_then(Item::span), text)
    }

    fn definition(&self) -> Result<Definition, Wrong> {
        for (key, item) in self.table {
            if !KEYS.contains(&key) {
                let span = self.table.key(key).and_then(toml_edit::Key::span).or(item.span());
                return Err(self.wrong(span, format!("there is no key {key:?}; use {}", KEYS.join(", "))));
            }
        }
        let name = self.name()?;
        let shape = self.shape()?;
        let lateness = self.length("lateness", 0, LONGEST)?.unwrap_or_default();
        let by = self.by()?;
        let measures = self.measures(&by)?;
        let high = self.high(&measures)?;
        let cells = match self.table.get("cells") {
            None => Definition::CELLS,
            Some(item) => item
                .as_integer()
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=MAX_CELLS).contains(number))
                .ok_or_else(|| self.at("cells", format!("write a whole number from 1 to {MAX_CELLS}")))?,
        };
        Ok(Definition { name, shape, lateness, by, measures, high, cells })
    }

    fn name(&self) -> Result<String, Wrong> {
        let Some(item) = self.table.get("name") else { return Err(self.at("name", "a window needs a name".into())) };
        let is_usable = |name: &&str| {
            let mut letters = name.bytes();
            letters.next().is_some_and(|first| first.is_ascii_lowercase())
                && letters.all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'_')
                && name.len() <= MAX_NAME
        };
        item.as_str().filter(is_usable).map(ToOwned::to_owned).ok_or_else(|| {
            let text = format!(
                "a name has at most {MAX_NAME} characters: a letter from a to z first, then such letters, digits and _"
            );
            self.at("name", text)
        })
    }

    fn shape(&self) -> Result<Shape, Wrong> {
        let (size, gap) = (self.length("size", SECOND, LONGEST)?, self.length("gap", SECOND, LONGEST)?);
        let without = |key: &str, needed: &str| {
            let wrong = || self.at(key, format!("{key} needs {needed}"));
            if self.table.contains_key(key) { Err(wrong()) } else { Ok(()) }
        };
        match (size, gap) {
            (Some(size), None) => {
                without("longest", "gap")?;
                let hop = self.length("hop", SECOND, size)?.unwrap_or(size);
                if size % hop != 0 || size / hop > MAX_HOPS {
                    let most = format!("the size must be 1 to {MAX_HOPS} times the hop");
                    return Err(self.at("hop", most));
                }
                Ok(Shape::Fixed { size, hop })
            }
            (None, Some(gap)) => {
                without("hop", "size")?;
                let longest = self.length("longest", SECOND, LONGEST)?.unwrap_or(DAY.max(gap));
                if longest < gap {
                    return Err(self.at("longest", "a session must be allowed to be as long as its gap".into()));
                }
                Ok(Shape::Session { gap, longest })
            }
            (Some(_), Some(_)) => {
                Err(self.at("gap", "a window has a size, or a gap if it is a session, not both".into()))
            }
            (None, None) => Err(self.at("size", "a window needs a size, or a gap if it is a session".into())),
        }
    }

    /// Reads a length of time. Returns None if the key is absent.
    fn length(&self, key: &str, least: i64, most: i64) -> Result<Option<i64>, Wrong> {
        let Some(item) = self.table.get(key) else { return Ok(None) };
        let read = item.as_str().and_then(|text| if text == "0s" { Some(0) } else { length_of_time(text) });
        match read {
            None => Err(self.at(key, format!("write {key} as a number and s, m, h or d, as in \"5m\""))),
            Some(micros) if !(least..=most).contains(&micros) => {
                Err(self.at(key, format!("{key} must be from {} to {}", length(least), length(most))))
            }
            some => Ok(some),
        }
    }

    /// Returns the texts of a list, each with its place.
    fn texts(&self, key: &str) -> Result<Vec<Listed>, Wrong> {
        let Some(item) = self.table.get(key) else { return Ok(Vec::new()) };
        let refuse = |span| self.wrong(span, format!("write {key} as a list of names, as in [\"issuer\"]"));
        let Some(list) = item.as_array() else { return Err(refuse(item.span())) };
        let text = |value: &Value| Some((value.as_str()?.to_owned(), value.span()));
        list.iter().map(|value| text(value).ok_or_else(|| refuse(value.span()))).collect()
    }

    fn by(&self) -> Result<Vec<Place>, Wrong> {
        let mut by = Vec::new();
        for (name, span) in self.texts("by")? {
            let found = Definition::dimensions().find(|place| place.field().column == name);
            let Some(place) = found else {
                let names: Vec<&str> = Definition::dimensions().map(|place| place.field().column).collect();
                let text = format!("there is no dimension {name:?}; use {}", names.join(", "));
                return Err(self.wrong(span, text));
            };
            if by.contains(&place) {
                return Err(self.wrong(span, format!("{name} is there twice")));
            }
            by.push(place);
        }
        Ok(by)
    }

    fn measures(&self, by: &[Place]) -> Result<Vec<Measure>, Wrong> {
        let mut measures = Vec::new();
        for (name, span) in self.texts("measures")? {
            let Some(measure) = Measure::ALL.into_iter().find(|measure| measure.name() == name) else {
                let names = Measure::ALL.map(Measure::name).join(", ");
                return Err(self.wrong(span, format!("there is no measure {name:?}; use {names}")));
            };
            if measure.is_of_amounts() && !by.contains(&Place::CURRENCY) {
                let text =
                    format!("{name} needs \"currency\" in by, because amounts of different currencies cannot be added");
                return Err(self.wrong(span, text));
            }
            if measures.contains(&measure) {
                return Err(self.wrong(span, format!("{name} is there twice")));
            }
            measures.push(measure);
        }
        if measures.is_empty() {
            return Err(self.at("measures", "a window needs measures, as in measures = [\"count\"]".into()));
        }
        Ok(measures)
    }

    fn high(&self, measures: &[Measure]) -> Result<f64, Wrong> {
        let Some(item) = self.table.get("high") else { return Ok(Definition::HIGH) };
        if !measures.contains(&Measure::HighShare) {
            return Err(self.at("high", "high needs the measure high_share".into()));
        }
        let number = item.as_float().or_else(|| item.as_integer().map(|whole| whole as f64));
        number
            .filter(|number| (0.0..=1.0).contains(number))
            .ok_or_else(|| self.at("high", "write a score from 0 to 1".into()))
    }
}
