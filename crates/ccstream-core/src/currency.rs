//! Currencies as they are compared: without case, and none where the text is no code of three letters (pure).

/// A currency's code in capitals, as ISO 4217 has it; `orders` keeps it as it was sent.
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
    /// The currency of an expression of SQL, as [`Currency::read`] has it; NULL for none.
    pub fn sql(column: &str) -> String {
        format!("CASE WHEN {column} COLLATE \"C\" ~ '^[A-Za-z]{{3}}$' THEN upper({column} COLLATE \"C\") END")
    }

    /// None where it is not three ASCII letters.
    pub fn read(sent: impl AsRef<[u8]>) -> Option<Self> {
        let letters: [u8; 3] = sent.as_ref().try_into().ok()?;
        letters.iter().all(u8::is_ascii_alphabetic).then(|| Self(letters.map(|letter| letter.to_ascii_uppercase())))
    }

    /// Its three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
