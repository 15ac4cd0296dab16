//! The one door between Python and the crate's blocking loops: the interpreter is detached, signals
//! are looked at, events become calls.

use std::sync::mpsc;
use std::time::Duration;

use crate::errors::Raise;
use ccstream_services::Result;
use pyo3::prelude::*;

use pyo3::types::PyDict;
use tokio_util::sync::CancellationToken;

/// How often a wait looks whether Ctrl-C was pressed.
const TICK: Duration = Duration::from_millis(50);

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

/// Runs `work` on a thread of its own until it ends, detached. A signal whose handler raises
/// (Ctrl-C) stops the work, waits for it to drain, and then raises.
pub(crate) fn run_blocking<T: Send>(
    py: Python<'_>,
    stop: &CancellationToken,
    work: impl FnOnce() -> PyResult<T> + Send,
) -> PyResult<T> {
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let thread = scope.spawn(move || {
                // The receiver waits until it has this.
                let _ = sender.send(work());
            });
            let mut interrupted = None;
            loop {
                match receiver.recv_timeout(TICK) {
                    Ok(result) => return interrupted.map_or(result, Err),
                    Err(mpsc::RecvTimeoutError::Disconnected) => {
                        // Joined here, a panic becomes an exception; unjoined, the scope would panic again.
                        let _ = thread.join();
                        return Err(pyo3::exceptions::PyRuntimeError::new_err("the run panicked; see its log"));
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        if let Err(error) = check_signals() {
                            stop.cancel();
                            interrupted.get_or_insert(error);
                        }
                    }
                }
            }
        })
    })
}

/// Drives a question to its answer, detached. A signal whose handler raises (Ctrl-C) drops the question, and then raises.
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
