//! Defines Python classes whose read-only attributes are the fields of a Rust struct.

/// Defines a frozen class. The documentation of each field becomes the docstring of its attribute.
macro_rules! record {
    ($(#[$doc:meta])+ $class:ident, $name:literal, $inner:ty, {
        $($(#[$field_doc:meta])+ $field:ident: $kind:ty = $read:expr),+ $(,)?
    }) => {
        $(#[$doc])+
        #[pyclass(frozen, name = $name, module = "ccstream")]
        pub(crate) struct $class(pub(crate) $inner);

        #[pymethods]
        impl $class {
            $(
                $(#[$field_doc])+
                #[getter]
                fn $field(&self) -> $kind {
                    let read: fn(&$inner) -> $kind = $read;
                    read(&self.0)
                }
            )+
            fn __repr__(&self) -> String {
                format!("{:?}", self.0)
            }
        }
    };
}
pub(crate) use record;
