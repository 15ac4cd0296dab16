//! Reads definitions from a TOML file in which each is a table of a list, as `[[window]]`. What is wrong is reported with
//! its line and column.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use ccstream_core::units::length_of_time;
use toml_edit::{Document, Item, Table, Value};

use crate::attribute::Attribute;

/// The maximum number of mistakes that are reported. Finding the place of one takes time by the length of the text.
const MAX_WRONG: usize = 20;
/// The maximum number of characters of a name.
const MAX_NAME: usize = 41;
pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const DAY: i64 = 86_400 * SECOND;
/// The longest length of time.
pub(crate) const LONGEST: i64 = 31 * DAY;

/// Says what is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The name of the definition, if it is known.
    pub name: Option<String>,
    /// What is wrong, in words.
    pub text: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if let Some(name) = &self.name {
            write!(f, "{name}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// What a file has.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<T> {
    /// The definitions that are right.
    pub right: Vec<T>,
    /// What is wrong with the others.
    pub wrong: Vec<Wrong>,
    /// Whether the file is not TOML, or has too many mistakes, so that nothing is known of its definitions.
    pub is_unreadable: bool,
}

/// A definition that a file can have.
pub trait Defined: Sized {
    /// The key of the list of definitions.
    const KEY: &'static str;
    /// The keys of all lists that a file with these definitions may have.
    const KEYS: &'static [&'static str] = &[Self::KEY];
    /// The maximum number of definitions in a file.
    const MOST: usize;

    /// Returns the name, by which a definition is known when the file changes.
    fn name(&self) -> &str;

    /// Reads one.
    ///
    /// Errors: the first thing that is wrong.
    fn read(reading: &Reading<'_>) -> Result<Self, Wrong>;
}

/// Reads the definitions of one kind from the text of a file. What is wrong with those of other kinds is left to whoever
/// reads these.
pub fn parse<T: Defined>(text: &str) -> Parsed<T> {
    let mut parsed = Parsed { right: Vec::new(), wrong: Vec::new(), is_unreadable: false };
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let says = error.message().lines().next().unwrap_or_default().to_owned();
            parsed.wrong.push(Position::new(text, error.span()).wrong(None, says));
            parsed.is_unreadable = true;
            return parsed;
        }
    };
    let kind = T::KEY;
    for (key, item) in document.iter() {
        let at = Position::new(text, document.as_table().key(key).and_then(toml_edit::Key::span).or(item.span()));
        if !T::KEYS.contains(&key) {
            let lists: Vec<String> = T::KEYS.iter().map(|key| format!("[[{key}]]")).collect();
            let says = format!("there is no key {}; use {}", quoted(key), lists.join(" and "));
            parsed.wrong.push(at.wrong(None, says));
        } else if key != kind {
        } else if let Some(tables) = item.as_array_of_tables() {
            for table in tables {
                add(text, table, &mut parsed);
                if parsed.wrong.len() >= MAX_WRONG {
                    let says = format!("there are {MAX_WRONG} mistakes or more; nothing of the file is used");
                    parsed.wrong.push(at.wrong(None, says));
                    parsed.is_unreadable = true;
                    return parsed;
                }
            }
        } else {
            parsed.wrong.push(at.wrong(None, format!("write each {kind} as [[{kind}]]")));
        }
    }
    parsed
}

