//! Commands that change the world of a run: from the file of `control` as it grows, or from that of `script`.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::control::Follow;
use crate::error::{Error, Result};
use ccstream_core::Error as CoreError;
use ccstream_core::generate::{Command, World};
use ccstream_core::settings::ProducerConfig;

/// The maximum number of commands in a run.
const MOST: usize = 10_000;
/// The maximum length of a script, in bytes: each of the commands has at most 1,000, and its place.
const MOST_BYTES: u64 = 1_040 * MOST as u64;

/// The commands of a run.
#[derive(Debug)]
pub(super) enum Commands {
    None,
    /// Each is applied after a number of events.
    Script(VecDeque<(u64, Command)>),
    Control(Box<Control>),
}

/// A file that is followed, and the file that records what was applied.
#[derive(Debug)]
pub(super) struct Control {
    follow: Follow,
    path: PathBuf,
    /// Lines that were read and are no commands of this run yet.
    waiting: VecDeque<(u64, Result<String, String>)>,
    record: File,
    count: usize,
}

impl Commands {
    /// Opens the file of a setting. Errors: it cannot be read, a line of the script is wrong, or nothing can be recorded.
    pub(super) fn of(config: &ProducerConfig, world: &World) -> Result<Self> {
        match (&config.script, &config.control) {
            (Some(path), _) => Ok(Self::Script(read_script(path)?)),
            (None, Some(path)) => Ok(Self::Control(Box::new(Control::new(path, world)?))),
            (None, None) => Ok(Self::None),
        }
    }

    /// Whether there may be a command at this place. A file is only read at some of them.
    pub(super) fn may_come(&self, is_time_to_look: bool) -> bool {
        match self {
            Self::None => false,
            Self::Script(commands) => !commands.is_empty(),
            Self::Control(control) => is_time_to_look || !control.waiting.is_empty(),
        }
    }

    /// Returns the next command to apply after this number of events, or why a line is skipped.
    pub(super) fn next(&mut self, events: u64) -> Option<Result<Command, String>> {
        match self {
            Self::None => None,
            Self::Script(commands) => {
                let is_due = commands.front().is_some_and(|(after, _)| *after <= events);
                let (_, command) = if is_due { commands.pop_front()? } else { return None };
                Some(Ok(command))
            }
            Self::Control(control) => control.next(),
        }
    }

    /// Records a command that was applied. The error says why that is impossible.
    pub(super) fn record(&mut self, events: u64, command: &Command) -> Result<(), String> {
        let Self::Control(control) = self else { return Ok(()) };
        let why = |error| format!("\"{command}\" was applied and not recorded, so a script will lack it: {error}");
        writeln!(control.record, "after {events} events: {command}").map_err(why)
    }

    /// Returns the number of commands that were not reached.
    pub(super) fn left(&self) -> usize {
        match self {
            Self::Script(commands) => commands.len(),
            Self::None | Self::Control(_) => 0,
        }
    }
}

impl Control {
    fn new(path: &Path, world: &World) -> Result<Self> {
        let follow = Follow::new(path)?;
        let mut name = OsString::from(path);
        name.push(".applied");
        let record = File::create(&name).and_then(|mut record| {
            let start = world.start.unwrap_or_default().to_utc();
            let repeat = "To repeat this run, give this file to --script, and all other flags except --control again";
            let begin = format!("with --seed {} and --start-time {start:.6}Z (instead of --backfill)", world.seed);
            writeln!(record, "# {repeat},\n# {begin}.").map(|()| record)
        });
        let why = |error| format!("{} cannot be written: {error}", Path::new(&name).display());
        let record = record.map_err(|error| Error::config("control", why(error)))?;
        Ok(Self { follow, path: path.into(), waiting: VecDeque::new(), record, count: 0 })
    }

    fn next(&mut self) -> Option<Result<Command, String>> {
        if self.waiting.is_empty() {
            self.waiting.extend(self.follow.look());
        }
        loop {
            let (number, line) = self.waiting.pop_front()?;
            if line.as_ref().is_ok_and(|line| is_blank(line)) {
                continue;
            }
            self.count += 1;
            let skipped = |why| format!("line {number} of {} is skipped: {why}", self.path.display());
            match self.count {
                0..=MOST => return Some(line.and_then(|line| line.parse()).map_err(skipped)),
                count if count == MOST + 1 => {
                    return Some(Err(skipped(format!("a run takes {MOST} commands; start another one"))));
                }
                _ => {}
            }
        }
    }
}

/// Reads commands, each with the number of events after which it is applied.
fn read_script(path: &Path) -> Result<VecDeque<(u64, Command)>> {
    let refused = |reason: String| Error::from(CoreError::File { path: path.display().to_string(), reason });
    let cannot = |error| refused(format!("the script cannot be read: {error}"));
    let lines = BufReader::new(File::open(path).map_err(cannot)?.take(MOST_BYTES)).lines();
    let mut commands: VecDeque<(u64, Command)> = VecDeque::new();
    for (number, line) in (1..).zip(lines) {
        let line = line.map_err(cannot)?;
        if is_blank(&line) {
            continue;
        }
        let wrong = |why: String| refused(format!("line {number}: {why}"));
        let (after, command) = parse(&line).map_err(wrong)?;
        if commands.back().is_some_and(|(before, _)| *before > after) {
            return Err(wrong(format!("{after} events are fewer than in the line before; sort the commands")));
        }
        if commands.len() == MOST {
            return Err(wrong(format!("a run takes {MOST} commands; leave out the rest")));
        }
        commands.push_back((after, command));
    }
    Ok(commands)
}

