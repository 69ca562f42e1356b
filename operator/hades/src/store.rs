//! `hades store`: what is done with a store that no server has open.

use std::io::{self, Write};
use std::path::Path;

use hades_apiserver::IdentitySource;
use hades_apiserver::bootstrap::{self, DirectoryError};
use hades_apiserver::maintenance::{self, Compacted, Report, StoreError};

use crate::cli::{StoreCommand, StoreFlags, StoreVerifyFlags};
use crate::instance::{self, InstanceError};

/// Why a command on the store ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreCommandError {
    #[error(
        "{path} is in use by a server; stop it first, or copy store.redb, identity.age and \
         fingerprint.key into another folder and name that with --data-dir"
    )]
    InUse { path: String },
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error("the result could not be printed")]
    Print(#[from] io::Error),
}

impl From<StoreError> for StoreCommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InUse(path) => Self::InUse { path: path.display().to_string() },
            other => Self::Store(other),
        }
    }
}

/// Runs a command and prints its result. Whether all is well.
pub(crate) fn run(command: &StoreCommand, out: &mut impl Write) -> Result<bool, StoreCommandError> {
    match command {
        StoreCommand::Verify(StoreVerifyFlags { store, identity }) => {
            verify(&store.data_dir, &identity.source(), out)
        }
        StoreCommand::Compact(StoreFlags { data_dir }) => compact(data_dir, out),
        StoreCommand::Adopt(StoreFlags { data_dir }) => adopt(data_dir, out),
    }
}

fn verify(
    directory: &Path,
    identity: &IdentitySource,
    out: &mut impl Write,
) -> Result<bool, StoreCommandError> {
    bootstrap::check_owner(directory)?;
    let report = maintenance::verify_with(directory, identity)?;
    write_report(&report, out)?;
    Ok(report.problems.is_empty())
}

fn write_report(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let ended = if report.closed {
        "closed in good order"
    } else {
        "not closed in good order; the next start repairs it"
    };
    writeln!(out, "{}: {ended}", report.path.display())?;
    writeln!(out, "format {}, resourceVersion {}", report.format, report.version)?;
    writeln!(out)?;
    writeln!(out, "{:<44} {:>8} {:>12}", "RESOURCE", "OBJECTS", "BYTES")?;
    for (resource, tally) in &report.resources {
        writeln!(out, "{:<44} {:>8} {:>12}", plain(resource), tally.objects, tally.bytes)?;
    }
    let objects: u64 = report.resources.values().map(|tally| tally.objects).sum();
    writeln!(out)?;
    writeln!(
        out,
        "{objects} objects in a file of {} bytes: {} of objects, {} of the trees around them, {} \
         unused ({} %)",
        report.length,
        report.stored,
        report.overhead,
        report.unused(),
        percent(report.unused(), report.length),
    )?;
    for problem in &report.problems {
        writeln!(out, "PROBLEM: {problem}")?;
    }
    match report.problems.len() {
        0 => writeln!(out, "No problems."),
        1 => writeln!(out, "1 problem."),
        count => writeln!(out, "{count} problems."),
    }
}

/// The spelling that kubectl uses.
fn plain(resource: &str) -> String {
    match resource.split_once('/') {
        Some(("", plural)) => plural.to_owned(),
        Some((group, plural)) => format!("{plural}.{group}"),
        None => resource.to_owned(),
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    (part * 100).checked_div(whole).unwrap_or(0)
}

fn compact(directory: &Path, out: &mut impl Write) -> Result<bool, StoreCommandError> {
    // The file is a new one then, and of whoever runs this: the server couldn't open it.
    bootstrap::check_directory(directory)?;
    let Compacted { before, after, clean } = maintenance::compact(directory)?;
    writeln!(
        out,
        "{}: {before} bytes before, {after} bytes after",
        directory.join("store.redb").display()
    )?;
    if !clean {
        writeln!(
            out,
            "There was no room for a second file, so what was deleted may be left in free parts \
             of this one (Secrets encrypted): make room and compact it again."
        )?;
    }
    Ok(true)
}

fn adopt(directory: &Path, out: &mut impl Write) -> Result<bool, StoreCommandError> {
    if !directory.join("store.redb").exists() {
        writeln!(out, "{} holds no store", directory.display())?;
        return Ok(false);
    }
    bootstrap::check_owner(directory)?;
    instance::adopt(directory)?;
    writeln!(
        out,
        "{} is taken for the only one of its installation from the next start on",
        directory.display()
    )?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use hades_apiserver::{ApiServer, ServerConfig};

    use super::*;
    use crate::identity_flags::IdentityFlags;

    /// For its owner alone, as a data directory must be.
    fn closed_directory() -> tempfile::TempDir {
        let mode = std::fs::Permissions::from_mode(0o700);
        tempfile::Builder::new().permissions(mode).tempdir().unwrap()
    }

    #[test]
    fn a_store_is_compacted_in_a_data_directory_only_and_looked_at_in_copies_too() {
        let directory = closed_directory();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), mode).unwrap();
        let flags = flags(directory.path());
        let error = run(&StoreCommand::Compact(flags.clone()), &mut Vec::new()).unwrap_err();
        assert!(matches!(error, StoreCommandError::Directory(_)), "{error}");
        let error = run(&to_verify(flags), &mut Vec::new()).unwrap_err();
        assert!(matches!(error, StoreCommandError::Store(_)), "{error}");
    }

    fn flags(directory: &Path) -> StoreFlags {
        StoreFlags { data_dir: directory.to_owned() }
    }

    fn to_verify(store: StoreFlags) -> StoreCommand {
        StoreCommand::Verify(StoreVerifyFlags { store, identity: IdentityFlags::default() })
    }

    async fn outcome(verb: fn(StoreFlags) -> StoreCommand, directory: &Path) -> (String, bool) {
        let command = verb(flags(directory));
        let mut out = Vec::new();
        let good = run(&command, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), good)
    }

    #[tokio::test]
    async fn a_store_is_summed_up_and_its_problems_are_listed() {
        let directory = closed_directory();
        let server = ApiServer::open(ServerConfig::new(directory.path(), Vec::new())).await;
        let server = server.unwrap();
        let flags = flags(directory.path());
        for command in [to_verify(flags.clone()), StoreCommand::Compact(flags)] {
            let error = run(&command, &mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains("in use by a server; stop it first"), "{error}");
        }
        server.shutdown().await;
        let (text, good) = outcome(to_verify, directory.path()).await;
        assert!(good, "{text}");
        assert!(text.contains("store.redb: closed in good order\nformat 2, "), "{text}");
        assert!(text.lines().any(|line| line.starts_with("namespaces ")), "{text}");
        assert!(text.ends_with("No problems.\n"), "{text}");
        let (text, good) = outcome(StoreCommand::Compact, directory.path()).await;
        assert!(good && text.contains(" bytes after\n"), "{text}");
        std::fs::remove_file(directory.path().join("identity.age")).unwrap();
        let (text, good) = outcome(to_verify, directory.path()).await;
        assert!(!good, "{text}");
        assert!(text.contains("\nPROBLEM: "), "{text}");
        // The key itself, and the records that it opens.
        assert!(text.ends_with(" problems.\n"), "{text}");
    }

    #[test]
    fn a_folder_without_a_store_is_an_error_and_stays_as_it_is() {
        let directory = closed_directory();
        let flags = flags(directory.path());
        for command in [to_verify(flags.clone()), StoreCommand::Compact(flags)] {
            let error = run(&command, &mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains("store.redb can't be used: No such file"), "{error}");
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
