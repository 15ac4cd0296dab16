//! Decodes plain messages quickly: one flat object without escapes in its texts, as nearly all messages are. The result
//! equals that of the general reader. All other messages are left to the general reader.

use super::RawEvent;
use crate::json::first_special;

/// Decodes an object into an empty event. Returns false if the text needs the general reader, because it has escapes or
/// nested values, is `{}`, or is not valid JSON. The event then holds the fields before that point.
pub(super) fn read<'a>(text: &'a str, event: &mut RawEvent<'a>) -> bool {
    let mut reader = Reader { text, at: 0 };
    reader.object(event).is_some()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn object(&mut self, event: &mut RawEvent<'a>) -> Option<()> {
        self.take(b'{')?;
        loop {
            self.skip_blanks();
            let key = self.quoted()?;
            self.skip_blanks();
            self.take(b':')?;
            self.skip_blanks();
            let value = self.value()?;
            event.note(&key[1..key.len() - 1], value);
            self.skip_blanks();
            if self.take(b',').is_none() {
                break;
            }
        }
        self.take(b'}')?;
        self.skip_blanks();
        (self.at == self.text.len()).then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<&'a str> {
        match self.peek()? {
            b'"' => self.quoted(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> Option<&'a str> {
        let found = self.text.get(self.at..self.at + word.len())?;
        self.at += word.len();
        (found == word).then_some(found)
    }

    /// Reads a string and returns it with its quotes.
    fn quoted(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.take(b'"')?;
        let rest = &self.text.as_bytes()[self.at..];
        let length = first_special(rest)?;
        if rest[length] != b'"' {
            return None;
        }
        self.at += length + 1;
        Some(&self.text[start..self.at])
    }

    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        let _ = self.take(b'-');
        // JSON allows no digit after a leading 0. If there is one, the check for a comma after the value fails.
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(&self.text[start..self.at])
    }

    /// Reads one or more digits.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_plain(text: &str) -> bool {
        read(text, &mut RawEvent::default())
    }

    #[test]
    fn plain_messages() {
        for text in [
            r#"{"order_id":"a","amount":-1.50e+3,"risk_flag":false,"x":null}"#,
            "{ \"order_id\" : \"L\u{f6}we\" ,\n\t\"amount\": 0 }\r\n",
        ] {
            assert!(is_plain(text), "{text}");
        }
        for text in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":-}"#,
            r#"{"a":1e}"#,
            r#"{"a":tru}"#,
            r#"{"a":{}}"#,
            r#"{"a":[]}"#,
            r#"{"a":"\n"}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":1} x"#,
            "{a:1}",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
