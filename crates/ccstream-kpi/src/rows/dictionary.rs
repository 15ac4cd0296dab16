//! Codes texts as small numbers. Each different text of a column is stored once, in one arena, and rows have its code.

use std::hash::BuildHasher;
use std::str::Utf8Error;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The code of an absent text (NULL).
pub(crate) const UNKNOWN: u32 = 0;

/// Holds the texts of one column in the order of their first occurrence. Code 0 is NULL, and the n-th text has code n.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    codes: HashTable<u32>,
    arena: Vec<u8>,
    /// The index in the arena at which each text ends.
    ends: Vec<usize>,
    hasher: DefaultHashBuilder,
}

impl Dictionary {
    /// Returns the number of codes, including that of NULL.
    pub(crate) fn len(&self) -> usize {
        self.ends.len() + 1
    }

    /// Returns the text of a code; None for NULL.
    pub(crate) fn name(&self, code: u32) -> Option<&str> {
        // Every text was UTF-8 when it was added.
        (code != UNKNOWN).then(|| std::str::from_utf8(bytes(&self.arena, &self.ends, code)).unwrap_or_default())
    }

    /// Returns the bytes of a code's text; None for NULL.
    pub(crate) fn raw(&self, code: u32) -> Option<&[u8]> {
        (code != UNKNOWN).then(|| bytes(&self.arena, &self.ends, code))
    }

    /// Returns the code of a text, which is added if it is new.
    pub(crate) fn code(&mut self, name: Option<&str>) -> u32 {
        name.map_or(UNKNOWN, |name| self.find_bytes(name.as_bytes()).unwrap_or_else(|| self.push(name.as_bytes())))
    }

    /// Returns the code of a text given as bytes, which are added if they are new. Only new bytes are checked; the call
    /// fails if they are not UTF-8.
    pub(crate) fn code_of_bytes(&mut self, name: Option<&[u8]>) -> Result<u32, Utf8Error> {
        let Some(name) = name else { return Ok(UNKNOWN) };
        match self.find_bytes(name) {
            Some(code) => Ok(code),
            None => std::str::from_utf8(name).map(|name| self.push(name.as_bytes())),
        }
    }

    /// Returns the code of a text; None if the dictionary does not have it.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<u32> {
        name.map_or(Some(UNKNOWN), |name| self.find_bytes(name.as_bytes()))
    }

    fn find_bytes(&self, name: &[u8]) -> Option<u32> {
        let same = |code: &u32| bytes(&self.arena, &self.ends, *code) == name;
        self.codes.find(self.hasher.hash_one(name), same).copied()
    }

    /// Adds a text that the dictionary does not have.
    fn push(&mut self, name: &[u8]) -> u32 {
        let Self { codes, arena, ends, hasher } = self;
        arena.extend_from_slice(name);
        ends.push(arena.len());
        let code = ends.len() as u32;
        codes.insert_unique(hasher.hash_one(name), code, |code| hasher.hash_one(bytes(arena, ends, *code)));
        code
    }

    /// Returns every text in the order of the codes, without NULL.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        (1..self.len() as u32).filter_map(|code| self.name(code))
    }

    /// Returns the number of bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.arena.capacity() + self.ends.capacity() * size_of::<usize>() + self.codes.capacity() * 5
    }
}

fn bytes<'a>(arena: &'a [u8], ends: &[usize], code: u32) -> &'a [u8] {
    let at = code as usize - 1;
    &arena[if at == 0 { 0 } else { ends[at - 1] }..ends[at]]
}

/// Remembers the codes of combinations of fields, by their bytes in the COPY, so that each combination is decoded once.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    combinations: Dictionary,
    codes: Vec<u32>,
}

impl Memo {
    /// Returns the code of a combination; None if it is new.
    pub(crate) fn get(&self, fields: &[u8]) -> Option<u32> {
        self.combinations.find_bytes(fields).map(|at| self.codes[at as usize - 1])
    }

    /// Stores the code of a new combination.
    pub(crate) fn put(&mut self, fields: &[u8], code: u32) {
        self.combinations.push(fields);
        self.codes.push(code);
    }

    /// Returns the number of bytes held.
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