fn add<T: Defined>(text: &str, table: &Table, parsed: &mut Parsed<T>) {
    let name = table.get("name").and_then(Item::as_str).map(ToOwned::to_owned);
    let reading = Reading { text, table, kind: T::KEY, name };
    let read = T::read(&reading).and_then(|definition| {
        if parsed.right.iter().any(|other| other.name() == definition.name()) {
            return Err(reading.at("name", format!("another {} has this name", T::KEY)));
        }
        if parsed.right.len() == T::MOST {
            return Err(reading.at("name", format!("there are more than {} tables [[{}]]", T::MOST, T::KEY)));
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

    fn wrong(&self, name: Option<String>, text: String) -> Wrong {
        Wrong { line: self.line, column: self.column, name, text }
    }
}

/// A text of a list, and its place.
type Listed = (String, Option<Range<usize>>);

/// A table that is being read.
#[derive(Debug)]
pub struct Reading<'a> {
    text: &'a str,
    pub(crate) table: &'a Table,
    /// The word for a definition.
    kind: &'static str,
    name: Option<String>,
}

impl Reading<'_> {
    pub(crate) fn wrong(&self, span: Option<Range<usize>>, text: String) -> Wrong {
        Position::new(self.text, span.or(self.table.span())).wrong(self.name.clone(), text)
    }

    /// Says that the value of a key is wrong, or that the key is missing.
    pub(crate) fn at(&self, key: &str, text: String) -> Wrong {
        self.wrong(self.table.get(key).and_then(Item::span), text)
    }

    /// Checks that the table has no other keys than these.
    pub(crate) fn only(&self, keys: &[&str]) -> Result<(), Wrong> {
        for (key, item) in self.table {
            if !keys.contains(&key) {
                let span = self.table.key(key).and_then(toml_edit::Key::span).or(item.span());
                return Err(self.wrong(span, format!("there is no key {}; use {}", quoted(key), keys.join(", "))));
            }
        }
        Ok(())
    }

    pub(crate) fn name(&self) -> Result<String, Wrong> {
        let Some(item) = self.table.get("name") else {
            let article = if self.kind.starts_with('a') { "an" } else { "a" };
            return Err(self.at("name", format!("{article} {} needs a name", self.kind)));
        };
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

    /// Reads a length of time. Returns None if the key is absent.
    pub(crate) fn length(&self, key: &str, least: i64, most: i64) -> Result<Option<i64>, Wrong> {
        let Some(item) = self.table.get(key) else { return Ok(None) };
        let read = item.as_str().and_then(|text| if text == "0s" { Some(0) } else { length_of_time(text) });
        let is_right = |micros: &i64| (least..=most).contains(micros);
        read.filter(is_right).map(Some).ok_or_else(|| {
            let (least, most) = (length(least), length(most));
            let units = "a whole number and s, m, h, d or w";
            self.at(key, format!("write {key} as {units}, from {least} to {most}, as in \"5m\""))
        })
    }

    /// Reads a whole number. Returns None if the key is absent.
    pub(crate) fn whole(&self, key: &str, most: usize) -> Result<Option<usize>, Wrong> {
        let Some(item) = self.table.get(key) else { return Ok(None) };
        let number = item.as_integer().and_then(|number| usize::try_from(number).ok());
        let number = number.filter(|number| (1..=most).contains(number));
        number.map(Some).ok_or_else(|| self.at(key, format!("write a whole number from 1 to {most}")))
    }

    /// Reads a number. Returns None if the key is absent.
    pub(crate) fn number(&self, key: &str, range: RangeInclusive<f64>, what: &str) -> Result<Option<f64>, Wrong> {
        let Some(item) = self.table.get(key) else { return Ok(None) };
        let number = item.as_float().or_else(|| item.as_integer().map(|whole| whole as f64));
        let is_right = |number: &f64| range.contains(number);
        number.filter(is_right).map(Some).ok_or_else(|| self.at(key, format!("write {what}")))
    }

    /// Reads a text. Returns None if the key is absent.
    pub(crate) fn string(&self, key: &str) -> Result<Option<&str>, Wrong> {
        let Some(item) = self.table.get(key) else { return Ok(None) };
        item.as_str().map(Some).ok_or_else(|| self.at(key, format!("write {key} as a text in quotes")))
    }

    /// Returns the texts of a list, each with its place.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<Listed>, Wrong> {
        let Some(item) = self.table.get(key) else { return Ok(Vec::new()) };
        let refuse = |span| self.wrong(span, format!("write {key} as a list of names, as in [\"issuer\"]"));
        let Some(list) = item.as_array() else { return Err(refuse(item.span())) };
        let text = |value: &Value| Some((value.as_str()?.to_owned(), value.span()));
        list.iter().map(|value| text(value).ok_or_else(|| refuse(value.span()))).collect()
    }

    pub(crate) fn by(&self) -> Result<Vec<Attribute>, Wrong> {
        let mut by = Vec::new();
        for (name, span) in self.texts("by")? {
            let attribute = dimension(&name).map_err(|text| self.wrong(span.clone(), text))?;
            if by.contains(&attribute) {
                return Err(self.wrong(span, format!("{name} is there twice")));
            }
            by.push(attribute);
        }
        Ok(by)
    }
}

/// Returns a text in quotes, and cuts a long one off.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Returns a length of time in its largest whole unit, such as `90s` or `5m`.
pub(crate) fn length(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let whole = units.iter().find(|(_, of)| seconds != 0 && seconds % of == 0);
    whole.map_or_else(|| format!("{seconds}s"), |(unit, of)| format!("{}{unit}", seconds / of))
}

/// Returns the dimension of this name.
///
/// Errors: there is none, in words.
pub(crate) fn dimension(name: &str) -> Result<Attribute, String> {
    Attribute::of(name).ok_or_else(|| format!("there is no dimension {}; use {}", quoted(name), Attribute::names()))
}
