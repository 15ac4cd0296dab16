//! Reads definitions of windows from the text of `windows.toml`. What is wrong is reported with its line and column.

use ccstream_core::fields::Place;

use super::bucket::MAX_CELLS;
use super::definition::{Definition, Measure, Shape};
use crate::attribute::Attribute;
use crate::toml::{DAY, Defined, LONGEST, Parsed, Reading, SECOND, Wrong, quoted};

/// The maximum number of windows that a transaction belongs to.
const MAX_HOPS: i64 = 120;

const KEYS: [&str; 10] = ["name", "size", "hop", "gap", "longest", "lateness", "by", "measures", "high", "cells"];

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
pub fn parse(text: &str) -> Parsed<Definition> {
    crate::toml::parse(text)
}

impl Defined for Definition {
    const KEY: &'static str = "window";
    const MOST: usize = 32;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(reading: &Reading<'_>) -> Result<Self, Wrong> {
        reading.only(&KEYS)?;
        let name = reading.name()?;
        let shape = reading.shape()?;
        let lateness = reading.length("lateness", 0, LONGEST)?.unwrap_or_default();
        let by = reading.by()?;
        let measures = reading.measures(&by)?;
        let high = reading.high(&measures)?;
        let cells = reading.whole("cells", MAX_CELLS)?.unwrap_or(Self::CELLS);
        Ok(Self { name, shape, lateness, by, measures, high, cells })
    }
}

impl Reading<'_> {
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
                    let most = format!("the size must be a whole multiple of the hop, {MAX_HOPS} times at most");
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

    fn measures(&self, by: &[Attribute]) -> Result<Vec<Measure>, Wrong> {
        let mut measures = Vec::new();
        for (name, span) in self.texts("measures")? {
            let Some(measure) = Measure::ALL.into_iter().find(|measure| measure.name() == name) else {
                let names = Measure::ALL.map(Measure::name).join(", ");
                return Err(self.wrong(span, format!("there is no measure {}; use {names}", quoted(&name))));
            };
            if measure.is_of_amounts() && !by.contains(&Place::CURRENCY.into()) {
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
        if self.table.contains_key("high") && !measures.contains(&Measure::HighShare) {
            return Err(self.at("high", "high needs the measure high_share".into()));
        }
        Ok(self.number("high", 0.0..=1.0, "a score from 0 to 1")?.unwrap_or(Definition::HIGH))
    }
}
