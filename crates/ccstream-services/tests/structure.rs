//! This test checks that dependencies point one way: within each crate a module uses only modules above it in
//! `src/lib.rs`. Between crates the compiler checks it.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates whose modules are checked, relative to this crate's folder.
const CRATES: [&str; 4] = ["../ccstream-core", "../ccstream-kpi", "../ccstream-analysis", "."];

/// Returns a crate's modules in the order of its `src/lib.rs`.
fn order(source: &Path) -> Vec<String> {
    let text = fs::read_to_string(source.join("lib.rs")).unwrap();
    let name = |line: &str| {
        let rest = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ").strip_prefix("mod ")?;
        rest.strip_suffix(';').map(str::to_owned)
    };
    text.lines().filter_map(name).collect()
}

/// Returns all Rust files of a folder and its subfolders.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Returns whether a file has only tests, which may use any module.
fn is_test(file: &Path) -> bool {
    file.ends_with("tests.rs") || file.iter().any(|part| part == "tests")
}

/// Returns the names that follow `crate::` in a line.
fn named(line: &str) -> Vec<String> {
    let word = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    line.match_indices("crate::").map(|(at, found)| word(&line[at + found.len()..])).collect()
}

/// Checks one crate. Returns how many uses of modules were checked.
fn check(source: &Path) -> usize {
    let order = order(source);
    assert!(order.len() > 1, "{} was not read: {order:?}", source.display());
    let place: BTreeMap<&str, usize> = order.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let mut checked = 0;
    for file in sources(source).iter().filter(|file| !file.ends_with("lib.rs") && !is_test(file)) {
        let own = file.strip_prefix(source).unwrap().iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for used in named(line).iter().filter(|used| *used != own) {
                // A name that is not a module is defined in lib.rs itself.
                let Some(at) = place.get(used.as_str()) else { continue };
                assert!(*at < place[own], "{}: {own} must not use {used}, which comes below it", file.display());
                checked += 1;
            }
        }
    }
    checked
}

#[test]
fn modules_use_only_what_comes_above_them() {
    let checked: usize = CRATES.iter().map(|folder| check(&Path::new(folder).join("src"))).sum();
    assert!(checked > 50, "only {checked} uses were found");
}

#[test]
fn only_one_module_is_unsafe() {
    let files = CRATES.iter().chain(&["../.."]).flat_map(|folder| sources(&Path::new(folder).join("src")));
    let is_unsafe = |file: &PathBuf| fs::read_to_string(file).unwrap().contains("allow(unsafe_code");
    let found: Vec<PathBuf> = files.filter(is_unsafe).collect();
    assert_eq!(found, [Path::new("./src/kafka/ffi/mod.rs")]);
}
