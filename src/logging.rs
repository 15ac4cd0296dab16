//! Passes Rust's log records to Python's `logging`, below the logger `ccstream`.

use log::{Level, Log, Metadata, Record};

/// Passes log records on to Python. The logger's name leaves out the crate's: records of `ccstream_services::consume`
/// go to the logger `ccstream.consume`.
struct OneTree(pyo3_log::Logger);

impl OneTree {
    fn target(target: &str) -> String {
        match target.strip_prefix("ccstream_").and_then(|rest| rest.split_once("::")) {
            Some((_, module)) => format!("ccstream::{module}"),
            None => target.to_owned(),
        }
    }
}

/// Returns whether a log record may contain data of messages: tokio-postgres logs the parameters of each statement,
/// which include keys and payloads, and ureq logs requests, whose URLs may have secrets.
fn may_contain_data(metadata: &Metadata<'_>) -> bool {
    let is_chatty = ["tokio_postgres", "ureq"].iter().any(|name| metadata.target().starts_with(name));
    is_chatty && metadata.level() >= Level::Debug
}

impl Log for OneTree {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !may_contain_data(metadata) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if may_contain_data(record.metadata()) {
            return;
        }
        let target = Self::target(record.target());
        self.0.log(
            &Record::builder()
                .args(*record.args())
                .level(record.level())
                .target(&target)
                .module_path(record.module_path())
                .file(record.file())
                .line(record.line())
                .build(),
        );
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Installs the logger, unless the process already has one.
pub(crate) fn install() {
    let logger = pyo3_log::Logger::default();
    if log::set_boxed_logger(Box::new(OneTree(logger))).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
}
