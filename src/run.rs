//! The one door between Python and what blocks: the interpreter is detached, Ctrl-C is noticed, events become calls.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ccstream_services::Result;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;

/// How often a wait looks whether Ctrl-C was pressed.
const TICK: Duration = Duration::from_millis(50);
/// How long work that cannot be interrupted may take to end after Ctrl-C.
const GRACE: Duration = Duration::from_millis(500);

/// Where a run's events go: a Python callable taking a name and a dict. If it raises, the run is
/// stopped and the exception is the run's.
pub(crate) struct Listener {
    callback: Option<Py<PyAny>>,
    stop: CancellationToken,
    raised: Option<PyErr>,
}

impl Listener {
    pub(crate) fn new(callback: Option<Py<PyAny>>, stop: CancellationToken) -> Self {
        Self { callback, stop, raised: None }
    }

    /// Calls the callable, if there is one and it has not raised.
    pub(crate) fn tell(&mut self, name: &'static str, fill: impl for<'py> FnOnce(&Bound<'py, PyDict>) -> PyResult<()>) {
        let (Some(callback), None) = (&self.callback, &self.raised) else { return };
        let called = Python::attach(|py| {
            let fields = PyDict::new(py);
            fill(&fields)?;
            callback.call1(py, (name, fields)).map(drop)
        });
        if let Err(error) = called {
            self.raised = Some(error);
            self.stop.cancel();
        }
    }

    /// The run's result, unless the callable raised.
    pub(crate) fn finish<T>(self, result: Result<T>) -> PyResult<T> {
        match self.raised {
            Some(error) => Err(error),
            None => result.raise(),
        }
    }
}

/// What a signal's handler raises, if one came since the last look.
#[allow(clippy::redundant_closure_for_method_calls, reason = "the method itself is not general enough a closure")]
fn check_signals() -> PyResult<()> {
    Python::attach(|py| py.check_signals())
}

/// What Ctrl-C waits for, before it raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The work's own end: what is under way is delivered or committed first, within the work's own limit.
    Drains,
    /// At most [`GRACE`]. A call of librdkafka that waits for a silent broker cannot be ended: its thread is left
    /// behind, and ends after the call's own limit.
    Leaves,
}

/// Runs `work` on a separate thread until it ends, detached. A signal whose handler raises (Ctrl-C) cancels `stop`,
/// waits as `interrupt` demands, and then raises.
pub(crate) fn run_blocking<T: Send + 'static>(
    py: Python<'_>,
    stop: &CancellationToken,
    interrupt: Interrupt,
    work: impl FnOnce() -> PyResult<T> + Send + 'static,
) -> PyResult<T> {
    let (sender, receiver) = mpsc::channel();
    // The receiver is gone where Ctrl-C has left the work behind.
    let run = move || drop(sender.send(work()));
    thread::Builder::new().name("ccstream-call".into()).spawn(run)?;
    py.detach(move || {
        let mut interrupted: Option<(PyErr, Instant)> = None;
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(result) => return interrupted.map_or(result, |(error, _)| Err(error)),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err("the run panicked; see its log"));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if let Err(error) = check_signals() {
                stop.cancel();
                interrupted.get_or_insert((error, Instant::now()));
            }
            interrupted = match interrupted {
                Some((error, at)) if interrupt == Interrupt::Leaves && at.elapsed() >= GRACE => return Err(error),
                waiting => waiting,
            };
        }
    })
}

/// Awaits the answer to a question, detached. A signal whose handler raises (Ctrl-C) drops the question, so that
/// PostgreSQL cancels it too, and then raises.
pub(crate) fn ask<T: Send, F: Future<Output = Result<T>>>(
    py: Python<'_>,
    question: impl FnOnce() -> F + Send,
) -> PyResult<T> {
    py.detach(|| {
        let interrupted = async {
            loop {
                tokio::time::sleep(TICK).await;
                if let Err(error) = check_signals() {
                    return error;
                }
            }
        };
        ccstream_services::runtime().raise()?.block_on(async {
            tokio::select! {
                answer = question() => answer.raise(),
                error = interrupted => Err(error),
            }
        })
    })
}
