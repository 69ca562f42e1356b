//! Whose the data directory is, and who else gets into it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why a directory isn't used. The words say what to run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// It isn't a directory.
    #[error("{0} is not a directory; choose another with --data-dir")]
    NotOne(PathBuf),
    /// Somebody else owns it. What another user makes in it, the owner can't use.
    #[error(
        "{path} belongs to user {owner}, and this hades runs as user {me}; run it as the owner: \
         sudo -u '#{owner}' hades …"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Number of the user that it belongs to.
        owner: u32,
        /// Number of the user that the process runs as.
        me: u32,
    },
    /// Others may read it or write to it.
    #[error(
        "{path} is open to others (mode {mode:04o}), and it holds the keys of everything; close \
         it: chmod 700 {path}"
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// Checks that a directory, if it is there, is this user's alone.
///
/// # Errors
/// When it isn't.
pub fn check(path: &Path) -> Result<(), DirectoryError> {
    // What isn't there is made, for its owner alone.
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    judge(path, &metadata, rustix::process::geteuid().as_raw())
}

/// Checks that a directory, if it is there, is this user's, whoever else may look into
/// it: for what only reads, in copies too.
///
/// # Errors
/// When it isn't.
pub fn check_owner(path: &Path) -> Result<(), DirectoryError> {
    match check(path) {
        Err(DirectoryError::Open { .. }) => Ok(()),
        checked => checked,
    }
}

fn judge(path: &Path, metadata: &Metadata, me: u32) -> Result<(), DirectoryError> {
    let path = path.to_owned();
    if !metadata.is_dir() {
        return Err(DirectoryError::NotOne(path));
    }
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != me {
        return Err(DirectoryError::Foreign { path, owner, me });
    }
    if mode & 0o077 != 0 {
        return Err(DirectoryError::Open { path, mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_must_be_one_s_own_and_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        assert_eq!(check(&path), Ok(()), "it is not there yet");
        std::fs::write(&path, "").unwrap();
        assert_eq!(check(&path), Err(DirectoryError::NotOne(path.clone())));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let set = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        set(0o700);
        assert_eq!(check(&path), Ok(()));
        for mode in [0o755, 0o750, 0o701, 0o702, 0o777, 0o1777] {
            set(mode);
            let error = check(&path).unwrap_err();
            assert_eq!(error, DirectoryError::Open { path: path.clone(), mode });
            assert!(error.to_string().contains(&format!("chmod 700 {}", path.display())));
            assert_eq!(check_owner(&path), Ok(()));
        }
        set(0o700);
        let metadata = std::fs::metadata(&path).unwrap();
        let other = metadata.uid() + 1;
        let error = judge(&path, &metadata, other).unwrap_err().to_string();
        let owner = metadata.uid();
        assert!(error.ends_with(&format!("sudo -u '#{owner}' hades …")), "{error}");
    }
}
