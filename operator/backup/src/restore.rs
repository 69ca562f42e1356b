//! Puts a backup into a new data directory.
//!
//! Everything is written into a folder inside of it and checked there: a directory
//! that was given by name may be one that only its owner can write to, or a mount.
//! What a crash leaves in that folder is removed by the next try, and no server
//! starts while it is there.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hades_apiserver::{IdentityInfo, IdentityPlace, IdentitySource, SealError, maintenance};

use crate::archive::{of_stream, walk};
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
/// Nothing is in the directory afterwards that was not there before.
pub fn restore(
    backup: impl Read,
    key: &Key,
    directory: &Path,
    identity: &IdentitySource,
    prepare: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<Manifest, RestoreError> {
    let made = make_room(directory)?;
    let partial = directory.join(UNFINISHED);
    let restored = fill(backup, key, &partial, identity).and_then(|manifest| {
        prepare(&partial).map_err(cannot_write(&partial))?;
        sync_tree(&partial)?;
        Ok(manifest)
    });
    match restored {
        Ok(manifest) => {
            settle(&partial, directory)?;
            Ok(manifest)
        }
        Err(error) => {
            clear(&partial)?;
            if made {
                // It was not there before. What keeps it is no concern of this.
                let _ = std::fs::remove_dir(directory);
            }
            Err(error)
        }
    }
}

fn cannot_use(path: &Path) -> impl Fn(io::Error) -> RestoreError + '_ {
    move |source| RestoreError::Directory { path: path.to_owned(), source }
}

fn cannot_write(path: &Path) -> impl Fn(io::Error) -> RestoreError + '_ {
    move |source| RestoreError::Write { path: path.to_owned(), source }
}

/// Makes the directory, for its owner alone, or sees that it is empty. Whether it was
/// made.
fn make_room(directory: &Path) -> Result<bool, RestoreError> {
    let failed = cannot_use(directory);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(&failed)?;
            return Ok(true);
        }
        Err(error) => return Err(failed(error)),
    };
    let (mut unfinished, mut others) = (false, false);
    for entry in entries {
        match entry.map_err(&failed)?.file_name() {
            name if name == UNFINISHED => unfinished = true,
            // Made by mkfs, at the top of a file system.
            name if name == "lost+found" => {}
            _ => others = true,
        }
    }
    match (unfinished, others) {
        (true, true) => return Err(RestoreError::Half(directory.to_owned())),
        (false, true) => return Err(RestoreError::NotEmpty(directory.to_owned())),
        (true, false) => clear(&directory.join(UNFINISHED))?,
        (false, false) => {}
    }
    // A server refuses a directory that others get into.
    std::fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(&failed)?;
    Ok(false)
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
fn settle(partial: &Path, directory: &Path) -> Result<(), RestoreError> {
    let failed = cannot_use(directory);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(partial).map_err(&failed)? {
        names.push(PathBuf::from(entry.map_err(&failed)?.file_name()));
    }
    for name in names {
        std::fs::rename(partial.join(&name), directory.join(&name)).map_err(&failed)?;
    }
    let sync = || File::open(directory)?.sync_all();
    sync().map_err(&failed)?;
    // Now it is finished, and a server may start.
    std::fs::remove_dir(partial).map_err(&failed)?;
    sync().map_err(&failed)
}
