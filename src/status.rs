//! `ccstream.ConsumeStatus`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use ccstream_services::consume::ConsumeStatus;
use pyo3::prelude::*;

/// Where a consumer's run is.
#[pyclass(frozen, name = "ConsumeStatus", module = "ccstream")]
pub(crate) struct PyConsumeStatus(pub(crate) ConsumeStatus);

#[pymethods]
impl PyConsumeStatus {
    #[getter]
    fn state(&self) -> &'static str {
        self.0.state.as_str()
    }
    #[getter]
    fn offsets(&self) -> BTreeMap<i32, i64> {
        self.0.offsets.clone()
    }
    #[getter]
    fn lag(&self) -> Option<i64> {
        self.0.lag
    }
    #[getter]
    fn consumed(&self) -> i64 {
        self.0.total.consumed
    }
    #[getter]
    fn stored(&self) -> i64 {
        self.0.total.stored
    }
    #[getter]
    fn duplicate(&self) -> i64 {
        self.0.total.duplicate
    }
    #[getter]
    fn rejected(&self) -> i64 {
        self.0.total.rejected
    }
    #[getter]
    fn missing(&self) -> i64 {
        self.0.total.missing
    }
    #[getter]
    fn last_commit(&self) -> Option<SystemTime> {
        self.0.last_commit
    }
    #[getter]
    fn waiting_for(&self) -> Vec<&'static str> {
        self.0.waiting.iter().map(|waiting| waiting.kind.as_str()).collect()
    }
    fn __repr__(&self) -> String {
        let ConsumeStatus { state, offsets, lag, .. } = &self.0;
        let lag = lag.map_or("None".to_owned(), |lag| lag.to_string());
        format!(
            "ConsumeStatus(state={:?}, offsets={offsets:?}, lag={lag}, stored={}, waiting_for={:?})",
            state.as_str(),
            self.stored(),
            self.waiting_for()
        )
    }
}
