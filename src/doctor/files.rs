//! Files and folders: are they there, may we write them, may others read them, is there room.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::Finding;
use crate::config::Config;

/// Less is soon full: the log of the database alone may take some.
const FREE_OCTETS_BAD: u64 = 64 << 20;
const FREE_OCTETS_WARNING: u64 = 1 << 30;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let database = config.storage.path.as_path();
    let folder = database
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    let mut findings = vec![
        private("database", database),
        private("node key", &folder.join("node.key")),
        readable_by_few(&config.file),
        writable("data", folder),
    ];
    findings.extend(room("disk", folder));
    if let Some((_certificate, key)) = &config.https.certificate {
        findings.push(private("https.key", key));
    }
    if let Some(folder) = &config.cdr.folder {
        findings.push(writable("cdr.folder", folder));
    }
    findings
}

/// Only its owner reads it.
fn private(check: &'static str, path: &Path) -> Finding {
    let Ok(metadata) = fs::metadata(path) else {
        return Finding::good(
            check,
            format!("{} comes with the first start", path.display()),
        );
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Finding::bad(
            check,
            format!(
                "{} may be read by everybody (mode {mode:o})",
                path.display()
            ),
            format!("chmod 600 {}", path.display()),
        );
    }
    if access(path, AccessFlags::R_OK | AccessFlags::W_OK).is_err() {
        return Finding::warning(
            check,
            format!("{} may not be written by this user", path.display()),
            "run this as the user of the unit (sudo -u sluice), or mend the owner of the file",
        );
    }
    Finding::good(check, format!("{} (mode {mode:o})", path.display()))
}

/// It may name passwords' files and tokens' sockets.
fn readable_by_few(path: &Path) -> Finding {
    let Ok(metadata) = fs::metadata(path) else {
        return Finding::warning("configuration", "not there", "name it by --config");
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        return Finding::bad(
            "configuration",
            format!(
                "{} may be written by others (mode {mode:o})",
                path.display()
            ),
            format!("chmod 640 {}", path.display()),
        );
    }
    Finding::good(
        "configuration",
        format!("{} (mode {mode:o})", path.display()),
    )
}

fn writable(check: &'static str, folder: &Path) -> Finding {
    // A folder that is not there yet is made in the nearest one that is.
    let there = folder.ancestors().find(|folder| folder.exists());
    let there = there.unwrap_or_else(|| Path::new("."));
    if access(there, AccessFlags::W_OK | AccessFlags::X_OK).is_ok() {
        return Finding::good(check, format!("{} can be written", folder.display()));
    }
    Finding::bad(
        check,
        format!("{} cannot be written by this user", there.display()),
        format!(
            "give it to the user of the unit: chown sluice: {}",
            there.display()
        ),
    )
}

fn room(check: &'static str, folder: &Path) -> Option<Finding> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let disk = statvfs(there).ok()?;
    let free = disk.blocks_available() * disk.fragment_size();
    let text = format!("{} MiB free at {}", free >> 20, there.display());
    Some(if free < FREE_OCTETS_BAD {
        Finding::bad(
            check,
            text,
            "make room: call records wait in memory when the disk is full",
        )
    } else if free < FREE_OCTETS_WARNING {
        Finding::warning(check, text, "make room before the disk is full")
    } else {
        Finding::good(check, text)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_key_that_everybody_may_read_is_bad_and_the_remedy_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        assert_eq!(
            private("node key", &path).grade,
            Grade::Good,
            "not there yet"
        );
        fs::write(&path, b"key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let finding = private("node key", &path);
        assert_eq!(finding.grade, Grade::Bad);
        assert!(finding.advice.starts_with("chmod 600 "), "{finding:?}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(private("node key", &path).grade, Grade::Good);
    }

    #[test]
    fn a_folder_to_come_is_judged_by_the_one_it_will_stand_in() {
        let folder = tempfile::tempdir().unwrap();
        let to_come = folder.path().join("a/b");
        assert_eq!(writable("data", &to_come).grade, Grade::Good);
        assert!(room("disk", &to_come).is_some());
    }
}
