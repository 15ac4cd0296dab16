//! This module supplies the rows of a file, and the labels of another file before them or in their order.

use std::path::Path;

use crate::error::Result;
use ccstream_core::event::Micros;
use ccstream_core::generate::{Message, Topic};
use ccstream_core::label_file::LabelFile;
use ccstream_core::record::Record;
use ccstream_core::replay::Replay;
use ccstream_core::settings::ProducerConfig;

/// The rows of a file, and its labels.
#[derive(Debug)]
pub(crate) struct Rows {
    replay: Replay,
    labels: Option<Labels>,
}

/// The labels of a file.
#[derive(Debug)]
struct Labels {
    file: LabelFile,
    /// Whether each is sent before the first transaction at or after its time.
    in_order: bool,
    /// The next label, and its time.
    next: Option<(Micros, Record)>,
    /// A transaction that was read, for which labels may still come first.
    waiting: Option<(Option<Micros>, Record)>,
}

impl Rows {
    /// Opens the files of a run; None if its events are generated. Errors: a file cannot be read or used.
    pub(crate) fn open(config: &ProducerConfig) -> Result<Option<Self>> {
        let Some(file) = config.file() else { return Ok(None) };
        let in_order = config.labels_in_order;
        let labels = config.labels.as_deref().map(|path| Labels::open(path, in_order)).transpose()?;
        Ok(Some(Self { replay: Replay::open(&file)?, labels }))
    }

    /// Checks the headers of the files.
    pub(crate) fn check(config: &ProducerConfig) -> Result<()> {
        if let Some(file) = config.file() {
            Replay::check(&file)?;
        }
        Ok(config.labels.as_deref().map_or(Ok(()), LabelFile::check)?)
    }

    /// Returns the next transaction, or the next label whose turn comes before it.
    pub(super) fn next(&mut self) -> Result<Option<Message>> {
        let Some(labels) = self.labels.as_mut().filter(|labels| labels.in_order) else {
            return Ok(self.replay.next_event()?.map(transaction));
        };
        if labels.waiting.is_none() {
            labels.waiting = self.replay.next_event()?.map(|record| (self.replay.time(), record));
        }
        let Some(&(time, _)) = labels.waiting.as_ref() else { return Ok(None) };
        // A row without a valid time is rejected by the consumer, so it has no place in the order.
        if labels.next.as_ref().is_some_and(|&(labelled_at, _)| time.is_some_and(|time| labelled_at <= time)) {
            return labels.take();
        }
        Ok(labels.waiting.take().map(|(_, record)| transaction(record)))
    }

    /// Returns the next label, whatever its time; None after the last one, or without a file of labels.
    pub(super) fn next_label(&mut self) -> Result<Option<Message>> {
        self.labels.as_mut().map_or(Ok(None), Labels::take)
    }

    /// Returns the number of labels in the file; None without such a file.
    pub(super) fn label_count(&self) -> Option<u64> {
        self.labels.as_ref().map(|labels| labels.file.count())
    }

    /// Whether all labels are sent before the first transaction.
    pub(super) fn begins_with_labels(&self) -> bool {
        self.labels.as_ref().is_some_and(|labels| !labels.in_order)
    }
}

impl Labels {
    fn open(path: &Path, in_order: bool) -> Result<Self> {
        let mut file = LabelFile::open(path, in_order)?;
        let next = file.next_label()?;
        Ok(Self { file, in_order, next, waiting: None })
    }

    fn take(&mut self) -> Result<Option<Message>> {
        let Some((due, record)) = self.next.take() else { return Ok(None) };
        self.next = self.file.next_label()?;
        Ok(Some(Message { topic: Topic::Labels, due, record }))
    }
}

fn transaction(record: Record) -> Message {
    Message { record, ..Message::default() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use ccstream_core::label::Label;
    use ccstream_core::validate::validate;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ccstream-{}-{name}.csv", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Returns the ids of transactions, and those of labels in brackets, in the order in which they are sent.
    fn sent(name: &str, in_order: bool) -> Vec<String> {
        let events = "transaction_id,timestamp,amount,merchant\na,2026-01-02T00:00:10Z,1,m\nb,never,1,m\n\
                      c,2026-01-02T00:00:20Z,1,m\nd,2026-01-02T00:00:05Z,1,m\n";
        let labels = "transaction_id,labelled_at,fraud\nv,2026-01-01,1\nw,2026-01-02T00:00:10Z,1\n\
                      x,2026-01-02T00:00:11Z,0\ny,2026-01-02T00:00:21Z,1\nz,2026-01-03,1\n";
        let (replay, labels) = (file(&format!("{name}-events"), events), file(&format!("{name}-labels"), labels));
        let config = ProducerConfig {
            replay: Some(replay.clone()),
            labels: Some(labels.clone()),
            labels_in_order: in_order,
            ..ProducerConfig::default()
        };
        Rows::check(&config).unwrap();
        let mut rows = Rows::open(&config).unwrap().unwrap();
        for path in [replay, labels] {
            std::fs::remove_file(path).unwrap();
        }
        assert_eq!((rows.label_count(), rows.begins_with_labels()), (Some(5), !in_order));
        let mut all = Vec::new();
        while let Some(message) = rows.next().unwrap() {
            let payload = Some(message.record.payload.as_slice());
            all.push(match message.topic {
                Topic::Labels => format!("({})", Label::read(payload).unwrap().transaction_id),
                _ => validate(payload).map_or("?".into(), |event| event.order_id.into_owned()),
            });
        }
        all.push("end".into());
        while let Some(message) = rows.next_label().unwrap() {
            all.push(format!("({})", Label::read(Some(&message.record.payload)).unwrap().transaction_id));
        }
        all
    }

    #[test]
    fn labels_come_before_the_first_transaction_at_or_after_their_time() {
        assert_eq!(sent("order", true).join(" "), "(v) (w) a ? (x) c d end (y) (z)");
        assert_eq!(sent("first", false).join(" "), "a ? c d end (v) (w) (x) (y) (z)");
    }
}
