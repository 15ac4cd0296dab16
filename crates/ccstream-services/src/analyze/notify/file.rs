//! Reads `alerts.toml`, which has rules and targets, and again when it changes.

use std::path::Path;

use super::secrets;
use crate::analyze::definitions::DefinitionsFile;
use ccstream_analysis::alerts::Definition;
use ccstream_analysis::notify::{Channel, Target};

/// The file of alerts.
pub(in crate::analyze) struct AlertsFile {
    pub(in crate::analyze) rules: DefinitionsFile<Definition>,
    pub(in crate::analyze) targets: DefinitionsFile<Target>,
    /// How often the file was read.
    pub(in crate::analyze) version: u64,
    /// The topics that the analyzer reads. A target that writes to one of them would feed what it is notified of.
    read_topics: Vec<String>,
}

impl AlertsFile {
    /// Without a path, the file has its usual name in the current folder, and may be absent.
    pub(in crate::analyze) fn new(path: Option<&Path>, read_topics: Vec<String>) -> Self {
        Self { rules: DefinitionsFile::new(path), targets: DefinitionsFile::new(path), version: 0, read_topics }
    }

    /// Reads the file if it has changed, at most once a second. Returns what is wrong in it, each in words, if it was read.
    pub(in crate::analyze) fn look(&mut self) -> Option<Vec<String>> {
        let (rules, targets) = (self.rules.look(), self.targets.look());
        if rules.is_none() && targets.is_none() {
            return None;
        }
        self.version += 1;
        let mut wrong = rules.unwrap_or_default();
        // What is wrong with the file as a whole was found twice.
        let of_targets: Vec<String> = targets.into_iter().flatten().filter(|text| !wrong.contains(text)).collect();
        wrong.extend(of_targets);
        let name = self.targets.name().to_string();
        self.targets.definitions.retain(|target| match &target.channel {
            Channel::Topic(topic) if self.read_topics.contains(topic) => {
                wrong.push(format!(
                    "{name}, [[notify]] {}: the analyzer reads the topic {topic}; notifications need a separate topic",
                    target.name
                ));
                false
            }
            _ => true,
        });
        for target in &self.targets.definitions {
            let problem = secrets::check(&target.channel).err().into_iter();
            let is_unknown = |rule: &&String| !self.rules.definitions.iter().any(|one| one.name == **rule);
            let unknown = target
                .rules
                .iter()
                .filter(is_unknown)
                .map(|rule| format!("no rule that is right has the name {rule:?}"));
            wrong.extend(problem.chain(unknown).map(|text| format!("{name}, [[notify]] {}: {text}", target.name)));
        }
        Some(wrong)
    }
}
