//! Reads conditions on transactions, in the language of `kpis.toml`, and evaluates them.

use std::fmt;

use ccstream_core::fields::Place;

use crate::attribute::Attribute;
use crate::toml::quoted;
use crate::windows::Facts;

/// The name of a value that is absent.
const UNKNOWN: &str = "(unknown)";
/// The greatest bound of an amount, in hundredths.
const MAX_CENTS: i64 = 9_999_999_998;

/// A condition: comparisons of which all must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Condition {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// Whether the value of an attribute is one of these, or none of them. None is an absent value.
    Text { attribute: Attribute, is_one: bool, values: Vec<Option<String>> },
    /// The range of the amount in hundredths, with both ends.
    Amount(i64, i64),
}

impl Condition {
    /// Reads a condition.
    ///
    /// Errors: it is not valid, for the reason in words.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.matches('"').count() % 2 == 1 {
            return Err(format!("a double quote is missing in {}", quoted(text)));
        }
        let parts = if text.is_empty() { Vec::new() } else { split(text, " and ") };
        Ok(Self { text: text.to_owned(), parts: parts.into_iter().map(part).collect::<Result<_, _>>()? })
    }

    /// Returns whether every transaction meets the condition.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Lists the attributes that are compared.
    pub(super) fn attributes(&self) -> impl Iterator<Item = Attribute> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text { attribute, .. } => Some(*attribute),
            Part::Amount(..) => None,
        })
    }

    /// Returns whether a transaction meets the condition. `value` returns the value of an attribute.
    pub(super) fn holds<'f>(&self, facts: &Facts, value: impl Fn(Attribute) -> Option<&'f str>) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Text { attribute, is_one, values } => {
                let value = value(*attribute);
                values.iter().any(|one| one.as_deref() == value) == *is_one
            }
            Part::Amount(least, most) => (*least..=*most).contains(&facts.cents()),
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Splits a text where a separator is outside double quotes. Spaces at both ends of the parts are removed, and any white
/// space counts as a space.
fn split<'t>(text: &'t str, separator: &str) -> Vec<&'t str> {
    let (mut parts, mut from, mut is_quoted) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        is_quoted ^= letter == '"';
        let is_here = || {
            let found = text.as_bytes().get(at..at + separator.len());
            found.is_some_and(|found| {
                found.iter().zip(separator.bytes()).all(|(one, other)| match other {
                    b' ' => one.is_ascii_whitespace(),
                    other => *one == other,
                })
            })
        };
        if !is_quoted && at >= from && is_here() {
            parts.push(text[from..at].trim());
            from = at + separator.len();
        }
    }
    parts.push(text[from..].trim());
    parts
}

fn part(text: &str) -> Result<Part, String> {
    let refuse = || format!("{} is not a condition; an example is: status = declined", quoted(text));
    let name_ends = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').ok_or_else(refuse)?;
    let (name, rest) = text.split_at(name_ends);
    let rest = rest.trim_start();
    let signs = ["!=", ">=", "<=", "=", ">", "<"];
    let sign = signs.into_iter().find(|sign| rest.starts_with(sign)).filter(|_| !name.is_empty()).ok_or_else(refuse)?;
    let given = rest[sign.len()..].trim();
    if name == "amount" {
        return amount(sign, given);
    }
    let attribute = match name {
        // The name of the dimension on the page.
        "risk" => Some(Place::RISK_FLAG.into()),
        name => Attribute::of(name),
    };
    let Some(attribute) = attribute else {
        return Err(format!("there is no field {}; use one of amount, {}", quoted(name), Attribute::names()));
    };
    if !["=", "!="].contains(&sign) {
        return Err(format!("compare {name} by = or !=, not by {sign}"));
    }
    if given.is_empty() {
        return Err(format!("{} has no value", quoted(text)));
    }
    Ok(Part::Text { attribute, is_one: sign == "=", values: split(given, "|").into_iter().map(meant).collect() })
}

/// Returns the value that a text in a condition stands for.
fn meant(text: &str) -> Option<String> {
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    quoted.or_else(|| Some(text).filter(|text| *text != UNKNOWN)).map(ToOwned::to_owned)
}

fn amount(sign: &str, given: &str) -> Result<Part, String> {
    let refuse = || {
        format!(
            "{} is not possible; compare the amount by =, <, <=, > or >= with a number below 100 million that has at most \
             two decimals, as in amount <= 12.50",
            quoted(&format!("amount {sign} {given}"))
        )
    };
    let (number, is_negative) = given.strip_prefix('-').map_or((given, false), |number| (number, true));
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let are_digits =
        [whole, decimals].iter().all(|part| !part.is_empty() && part.bytes().all(|one| one.is_ascii_digit()));
    if !are_digits || decimals.len() > 2 || whole.len() > 8 {
        return Err(refuse());
    }
    let cents = format!("{whole}{decimals:0<2}").parse::<i64>().map_err(|_| refuse())?;
    let cents = if is_negative { -cents } else { cents };
    if cents.abs() > MAX_CENTS {
        return Err(refuse());
    }
    Ok(match sign {
        "=" => Part::Amount(cents, cents),
        ">" => Part::Amount(cents + 1, i64::MAX),
        ">=" => Part::Amount(cents, i64::MAX),
        "<" => Part::Amount(i64::MIN, cents - 1),
        "<=" => Part::Amount(i64::MIN, cents),
        _ => return Err(refuse()),
    })
}
