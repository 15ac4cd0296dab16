//! Texts as small numbers: each text of a column is kept once, in one arena, and rows hold its code.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The code of an absent text (NULL).
pub(crate) const UNKNOWN: u32 = 0;

/// The texts of one column in the order in which they came; code 0 is NULL, the n-th text has code n.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    codes: HashTable<u32>,
    arena: String,
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
        (code != UNKNOWN).then(|| text(&self.arena, &self.ends, code))
    }

    /// A text's code, made if it is new.
    pub(crate) fn code(&mut self, name: Option<&str>) -> u32 {
        let Some(name) = name else { return UNKNOWN };
        let hash = self.hasher.hash_one(name);
        let Self { codes, arena, ends, hasher } = self;
        if let Some(code) = codes.find(hash, |code| text(arena, ends, *code) == name) {
            return *code;
        }
        arena.push_str(name);
        ends.push(arena.len());
        let code = ends.len() as u32;
        codes.insert_unique(hash, code, |code| hasher.hash_one(text(arena, ends, *code)));
        code
    }

    /// A text's code, if it is there.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<u32> {
        let Some(name) = name else { return Some(UNKNOWN) };
        self.codes.find(self.hasher.hash_one(name), |code| text(&self.arena, &self.ends, *code) == name).copied()
    }

    /// Every text in the order of its code, NULL left out.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        (1..self.len() as u32).map(|code| text(&self.arena, &self.ends, code))
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.arena.capacity() + self.ends.capacity() * size_of::<usize>() + self.codes.capacity() * 5
    }
}

fn text<'a>(arena: &'a str, ends: &[usize], code: u32) -> &'a str {
    let at = code as usize - 1;
    &arena[if at == 0 { 0 } else { ends[at - 1] }..ends[at]]
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
        for n in 0..1000 {
            dictionary.code(Some(&n.to_string()));
        }
        assert_eq!(dictionary.find(Some("999")).map(|code| dictionary.name(code).unwrap()), Some("999"));
    }
}
