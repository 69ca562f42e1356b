//! Flags that say where the identity of an installation lies, and what to do with it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hades_apiserver::{IdentityPlace, IdentitySource};

/// Name of the credential by which systemd hands the identity to the service.
const CREDENTIAL: &str = "hades.identity";

/// Names the folder of the credentials that systemd made for this run.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Flags of whatever opens what is sealed in the store.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct IdentityFlags {
    /// File with the age identity that opens the Secrets in the store. By default the
    /// credential `hades.identity` that systemd gives to the service, if it does, or
    /// else `identity.age` in the data directory. Made at the first start.
    #[arg(long, env = "HADES_IDENTITY_FILE", value_name = "FILE")]
    pub(crate) identity_file: Option<PathBuf>,

    /// File with the passphrase that protects the identity. One that isn't protected
    /// yet is from the next start on.
    #[arg(long, env = "HADES_IDENTITY_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) identity_passphrase_file: Option<PathBuf>,
}

/// What to do with the identity of an installation.
#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Say which file the identity lies in, and its public key.
    Show(IdentityShowFlags),
    /// Make a new identity and seal everything for it.
    ///
    /// A server that runs is asked over the socket in its data directory, and goes on
    /// with its work meanwhile; otherwise this opens the directory itself. The former
    /// identity is removed when nothing is sealed for it any more. What was cut off goes
    /// on at the next start.
    Rotate(IdentityRotateFlags),
}

/// Flags of `hades identity show`.
#[derive(Debug, Clone, Args)]
pub(crate) struct IdentityShowFlags {
    /// Data directory of the server.
    #[arg(long, env = "HADES_DATA_DIR", default_value = "/var/lib/hades", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,

    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
}

/// Flags of `hades identity rotate`. A server that runs knows all but the first.
#[derive(Debug, Clone, Args)]
pub(crate) struct IdentityRotateFlags {
    /// Data directory of the server.
    #[arg(long, env = "HADES_DATA_DIR", default_value = "/var/lib/hades", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,

    /// Folder of the audit log, if it isn't `audit` in the data directory.
    #[arg(long, env = "HADES_AUDIT_DIR", value_name = "DIR")]
    pub(crate) audit_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
}

impl IdentityFlags {
    /// Where the identity lies, by flags and what systemd gave.
    pub(crate) fn source(&self) -> IdentitySource {
        self.source_with(std::env::var_os(CREDENTIALS).map(PathBuf::from).as_deref())
    }

    fn source_with(&self, credentials: Option<&Path>) -> IdentitySource {
        let credential = credentials.map(|folder| folder.join(CREDENTIAL));
        let place = match (&self.identity_file, credential) {
            (Some(file), _) => IdentityPlace::File(file.clone()),
            (None, Some(credential)) if credential.exists() => {
                IdentityPlace::Credential(credential)
            }
            (None, _) => IdentityPlace::DataDirectory,
        };
        IdentitySource { place, passphrase_file: self.identity_passphrase_file.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_counts_more_than_a_credential_and_that_more_than_the_data_directory() {
        let folder = tempfile::tempdir().unwrap();
        let place = |flags: &IdentityFlags| flags.source_with(Some(folder.path())).place;
        let none = IdentityFlags::default();
        assert_eq!(none.source_with(None).place, IdentityPlace::DataDirectory);
        assert_eq!(place(&none), IdentityPlace::DataDirectory, "it has no such credential");
        let credential = folder.path().join(CREDENTIAL);
        std::fs::write(&credential, "").unwrap();
        assert_eq!(place(&none), IdentityPlace::Credential(credential));
        let file = PathBuf::from("/etc/hades/identity");
        let named = IdentityFlags { identity_file: Some(file.clone()), ..IdentityFlags::default() };
        assert_eq!(place(&named), IdentityPlace::File(file));
    }
}
