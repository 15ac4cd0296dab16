//! Settings that plan something in the generated world: each may be given several times.

use std::fmt::Display;
use std::str::FromStr;

use super::value::{Kind, SettingType, Value};
use crate::error::{Error, Result};
use crate::generate::{PlannedCampaign, PlannedIncident};

/// What a text plans.
trait Planned: FromStr<Err = String> + Display {}

impl Planned for PlannedIncident {}
impl Planned for PlannedCampaign {}

impl<T: Planned> SettingType for Vec<T> {
    const KIND: Kind = Kind::Texts;
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        let texts = match value {
            Value::Texts(texts) => texts,
            other => vec![other.text(false)],
        };
        let planned = |text: &String| text.parse().map_err(|why| Error::config(name, why));
        texts.iter().map(planned).collect()
    }
    fn to_value(&self) -> Option<Value> {
        Some(Value::Texts(self.iter().map(ToString::to_string).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_and_a_wrong_one_is_named() {
        let read = |texts: &[&str]| {
            let texts = texts.iter().map(|&text| text.to_owned()).collect();
            Vec::<PlannedIncident>::from_value("incident", Value::Texts(texts))
        };
        let texts = ["issuer_out@2026-12-01T10:00:00Z+2h:Alderbank", "duplicates@1h+10m"];
        let planned = read(&texts).unwrap();
        assert_eq!(planned.to_value(), Some(Value::Texts(texts.map(str::to_owned).to_vec())));
        let why = read(&[texts[0], "flood@1h+2h"]).unwrap_err().to_string();
        assert!(why.starts_with("incident: \"flood\" is no kind"), "{why}");
        let why = Vec::<PlannedCampaign>::from_value("campaign", Value::Texts(vec!["S9@1h".into()])).unwrap_err();
        assert!(why.to_string().starts_with("campaign: \"S9\" is no scenario"), "{why}");
    }
}
