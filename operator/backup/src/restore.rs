//! Puts a backup into a new data directory.
//!
//! Everything is written into a folder inside of it and checked there: a directory
//! that was given by name may be one that only its owner can write to, or a mount.
//! What a crash leaves in that folder is removed by the next try, and no server
//! starts while it is there. The lock of the directory keeps servers and other
//! restores out meanwhile.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use hades_apiserver::bootstrap::{DirectoryLock, LOCK_FILE};
use hades_apiserver::{IdentityInfo, IdentityPlace, IdentitySource, SealError, maintenance};

use crate::archive::{of_stream, walk};
use crate::gather::{INSTANCE, STORE};
use crate::{Key, Manifest, ManifestError, RestoreError};

/// The folder in a data directory that is there as long as a restore isn't finished.
pub const UNFINISHED: &str = "restore.partial";

/// Restores a backup into a directory that is empty or isn't there. `identity` says
/// what opens its Secrets: in the data directory is the one in the backup. `prepare`
/// does what is left to do with the files before they get to their place: it marks
/// the directory as a copy. Blocks.
///
/// # Errors
/// When the backup can't be opened or isn't whole, or the directory can't be used.
/// Nothing is in the directory afterwards that was not there before, unless it is the
/// last step that fails, which the error says.
pub fn restore(
    backup: impl Read,
    key: &Key,
    directory: &Path,
    identity: &IdentitySource,
    prepare: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<Manifest, RestoreError> {
    let made = make(directory)?;
    // Before a lock is put into a directory of somebody else.
    let had_lock = look(directory)?.lock;
    let lock = DirectoryLock::take(directory)?;
    let restored = restore_locked(backup, key, directory, identity, prepare);
    if restored.is_err() && !had_lock {
        lock.remove(directory);
        if made {
            // It was not there before. What keeps it is no concern of this.
            let _ = std::fs::remove_dir(directory);
        }
    }
    restored
}

fn restore_locked(
    backup: impl Read,
    key: &Key,
    directory: &Path,
    identity: &IdentitySource,
    prepare: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<Manifest, RestoreError> {
    let partial = directory.join(UNFINISHED);
    // Again, as somebody else may have had the directory until now.
    if look(directory)?.unfinished {
        clear(&partial)?;
    }
    let filled = fill(backup, key, &partial, identity).and_then(|manifest| {
        prepare(&partial).map_err(cannot_write(&partial))?;
        sync_tree(&partial)?;
        // Those who know of no lock may have copied something there.
        look(directory).map_err(|error| match error {
            RestoreError::Half(path) => RestoreError::NotEmpty(path),
            other => other,
        })?;
        // A server refuses a directory that others get into.
        std::fs::set_permissions(directory, Permissions::from_mode(0o700))
            .map_err(cannot_use(directory))?;
        Ok(manifest)
    });
    let manifest = filled.inspect_err(|_| {
        // The reason is what counts; what stays is removed by the next try.
        let _ = clear(&partial);
    })?;
    settle(&partial, directory)
        .map_err(|source| RestoreError::Settle { path: directory.to_owned(), source })?;
    Ok(manifest)
}

fn cannot_use(path: &Path) -> impl Fn(io::Error) -> RestoreError + '_ {
    move |source| RestoreError::Directory { path: path.to_owned(), source }
}

fn cannot_write(path: &Path) -> impl Fn(io::Error) -> RestoreError + '_ {
    move |source| RestoreError::Write { path: path.to_owned(), source }
}

