//! Converts events of a run to a name and a dict. `python/ccstream/events.py` declares the dicts' types.

use std::collections::BTreeSet;

use ccstream_services::analyze::AnalyzeEvent;
use ccstream_services::consume::{ConsumeEvent, Waiting, Warning};
use ccstream_services::postgres::{AnalysisCounters, Counters, SchemaChange, TruthCounters};
use ccstream_services::produce::ProduceEvent;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::analyzer::PyAnalyzeSummary;
use crate::consumer::PyConsumeSummary;
use crate::producer::PyProduceSummary;
use crate::run::Listener;

/// Passes one event of a consumer to the listener.
pub(crate) fn tell_of_consumer(listener: &mut Listener, event: &ConsumeEvent) {
    listener.tell(event.name(), |fields| match event {
        ConsumeEvent::ConnectedToKafka { topic_found } => fields.set_item("topic_found", topic_found),
        ConsumeEvent::ConnectedToPostgres(change) => set_change(fields, change),
        ConsumeEvent::Listening => Ok(()),
        ConsumeEvent::Assigned(offsets) => fields.set_item("offsets", offsets),
        ConsumeEvent::Revoked(partitions) => fields.set_item("partitions", sorted(partitions)),
        ConsumeEvent::Warning(warning) => set_warning(fields, warning),
        ConsumeEvent::Batch(batch) => {
            set_counters(fields, "", &batch.counted)?;
            set_counters(fields, "total_", &batch.total)?;
            fields.set_item("offsets", &batch.offsets)?;
            fields.set_item("lag", batch.lag)?;
            fields.set_item("took", batch.took)
        }
        ConsumeEvent::Truth(report) => {
            set_truth_counters(fields, "", &report.counted)?;
            set_truth_counters(fields, "total_", &report.total)
        }
        ConsumeEvent::Waiting(waiting) => set_waiting(fields, waiting),
        ConsumeEvent::Recovered { service, after } => {
            fields.set_item("service", service.as_str())?;
            fields.set_item("after", after)
        }
        ConsumeEvent::Ended(summary) => fields.set_item("summary", PyConsumeSummary(summary.clone())),
        ConsumeEvent::Failed { exit_code, error, summary } => {
            fields.set_item("exit_code", exit_code)?;
            fields.set_item("error", error)?;
            fields.set_item("summary", PyConsumeSummary(summary.clone()))
        }
    });
}

/// Passes one event of an analyzer to the listener.
pub(crate) fn tell_of_analyzer(listener: &mut Listener, event: &AnalyzeEvent) {
    listener.tell(event.name(), |fields| match event {
        AnalyzeEvent::ConnectedToPostgres(change) => set_change(fields, change),
        AnalyzeEvent::Standby | AnalyzeEvent::Reading | AnalyzeEvent::LostLease => Ok(()),
        AnalyzeEvent::Leased { seq, model } => {
            fields.set_item("seq", seq)?;
            fields.set_item("model", model)
        }
        AnalyzeEvent::Model { name } => fields.set_item("name", name),
        AnalyzeEvent::Restored { folded, took } => {
            fields.set_item("folded", folded)?;
            fields.set_item("took", took)
        }
        AnalyzeEvent::Warning(warning) => set_warning(fields, warning),
        AnalyzeEvent::Batch(batch) => {
            set_analysis_counters(fields, "", &batch.counted)?;
            set_analysis_counters(fields, "total_", &batch.summary.events)?;
            fields.set_item("labelled", batch.labelled)?;
            fields.set_item("total_labelled", batch.summary.labelled)?;
            fields.set_item("late", batch.summary.late)?;
            fields.set_item("greatest_score", batch.greatest.as_ref().map(|(score, _)| *score))?;
            fields.set_item("greatest_id", batch.greatest.as_ref().map(|(_, id)| id))?;
            fields.set_item("seq", batch.seq)?;
            fields.set_item("lag", batch.lag)?;
            fields.set_item("took", batch.took)
        }
        AnalyzeEvent::Alert(alert) => {
            fields.set_item("rule", &alert.rule)?;
            fields.set_item("version", alert.version)?;
            fields.set_item("key", &alert.key)?;
            fields.set_item("severity", alert.severity.name())?;
            fields.set_item("seq", alert.seq)?;
            fields.set_item("text", &alert.text)?;
            fields.set_item("runbook", &alert.runbook)
        }
        AnalyzeEvent::Waiting(waiting) => set_waiting(fields, waiting),
        AnalyzeEvent::Ended(summary) => fields.set_item("summary", PyAnalyzeSummary(summary.clone())),
        AnalyzeEvent::Failed { exit_code, error, summary } => {
            fields.set_item("exit_code", exit_code)?;
            fields.set_item("error", error)?;
            fields.set_item("summary", PyAnalyzeSummary(summary.clone()))
        }
    });
}

