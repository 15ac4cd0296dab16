//! Runs all blocking calls for Python: it detaches the interpreter, notices Ctrl-C, and turns events into calls.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ccstream_services::Result;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio_util::sync::CancellationToken;

use crate::errors::Raise;

/// The interval at which a wait checks for Ctrl-C.
const TICK: Duration = Duration::from_millis(50);
/// The time after Ctrl-C for which a call waits for work that cannot be interrupted.
const GRACE: Duration = Duration::from_millis(500);

/// Passes a run's events to a Python callable that takes a name and a dict. If the callable raises, the run is stopped
/// and raises that exception.
pub(crate) struct Listener {
    callback: Option<Py<PyAny>>,
    stop: CancellationToken,
    raised: Option<PyErr>,
}

impl Listener {
    pub(crate) fn new(callback: Option<Py<PyAny>>, stop: CancellationToken) -> Self {
        Self { callback, stop, raised: None }
    }

    /// Calls the callable, if there is one and it has not raised yet.
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

    /// Returns the run's result, or the callable's exception if it raised one.
    pub(crate) fn finish<T>(self, result: Result<T>) -> PyResult<T> {
        match self.raised {
            Some(error) => Err(error),
            None => result.raise(),
        }
    }
}

/// Runs the Python handlers of signals that have arrived since the last check. Returns the exception if one raises.
#[allow(clippy::redundant_closure_for_method_calls, reason = "the method itself is not general enough a closure")]
fn check_signals() -> PyResult<()> {
    Python::attach(|py| py.check_signals())
}

/// Determines what a call waits for after Ctrl-C, before it raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The call waits until the work has ended. What is in progress is delivered or committed first, within the work's
    /// own limit.
    Drains,
    /// The call waits at most [`GRACE`]. A call of librdkafka that waits for a silent broker cannot be interrupted, so
    /// its thread is left behind, and ends after that call's own timeout.
    Leaves,
}

/// Runs `work` on a separate thread, and waits for it with the interpreter detached. If a signal handler raises
/// (Ctrl-C), this cancels `stop`, waits as `interrupt` says, and returns the handler's exception.
pub(crate) fn run_blocking<T: Send + 'static>(
    py: Python<'_>,
    stop: &CancellationToken,
    interrupt: Interrupt,
    work: impl FnOnce() -> PyResult<T> + Send + 'static,
) -> PyResult<T> {
    let (sender, receiver) = mpsc::channel();
    // If Ctrl-C has left the work behind, there is no receiver any more.
    let run = move || drop(sender.send(work()));
    thread::Builder::new().name("ccstream-call".into()).spawn(run)?;
    py.detach(move || {
        let mut interrupted: Option<(PyErr, Instant)> = None;
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(result) => return interrupted.map_or(result, |(error, _)| Err(error)),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err("ccstream's thread panicked; stderr has the reason"));
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

/// Awaits a future with the interpreter detached. If a signal handler raises (Ctrl-C), this drops the future, whose
/// connection closes, and returns the handler's exception.
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