/// Reads a line as `after N events: COMMAND`.
fn parse(line: &str) -> Result<(u64, Command), String> {
    let parts = line.trim().strip_prefix("after ").and_then(|rest| rest.split_once(" events: "));
    let after = parts.and_then(|(after, command)| Some((after.parse().ok()?, command)));
    let (after, command) = after.ok_or_else(|| format!("{line:?} is not after N events: COMMAND"))?;
    Ok((after, command.parse()?))
}

/// Whether a line has no command: it is empty or a comment.
fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use ccstream_core::event::Micros;

    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ccstream-{}-{name}.commands", std::process::id()))
    }

    fn script(path: &Path) -> Result<Commands> {
        Commands::of(&ProducerConfig { script: Some(path.into()), ..Default::default() }, &World::default())
    }

    #[test]
    fn what_a_run_recorded_is_a_script() {
        let path = file("recorded");
        let applied = file("recorded").with_extension("commands.applied");
        let config = ProducerConfig { control: Some(path.clone()), ..Default::default() };
        let world = World { seed: 5, start: Some(Micros(1_795_342_530_000_000)), ..World::default() };
        let mut control = Commands::of(&config, &world).unwrap();
        assert!(control.next(0).is_none());
        drop(control);
        let mut control = Commands::of(&config, &world).unwrap();
        fs::write(&path, "# faster\nrate 20\n\nrate x\nincident surge+1h\n").unwrap();
        let mut seen = Vec::new();
        while let Some(next) = control.next(7) {
            if let Ok(command) = &next {
                control.record(7, command).unwrap();
            }
            seen.push(next.map(|command| command.to_string()));
        }
        assert_eq!((seen.len(), &seen[0], &seen[2]), (3, &Ok("rate 20".into()), &Ok("incident surge+1h".into())));
        let why = seen[1].clone().unwrap_err();
        assert!(why.starts_with("line 4 of ") && why.contains("is skipped: \"x\" is not a number"), "{why}");
        let text = fs::read_to_string(&applied).unwrap();
        assert!(text.contains("--seed 5 and --start-time 2026-11-22T10:15:30.000000Z"), "{text}");
        assert!(text.ends_with("\nafter 7 events: rate 20\nafter 7 events: incident surge+1h\n"), "{text}");
        let mut again = script(&applied).unwrap();
        assert!(again.next(6).is_none());
        assert_eq!(again.left(), 2);
        assert_eq!(again.next(7).unwrap().unwrap().to_string(), "rate 20");
        assert_eq!(again.next(8).unwrap().unwrap().to_string(), "incident surge+1h");
        assert!(again.next(u64::MAX).is_none() && again.left() == 0);
        fs::remove_file(path).unwrap();
        fs::remove_file(applied).unwrap();
    }

    #[test]
    fn a_command_that_cannot_be_recorded_is_named_as_it_was_written() {
        let path = file("unrecorded");
        let applied = file("unrecorded").with_extension("commands.applied");
        let config = ProducerConfig { control: Some(path), ..Default::default() };
        let mut control = Commands::of(&config, &World::default()).unwrap();
        let Commands::Control(inner) = &mut control else { panic!("it is controlled") };
        // A file that is open for reading alone refuses what is written.
        inner.record = File::open(&applied).unwrap();
        let why = control.record(3, &Command::Rate(20.0)).unwrap_err();
        assert!(why.starts_with("\"rate 20\" was applied and not recorded"), "{why}");
        fs::remove_file(applied).unwrap();
    }

    #[test]
    fn a_run_takes_a_bounded_number_of_commands() {
        let path = file("bounded");
        let config = ProducerConfig { control: Some(path.clone()), ..Default::default() };
        let mut control = Commands::of(&config, &World::default()).unwrap();
        let Commands::Control(inner) = &mut control else { panic!("it is controlled") };
        inner.waiting = (1..=MOST as u64 + 5).map(|number| (number, Ok("rate 2".into()))).collect();
        let all: Vec<_> = std::iter::from_fn(|| control.next(0)).collect();
        assert_eq!((all.len(), all.iter().filter(|one| one.is_ok()).count()), (MOST + 1, MOST));
        let why = all[MOST].clone().unwrap_err();
        assert!(why.starts_with("line 10001 ") && why.contains("a run takes 10000 commands"), "{why}");
        fs::remove_file(path.with_extension("commands.applied")).unwrap();
    }

    #[test]
    fn a_wrong_script_names_the_line() {
        let path = file("wrong");
        let why = script(&path).unwrap_err().to_string();
        assert!(why.contains("the script cannot be read"), "{why}");
        for (text, part) in [
            ("rate 5\n", "line 1: \"rate 5\" is not after N events: COMMAND"),
            ("# x\nafter x events: rate 5\n", "line 2: "),
            ("after 5 events: stop\n", "line 1: \"stop\" is not a command"),
            ("after 5 events: rate 2\nafter 4 events: rate 3\n", "line 2: 4 events are fewer"),
        ] {
            fs::write(&path, text).unwrap();
            let why = script(&path).unwrap_err().to_string();
            assert!(why.contains(part), "{why}");
        }
        fs::write(&path, "after 5 events: rate 2\n".repeat(MOST + 1)).unwrap();
        assert!(script(&path).unwrap_err().to_string().contains("line 10001: a run takes 10000 commands"));
        fs::remove_file(path).unwrap();
    }
}
