//! Reads files with secrets, and refuses those that other users can read.

use std::fs;
use std::path::Path;

/// Returns the content of a file that only its owner can read. The error says why the file cannot be used, in words
/// that follow the file's name. Permissions are checked on Unix only.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let about = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if may_be_read_by_others(&about) {
        return Err("is readable by other users; restrict it with chmod 600".to_owned());
    }
    fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

#[cfg(unix)]
fn may_be_read_by_others(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    about.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn may_be_read_by_others(_: &fs::Metadata) -> bool {
    false
}

/// Writes a file with the given permissions, for tests.
#[cfg(test)]
pub(crate) fn write_for_test(path: &Path, bytes: &[u8], mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
