//! Defines what can be wrong with a model file.

/// Describes why a model cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The text is larger than the reader accepts.
    #[error("the model has {bytes} bytes; at most {limit} are supported; train it with fewer or shallower trees")]
    TooLarge {
        /// The size of the text.
        bytes: usize,
        /// The largest size that is read.
        limit: usize,
    },
    /// The text is not JSON, or a field is absent or has another type.
    #[error("the {part} cannot be read: {reason}")]
    Json {
        /// The part of the file in which lines and columns of `reason` are counted.
        part: &'static str,
        /// What the JSON parser found.
        reason: String,
    },
    /// The file is readable, but describes a kind of model that is not evaluated here.
    #[error("{what} is {found}; supported: {supported}")]
    Unsupported {
        /// The field or property.
        what: &'static str,
        /// Its value in the file.
        found: String,
        /// The values that are supported.
        supported: String,
    },
    /// A part of the model contradicts another part or breaks a limit.
    #[error("{place}: {reason}")]
    Invalid {
        /// The part of the model, down to the node of a tree.
        place: String,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// The model was trained on other features than this program computes.
    #[error("the model's features are not those of this program: {reason}; train the model again with this version")]
    Features {
        /// The first difference.
        reason: String,
    },
}

impl ModelError {
    /// Creates a [`ModelError::Json`].
    pub(super) fn json(part: &'static str, error: &serde_json::Error) -> Self {
        Self::Json { part, reason: short(&error.to_string(), 300) }
    }

    /// Creates a [`ModelError::Invalid`].
    pub(super) fn invalid(place: impl Into<String>, reason: impl AsRef<str>) -> Self {
        Self::Invalid { place: place.into(), reason: short(reason.as_ref(), 300) }
    }

    /// Creates a [`ModelError::Unsupported`].
    pub(super) fn unsupported(what: &'static str, found: &str, supported: impl Into<String>) -> Self {
        let found = if found.is_empty() { "empty".to_owned() } else { short(found, 60) };
        Self::Unsupported { what, found, supported: supported.into() }
    }
}

/// Cuts a text that repeats a part of the file, which may be long.
fn short(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
