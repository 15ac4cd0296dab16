//! Normalizes currency codes for comparison: they are compared without case, and texts that are not codes are ignored.

/// Holds an ISO 4217 currency code in capitals. `orders` stores the text as it was sent.
///
/// ```
/// use ccstream_core::currency::Currency;
/// assert_eq!(Currency::read("eur").as_ref().map(Currency::as_str), Some("EUR"));
/// assert_eq!(Currency::read("€€€"), None);
/// assert_eq!(Currency::read(""), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Returns an SQL expression that does for `column` what [`Currency::read`] does; it is NULL where that is None.
    pub fn sql(column: &str) -> String {
        format!("CASE WHEN {column} COLLATE \"C\" ~ '^[A-Za-z]{{3}}$' THEN upper({column} COLLATE \"C\") END")
    }

    /// Reads a currency code; None if the text is not three ASCII letters.
    pub fn read(sent: impl AsRef<[u8]>) -> Option<Self> {
        let letters: [u8; 3] = sent.as_ref().try_into().ok()?;
        letters.iter().all(u8::is_ascii_alphabetic).then(|| Self(letters.map(|letter| letter.to_ascii_uppercase())))
    }

    /// Returns the three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
