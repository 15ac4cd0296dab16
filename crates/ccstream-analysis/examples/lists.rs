//! Prints lists of the crates as JSON: settings, dimensions, the fields of a message and the features of a transaction.
//! `make generate` reads them.

use ccstream_analysis::features::{DEFINITIONS, Definition};
use ccstream_core::fields::{FIELDS, Field};
use ccstream_core::settings::{
    AnalyzerConfig, ConsumerConfig, EngineConfig, KafkaConfig, Kind, ProducerConfig, Setting, Settings, Value,
};
use ccstream_core::status::{APPROVED, DECLINED};
use ccstream_kpi::rows::attribute::ATTRIBUTES;
use serde_json::json;

fn setting<C: Settings>(setting: &Setting<C>) -> serde_json::Value {
    let (kind, choices) = match setting.kind {
        Kind::Text => ("text", [].as_slice()),
        Kind::Choice(choices) => ("choice", choices),
        Kind::Moment => ("moment", [].as_slice()),
        Kind::File => ("file", [].as_slice()),
        Kind::Whole => ("whole", [].as_slice()),
        Kind::Limit => ("limit", [].as_slice()),
        Kind::Rate => ("rate", [].as_slice()),
        Kind::Share => ("share", [].as_slice()),
        Kind::Span => ("span", [].as_slice()),
        Kind::Switch => ("switch", [].as_slice()),
        Kind::Texts => ("texts", [].as_slice()),
        Kind::Pairs => ("pairs", [].as_slice()),
    };
    let default = (setting.get)(&C::default());
    json!({
        "name": setting.name,
        "kind": kind,
        "choices": choices,
        "doc": setting.doc.concat().trim(),
        "range": setting.range,
        "unit": setting.unit().trim(),
        "variable": setting.variable,
        "shown": setting.shown,
        "flag": setting.flag,
        "unset": setting.unset,
        "default": default.as_ref().map(|value| match value {
            Value::Switch(is_on) => json!(is_on),
            value => json!(value.text(setting.in_milliseconds)),
        }),
    })
}

fn settings<C: Settings>() -> Vec<serde_json::Value> {
    C::SETTINGS.iter().map(setting).collect()
}

fn field(field: &Field) -> serde_json::Value {
    json!({
        "key": field.key,
        "other_key": field.other_key,
        "column": field.column,
        "sql_type": field.sql_type.name(),
        "required": field.required,
        "comment": field.comment,
    })
}

fn feature(feature: &Definition) -> serde_json::Value {
    json!({
        "name": feature.name,
        "source": format!("{:?}", feature.source).to_lowercase(),
        "unit": feature.unit,
        "formula": feature.formula,
    })
}

#[allow(clippy::print_stdout, reason = "printing is the purpose of this program")]
fn main() {
    let titled = ATTRIBUTES.iter().filter_map(|attribute| Some((attribute.name, attribute.title?)));
    let lists = json!({
        "statuses": { "APPROVED": APPROVED.as_slice(), "DECLINED": DECLINED.as_slice() },
        "dimensions": titled.collect::<Vec<_>>(),
        "features": DEFINITIONS.iter().map(feature).collect::<Vec<_>>(),
        "fields": FIELDS.iter().map(field).collect::<Vec<_>>(),
        "settings": {
            "kafka": settings::<KafkaConfig>(),
            "consumer": settings::<ConsumerConfig>(),
            "producer": settings::<ProducerConfig>(),
            "engine": settings::<EngineConfig>(),
            "analyzer": settings::<AnalyzerConfig>(),
        },
    });
    println!("{lists:#}");
}
