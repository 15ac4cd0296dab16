//! Data flows one way: a module uses only those that stand above it in `src/lib.rs`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The modules in the order of `src/lib.rs`.
fn order() -> Vec<String> {
    let text = fs::read_to_string("src/lib.rs").unwrap();
    let name = |line: &str| {
        let rest = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?;
        rest.strip_suffix(';').map(str::to_owned)
    };
    text.lines().filter_map(name).collect()
}

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn is_test(file: &Path) -> bool {
    file.ends_with("tests.rs") || file.iter().any(|part| part == "tests")
}

/// The modules that a line names after `crate::`.
fn named(line: &str) -> Vec<String> {
    let word = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    line.match_indices("crate::").map(|(at, found)| word(&line[at + found.len()..])).collect()
}

#[test]
fn modules_use_only_what_stands_above_them() {
    let order = order();
    assert!(order.len() > 15, "lib.rs was not read: {order:?}");
    let place: BTreeMap<&str, usize> = order.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let mut checked = 0;
    for file in files.iter().filter(|file| !file.ends_with("lib.rs") && !is_test(file)) {
        let own = file.strip_prefix("src").unwrap().iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for used in named(line).iter().filter(|used| *used != own) {
                // What is not a module is one of lib.rs's own few names.
                let Some(at) = place.get(used.as_str()) else { continue };
                assert!(*at < place[own], "{}: {own} must not use {used}, which stands below it", file.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "only {checked} uses were found");
}

#[test]
fn only_the_python_module_knows_of_python() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    for file in files.iter().filter(|file| !file.starts_with("src/python")) {
        let text = fs::read_to_string(file).unwrap();
        assert!(!text.contains("pyo3"), "{} uses pyo3", file.display());
    }
}

#[test]
fn only_one_module_is_unsafe() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let is_unsafe = |file: &&std::path::PathBuf| fs::read_to_string(file).unwrap().contains("allow(unsafe_code");
    let found: Vec<_> = files.iter().filter(is_unsafe).collect();
    assert_eq!(found, [Path::new("src/librdkafka/mod.rs")]);
}