fn set_change(fields: &Bound<'_, PyDict>, change: &SchemaChange) -> PyResult<()> {
    fields.set_item("created_orders", change.created_orders)?;
    fields.set_item("added_columns", &change.added_columns)?;
    fields.set_item("started_over", change.started_over)
}

fn set_warning(fields: &Bound<'_, PyDict>, warning: &Warning) -> PyResult<()> {
    fields.set_item("kind", warning.kind.as_str())?;
    fields.set_item("partitions", sorted(&warning.partitions))?;
    fields.set_item("text", &warning.text)
}

fn set_waiting(fields: &Bound<'_, PyDict>, waiting: &Waiting) -> PyResult<()> {
    fields.set_item("kind", waiting.kind.as_str())?;
    fields.set_item("sqlstate", &waiting.sql_state)?;
    fields.set_item("reason", &waiting.reason)
}

fn set_analysis_counters(fields: &Bound<'_, PyDict>, prefix: &str, counters: &AnalysisCounters) -> PyResult<()> {
    fields.set_item(format!("{prefix}scored"), counters.accepted)?;
    fields.set_item(format!("{prefix}duplicate"), counters.duplicate)?;
    fields.set_item(format!("{prefix}rejected"), counters.rejected)?;
    fields.set_item(format!("{prefix}missing"), counters.missing)
}

/// Passes one event of a producer to the listener.
pub(crate) fn tell_of_producer(listener: &mut Listener, event: &ProduceEvent) {
    listener.tell(event.name(), |fields| match event {
        ProduceEvent::Connected { created, unreachable } => {
            fields.set_item("topic_created", created)?;
            fields.set_item("unreachable", unreachable)
        }
        ProduceEvent::Warning(warning) => {
            fields.set_item("kind", warning.kind.as_str())?;
            fields.set_item("text", &warning.text)
        }
        ProduceEvent::Resumed { labels, others } | ProduceEvent::Saved { labels, others } => {
            fields.set_item("labels", labels)?;
            fields.set_item("others", others)
        }
        ProduceEvent::Applied { after, command } => {
            fields.set_item("after", after)?;
            fields.set_item("command", command)
        }
        ProduceEvent::Sending { number, payload } => {
            fields.set_item("number", number)?;
            fields.set_item("payload", String::from_utf8_lossy(payload))
        }
        ProduceEvent::Sent { partition, offset } => {
            fields.set_item("partition", partition)?;
            fields.set_item("offset", offset)
        }
        ProduceEvent::NotSent { error } => fields.set_item("error", error),
        ProduceEvent::Progress(summary) => fields.set_item("summary", PyProduceSummary(*summary)),
    });
}

fn sorted(partitions: &BTreeSet<i32>) -> Vec<i32> {
    partitions.iter().copied().collect()
}

fn set_counters(fields: &Bound<'_, PyDict>, prefix: &str, counters: &Counters) -> PyResult<()> {
    fields.set_item(format!("{prefix}consumed"), counters.consumed)?;
    fields.set_item(format!("{prefix}stored"), counters.stored)?;
    fields.set_item(format!("{prefix}duplicate"), counters.duplicate)?;
    fields.set_item(format!("{prefix}rejected"), counters.rejected)?;
    fields.set_item(format!("{prefix}missing"), counters.missing)
}

fn set_truth_counters(fields: &Bound<'_, PyDict>, prefix: &str, counters: &TruthCounters) -> PyResult<()> {
    fields.set_item(format!("{prefix}stored"), counters.stored)?;
    fields.set_item(format!("{prefix}duplicate"), counters.duplicate)?;
    fields.set_item(format!("{prefix}skipped"), counters.skipped)?;
    fields.set_item(format!("{prefix}missing"), counters.missing)
}