/// Makes the directory, for its owner alone, and its parents as they are usually
/// made. Whether it wasn't there.
fn make(directory: &Path) -> Result<bool, RestoreError> {
    let failed = cannot_use(directory);
    if let Some(parent) = directory.parent() {
        std::fs::create_dir_all(parent).map_err(&failed)?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// What is in a directory in which a restore is at home.
struct Found {
    lock: bool,
    /// What another one left that was cut off.
    unfinished: bool,
}

/// Sees that nothing else is in the directory.
fn look(directory: &Path) -> Result<Found, RestoreError> {
    let failed = cannot_use(directory);
    let (mut found, mut others) = (Found { lock: false, unfinished: false }, false);
    for entry in std::fs::read_dir(directory).map_err(&failed)? {
        match entry.map_err(&failed)?.file_name() {
            name if name == UNFINISHED => found.unfinished = true,
            name if name == LOCK_FILE => found.lock = true,
            // Made by mkfs, at the top of a file system.
            name if name == "lost+found" => {}
            _ => others = true,
        }
    }
    match (found.unfinished, others) {
        (true, true) => Err(RestoreError::Half(directory.to_owned())),
        (false, true) => Err(RestoreError::NotEmpty(directory.to_owned())),
        (_, false) => Ok(found),
    }
}

fn clear(partial: &Path) -> Result<(), RestoreError> {
    match std::fs::remove_dir_all(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot_use(partial)(error)),
        _ => Ok(()),
    }
}

/// Writes the files into the folder and checks that they are a whole installation.
fn fill(
    backup: impl Read,
    key: &Key,
    partial: &Path,
    identity: &IdentitySource,
) -> Result<Manifest, RestoreError> {
    let manifest = walk(
        backup,
        key,
        |manifest| {
            check_format(manifest)?;
            if identity.place == IdentityPlace::DataDirectory && !manifest.holds_identity() {
                return Err(RestoreError::IdentityElsewhere);
            }
            DirBuilder::new().mode(0o700).create(partial).map_err(cannot_use(partial))
        },
        |entry, content| write_file(&partial.join(&entry.name), content),
    )?;
    IdentityInfo::read(partial, identity).map_err(|error| match error {
        SealError::IdentityMissing(path) => RestoreError::IdentityMissing(path),
        SealError::NoPassphrase(_) => RestoreError::Passphrase,
        other => RestoreError::Identity(other),
    })?;
    let report = maintenance::verify_with(partial, identity)?;
    if !report.problems.is_empty() {
        return Err(RestoreError::Problems(report.problems));
    }
    Ok(manifest)
}

/// Told before anything is written. A store of an earlier format is brought up to date
/// by the first start.
fn check_format(manifest: &Manifest) -> Result<(), RestoreError> {
    let (found, known) = (manifest.store_format, maintenance::latest_format());
    if found > known {
        return Err(ManifestError::StoreFormat { found, known }.into());
    }
    Ok(())
}

fn write_file(path: &Path, content: &mut dyn Read) -> Result<(), RestoreError> {
    let failed = cannot_write(path);
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(&failed)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(&failed)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match content.read(&mut buffer).map_err(of_stream)? {
            0 => break,
            count => file.write_all(&buffer[..count]).map_err(&failed)?,
        }
    }
    file.sync_all().map_err(&failed)
}

/// Has all folders on the disk; the files are.
fn sync_tree(folder: &Path) -> Result<(), RestoreError> {
    let failed = cannot_write(folder);
    for entry in std::fs::read_dir(folder).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        if entry.file_type().map_err(&failed)?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(&failed)
}

/// Moves all into its place.
fn settle(partial: &Path, directory: &Path) -> io::Result<()> {
    move_all(&order(partial)?, partial, directory)?;
    // Now it is finished, and a server may start.
    std::fs::remove_dir(partial)?;
    File::open(directory)?.sync_all()
}

/// What is moved, in this order: wherever it is cut off, a server that somebody has
/// start there is suspended, and doesn't find a store without what belongs to it.
fn order(partial: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(partial)? {
        names.push(entry?.file_name());
    }
    names.sort_by_key(|name| (name == STORE, name != INSTANCE));
    Ok(names)
}

fn move_all(names: &[OsString], partial: &Path, directory: &Path) -> io::Result<()> {
    for name in names {
        if name == STORE {
            File::open(directory)?.sync_all()?;
        }
        std::fs::rename(partial.join(name), directory.join(name))?;
        if name == INSTANCE || name == STORE {
            // On the disk in this order, too.
            File::open(directory)?.sync_all()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wherever_the_last_step_is_cut_off_a_server_would_be_suspended() {
        let files = ["audit", "ca.key", "identity.age", INSTANCE, "installation-id", STORE];
        for done in 0..=files.len() {
            let dir = tempfile::tempdir().unwrap();
            let partial = dir.path().join(UNFINISHED);
            std::fs::create_dir(&partial).unwrap();
            for file in files {
                std::fs::write(partial.join(file), file).unwrap();
            }
            // kill -9 leaves just this: each step is done or it isn't.
            move_all(&order(&partial).unwrap()[..done], &partial, dir.path()).unwrap();
            let there = |name: &str| dir.path().join(name).exists();
            assert!(done == 0 || there(INSTANCE), "{done}");
            assert_eq!(there(STORE), done == files.len(), "{done}");
            match look(dir.path()) {
                Err(RestoreError::Half(_)) => assert!(done > 0),
                found => assert!(done == 0 && found.unwrap().unfinished, "{done}"),
            }
        }
    }
}
