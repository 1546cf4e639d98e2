//! SIGHUP: the configuration file is read again. What can change while calls go on is applied, what
//! cannot is named; a file with an error changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Config, ConfigErrors};

/// Keys that take effect at once. All others need a restart.
const LIVE: [&str; 2] = ["log.level", "node.drain_s"];
/// Tables that only fill an empty database, and what changes them instead.
const FIRST_START: [(&str, &str); 3] = [
    ("trunk", "sluice trunks apply"),
    ("source", "sluice sources apply"),
    ("link", "sluice links"),
];

/// The file as it was read last, and what of it can change.
#[derive(Debug)]
pub struct Reload {
    file: PathBuf,
    values: BTreeMap<String, String>,
    /// `node.drain_s`.
    pub drain: Duration,
}

/// What a reading changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that took effect.
    pub applied: Vec<String>,
    /// Keys that wait for a restart.
    pub restart: Vec<String>,
    /// Commands that do what a change of first-start tables does not.
    pub commands: Vec<&'static str>,
}

impl Reload {
    /// The configuration that the node runs by.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let text = std::fs::read_to_string(&config.file).unwrap_or_default();
        Self {
            file: config.file.clone(),
            values: values(&text),
            drain: config.node.drain,
        }
    }

    /// Reads the file again and applies what can be.
    ///
    /// # Errors
    /// The file has problems: nothing is changed.
    pub fn again(&mut self) -> Result<Changes, ConfigErrors> {
        let config = Config::load(&self.file)?;
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let (changes, kept) = changes(&self.values, &values(&text));
        self.drain = config.node.drain;
        if changes.applied.iter().any(|key| key == "log.level")
            && let Err(error) = crate::log::set_filter(&config.log.level)
        {
            tracing::error!(%error, "log.level was not taken");
        }
        self.values = kept;
        Ok(changes)
    }
}

/// What differs, and the values that the node runs by from then on: those that wait for a restart
/// keep waiting, and are named at each reading until then.
fn changes(
    running: &BTreeMap<String, String>,
    read: &BTreeMap<String, String>,
) -> (Changes, BTreeMap<String, String>) {
    let mut changes = Changes::default();
    let mut kept = running.clone();
    let keys: std::collections::BTreeSet<&String> = running.keys().chain(read.keys()).collect();
    for key in keys {
        if running.get(key) == read.get(key) {
            continue;
        }
        let table = FIRST_START.iter().find(|(table, _)| table == key);
        if let Some((_, command)) = table {
            changes.commands.push(*command);
        } else if LIVE.contains(&key.as_str()) {
            changes.applied.push(key.clone());
        } else {
            changes.restart.push(key.clone());
            continue;
        }
        match read.get(key) {
            Some(value) => kept.insert(key.clone(), value.clone()),
            None => kept.remove(key),
        };
    }
    (changes, kept)
}

/// `section.key` and its value as text; a list of tables is one value.
fn values(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let Ok(root) = text.parse::<toml::Table>() else {
        return values;
    };
    for (section, value) in root {
        if let toml::Value::Table(table) = value {
            for (key, value) in table {
                values.insert(format!("{section}.{key}"), value.to_string());
            }
        } else {
            values.insert(section, format!("{value:?}"));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "[log]\nlevel = \"info\"\n[node]\ndrain_s = 60\n[sip]\nproduct = \"A\"\n";

    #[test]
    fn what_can_change_changes_and_the_rest_is_named_until_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sluice.toml");
        std::fs::write(&file, FIRST).unwrap();
        let mut reload = Reload::new(&Config::load(&file).unwrap());
        assert_eq!(reload.again().unwrap(), Changes::default());
        let second = "[log]\nlevel = \"debug\"\n[sip]\nproduct = \"B\"\n[limits]\n\
                      calls_max = 7\n[[link]]\ndestination = \"610\"\n";
        std::fs::write(&file, second).unwrap();
        let changes = reload.again().unwrap();
        assert_eq!(changes.applied, ["log.level", "node.drain_s"]);
        assert_eq!(changes.restart, ["limits.calls_max", "sip.product"]);
        assert_eq!(changes.commands, ["sluice links"]);
        let again = reload.again().unwrap();
        assert_eq!(again.applied.len() + again.commands.len(), 0);
        assert_eq!(again.restart, ["limits.calls_max", "sip.product"]);
    }

    #[test]
    fn a_bad_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sluice.toml");
        std::fs::write(&file, FIRST).unwrap();
        let mut reload = Reload::new(&Config::load(&file).unwrap());
        std::fs::write(&file, "[node]\ndrain_s = \"soon\"\n").unwrap();
        reload.again().unwrap_err();
        assert_eq!(reload.drain, Duration::from_secs(60));
        std::fs::write(&file, FIRST).unwrap();
        assert_eq!(reload.again().unwrap(), Changes::default());
    }
}
