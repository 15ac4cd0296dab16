//! Texts as small numbers: each text of a column is kept once, in one arena, and rows hold its code.

use std::hash::BuildHasher;
use std::str::Utf8Error;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The code of an absent text (NULL).
pub(crate) const UNKNOWN: u32 = 0;

/// The texts of one column in the order in which they came; code 0 is NULL, the n-th text has code n.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    codes: HashTable<u32>,
    arena: Vec<u8>,
    /// Where each text ends in the arena.
    ends: Vec<usize>,
    hasher: DefaultHashBuilder,
}

impl Dictionary {
    /// How many codes there are, NULL's included.
    pub(crate) fn len(&self) -> usize {
        self.ends.len() + 1
    }

    /// A code's text; None for NULL.
    pub(crate) fn name(&self, code: u32) -> Option<&str> {
        // Nothing else was ever put in.
        (code != UNKNOWN).then(|| std::str::from_utf8(bytes(&self.arena, &self.ends, code)).unwrap_or_default())
    }

    /// A code's text as bytes, unchecked; None for NULL.
    pub(crate) fn raw(&self, code: u32) -> Option<&[u8]> {
        (code != UNKNOWN).then(|| bytes(&self.arena, &self.ends, code))
    }

    /// A text's code, made if it is new.
    pub(crate) fn code(&mut self, name: Option<&str>) -> u32 {
        name.map_or(UNKNOWN, |name| self.find_bytes(name.as_bytes()).unwrap_or_else(|| self.push(name.as_bytes())))
    }

    /// The same, looked at as a text only if it is new. Errors: it is no UTF-8.
    pub(crate) fn code_of_bytes(&mut self, name: Option<&[u8]>) -> Result<u32, Utf8Error> {
        let Some(name) = name else { return Ok(UNKNOWN) };
        match self.find_bytes(name) {
            Some(code) => Ok(code),
            None => std::str::from_utf8(name).map(|name| self.push(name.as_bytes())),
        }
    }

    /// A text's code, if it is there.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<u32> {
        name.map_or(Some(UNKNOWN), |name| self.find_bytes(name.as_bytes()))
    }

    fn find_bytes(&self, name: &[u8]) -> Option<u32> {
        let same = |code: &u32| bytes(&self.arena, &self.ends, *code) == name;
        self.codes.find(self.hasher.hash_one(name), same).copied()
    }

    /// Adds what is not there.
    fn push(&mut self, name: &[u8]) -> u32 {
        let Self { codes, arena, ends, hasher } = self;
        arena.extend_from_slice(name);
        ends.push(arena.len());
        let code = ends.len() as u32;
        codes.insert_unique(hasher.hash_one(name), code, |code| hasher.hash_one(bytes(arena, ends, *code)));
        code
    }

    /// Every text in the order of its code, NULL left out.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        (1..self.len() as u32).filter_map(|code| self.name(code))
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.arena.capacity() + self.ends.capacity() * size_of::<usize>() + self.codes.capacity() * 5
    }
}

fn bytes<'a>(arena: &'a [u8], ends: &[usize], code: u32) -> &'a [u8] {
    let at = code as usize - 1;
    &arena[if at == 0 { 0 } else { ends[at - 1] }..ends[at]]
}

/// The codes of fields that come together, by their bytes as COPY has them: each combination is taken apart once.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    combinations: Dictionary,
    codes: Vec<u32>,
}

impl Memo {
    /// The code of a combination that was met before.
    pub(crate) fn get(&self, fields: &[u8]) -> Option<u32> {
        self.combinations.find_bytes(fields).map(|at| self.codes[at as usize - 1])
    }

    /// Notes the code of one that was not.
    pub(crate) fn put(&mut self, fields: &[u8], code: u32) {
        self.combinations.push(fields);
        self.codes.push(code);
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.combinations.bytes() + self.codes.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names() {
        let mut dictionary = Dictionary::default();
        let names = ["", "a", "ü", "a'b<c>"];
        let codes: Vec<u32> = names.iter().map(|name| dictionary.code(Some(name))).collect();
        assert_eq!(codes, [1, 2, 3, 4]);
        assert_eq!(dictionary.code(Some("ü")), 3);
        assert_eq!(dictionary.code(None), UNKNOWN);
        assert_eq!(dictionary.find(Some("a'b<c>")), Some(4));
        assert_eq!(dictionary.find(Some("absent")), None);
        assert_eq!((dictionary.name(0), dictionary.name(1), dictionary.name(3)), (None, Some(""), Some("ü")));
        assert_eq!(dictionary.names().collect::<Vec<_>>(), names);
        assert_eq!(dictionary.len(), 5);
        assert_eq!(dictionary.code_of_bytes(Some("ü".as_bytes())), Ok(3));
        assert_eq!(dictionary.code_of_bytes(None), Ok(UNKNOWN));
        assert!(dictionary.code_of_bytes(Some(&[0xFF])).is_err());
        assert_eq!(dictionary.len(), 5);
        for n in 0..1000 {
            dictionary.code(Some(&n.to_string()));
        }
        assert_eq!(dictionary.find(Some("999")).map(|code| dictionary.name(code).unwrap()), Some("999"));
    }
}
