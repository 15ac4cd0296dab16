//! Files with secrets, which nobody but their owner may read.

use std::fs;
use std::path::Path;

/// What such a file holds. Errors: why it cannot be used, in words that follow its name.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let about = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if may_be_read_by_others(&about) {
        return Err("may be read by others; chmod 600 it".to_owned());
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

/// Writes such a file, for a test.
#[cfg(test)]
pub(crate) fn write_for_test(path: &Path, bytes: &[u8], mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
