//! The quick way through what nearly every message is: one flat object whose texts hold no escapes. It reads such
//! a text as the general reader does, and says of any other only that it is not for it.

use super::RawEvent;

/// Reads an object into an event that is empty. False where it is for the general reader to say what the text is:
/// it has escapes, nested values, or is no JSON at all; the event then holds whatever came before.
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

    /// A text with its quotes.
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
        // After a leading 0 no digit may follow: one that does is no comma, and ends this way.
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

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

/// Where the first quote, backslash or control character stands, which JSON has as escapes: eight bytes at a time.
pub(super) fn first_special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES * 0x80;
    // The lowest bit that is set tells the first byte below a bound; higher ones may be false.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGHS;
    let in_word = |word: u64| {
        let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let found = below(word, 0x20) | is(b'"') | is(b'\\');
        (found != 0).then(|| found.trailing_zeros() as usize / 8)
    };
    let eight = |start: usize| {
        let word = u64::from_le_bytes(bytes[start..start + 8].try_into().expect("eight bytes"));
        in_word(word).map(|at| start + at)
    };
    let four = |start: usize| u32::from_le_bytes(bytes[start..start + 4].try_into().expect("four bytes"));
    // The last ones overlap with those before, in which there was none.
    match bytes.len() {
        length @ 8.. => (0..length - 8).step_by(8).find_map(eight).or_else(|| eight(length - 8)),
        length @ 4.. => in_word(u64::from(four(0)) | u64::from(four(length - 4)) << 32)
            .map(|at| if at < 4 { at } else { length + at - 8 }),
        _ => bytes.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_plain(text: &str) -> bool {
        read(text, &mut RawEvent::default())
    }

    #[test]
    fn what_is_plain() {
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

    #[test]
    fn the_first_special_byte() {
        for special in [b'"', b'\\', b'\n', 0, 0x1f] {
            for (len, at) in (2..=20).flat_map(|len| (0..len).map(move |at| (len, at))) {
                let mut text = vec![b'~'; len];
                text[at] = special;
                // Bytes beyond ASCII, and those one above a bound, are none.
                for other in [0xff, 0x80, 0x20, b'#', b'!', b']', b'['] {
                    text[(at + 1) % len] = other;
                    assert_eq!(first_special(&text), Some(at), "{special} at {at} before {other}");
                }
            }
        }
        assert_eq!(first_special(&[b'a'; 30]), None);
    }
}
