//! Flags about backups.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hades_apiserver::{IdentityPlace, IdentitySource};
use hades_backup::{Destination, Recipient, RecipientError, Schedule};
use secrecy::{ExposeSecret, SecretString};

/// How many backups of a schedule are kept when nothing is said.
const KEEP: u32 = 14;

/// Reads public keys. They are taken for secrets until then: clap repeats what it can't
/// read, and it could be the private key that somebody gave by mistake.
///
/// # Errors
/// When one is no public key.
pub(crate) fn recipients(keys: &[SecretString]) -> Result<Vec<Recipient>, RecipientError> {
    let texts = keys.iter().map(|key| key.expose_secret().trim());
    // A variable that is set to nothing names nobody.
    texts.filter(|text| !text.is_empty()).map(str::parse).collect()
}

/// Why the flags of the server about backups can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupFlagsError {
    #[error("--backup-recipient can't be used")]
    Recipient(#[from] RecipientError),
    #[error(
        "nobody could open the backups of --backup-schedule: name a public key with \
         --backup-recipient (HADES_BACKUP_RECIPIENT); `hades backup keygen FILE` makes one"
    )]
    Nobody,
}

/// Flags of `hades backup`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct BackupFlags {
    #[command(subcommand)]
    pub(crate) command: Option<BackupCommand>,

    /// File to write, which must not be there yet; `-` is the standard output.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) file: Option<PathBuf>,

    /// Public key of age (age1…) that the backup is encrypted to. May be given
    /// several times; each of the private keys opens it. By default those of the
    /// server's --backup-recipient.
    #[arg(long, env = "HADES_BACKUP_RECIPIENT", hide_env_values = true)]
    #[arg(value_delimiter = ',', value_name = "KEY")]
    pub(crate) recipient: Vec<SecretString>,

    /// File with such keys, one a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) recipients_file: Option<PathBuf>,

    /// Data directory of the server.
    #[arg(long, env = "HADES_DATA_DIR", default_value = "/var/lib/hades", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,

    /// Folder of the audit log, if it isn't `audit` in the data directory. A server
    /// that runs knows it.
    #[arg(long, env = "HADES_AUDIT_DIR", value_name = "DIR")]
    pub(crate) audit_dir: Option<PathBuf>,
}

/// What else to do about backups.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BackupCommand {
    /// Read a backup to its end and show what is in it. Nothing is written.
    ///
    /// Ends with status 1 when it isn't whole.
    Show(ShowFlags),
    /// Make a key for backups.
    ///
    /// Writes the private key into a new file, and prints the public one, for
    /// --recipient. Keep the file where the server is not: it opens every backup, and
    /// without it none can be restored. `age-keygen` makes the same.
    Keygen(KeygenFlags),
}

/// Flags of `hades backup show`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShowFlags {
    /// The backup; `-` is the standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// File with the private key.
    #[arg(long, env = "HADES_BACKUP_IDENTITY_FILE", value_name = "FILE")]
    pub(crate) identity_file: PathBuf,

    /// How it is shown.
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) output: Option<ShowFormat>,
}

/// How a backup is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ShowFormat {
    /// The manifest as it is in the backup.
    Json,
}

/// Flags of `hades backup keygen`.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeygenFlags {
    /// File to write the private key to; it must not be there yet.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Flags of `hades restore`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RestoreFlags {
    /// The backup; `-` is the standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Directory to restore into: a new one, or an empty one.
    #[arg(long, env = "HADES_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,

    /// File with the private key of a recipient of the backup.
    #[arg(long, env = "HADES_BACKUP_IDENTITY_FILE", value_name = "FILE")]
    pub(crate) identity_file: PathBuf,

    /// File with the identity that opens the Secrets in the store, where the
    /// installation keeps it elsewhere than in its data directory. It isn't copied
    /// there: give the server the same file.
    #[arg(long, env = "HADES_IDENTITY_FILE", value_name = "FILE")]
    pub(crate) store_identity_file: Option<PathBuf>,

    /// File with the passphrase that protects that identity, or the one in the backup.
    #[arg(long, env = "HADES_IDENTITY_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) store_identity_passphrase_file: Option<PathBuf>,
}

impl RestoreFlags {
    /// What opens the Secrets in the backup.
    pub(crate) fn store_identity(&self) -> IdentitySource {
        let place = match &self.store_identity_file {
            Some(file) => IdentityPlace::File(file.clone()),
            None => IdentityPlace::DataDirectory,
        };
        IdentitySource { place, passphrase_file: self.store_identity_passphrase_file.clone() }
    }
}

/// Flags of the server about backups.
#[derive(Debug, Clone, Args)]
pub(crate) struct BackupScheduleFlags {
    /// Public key of age (age1…) that backups are encrypted to, unless `hades backup`
    /// names others. May be given several times. `hades backup keygen` makes one.
    #[arg(long, env = "HADES_BACKUP_RECIPIENT", hide_env_values = true)]
    #[arg(value_delimiter = ',', value_name = "KEY")]
    pub(crate) backup_recipient: Vec<SecretString>,

    /// When backups are made, as crontab writes it: "0 2 * * *". In UTC, or with a time
    /// zone behind it.
    #[arg(long, env = "HADES_BACKUP_SCHEDULE", value_name = "CRON")]
    #[arg(requires = "backup_to", requires = "backup_recipient")]
    pub(crate) backup_schedule: Option<Schedule>,

    /// Where they go: a folder, or s3://BUCKET/PREFIX. A bucket is reached as the
    /// variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION
    /// and AWS_ENDPOINT_URL_S3 say.
    #[arg(long, env = "HADES_BACKUP_TO", value_name = "DIR|URL", requires = "backup_schedule")]
    pub(crate) backup_to: Option<Destination>,

    /// How many of them are kept.
    #[arg(long, env = "HADES_BACKUP_KEEP", default_value_t = KEEP, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) backup_keep: u32,
}

impl BackupScheduleFlags {
    /// Who can open the backups; somebody, where there is a schedule.
    ///
    /// # Errors
    /// When a key is none, or nobody could.
    pub(crate) fn recipients(&self) -> Result<Vec<Recipient>, BackupFlagsError> {
        let recipients = recipients(&self.backup_recipient)?;
        if recipients.is_empty() && self.backup_schedule.is_some() {
            return Err(BackupFlagsError::Nobody);
        }
        Ok(recipients)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_private_key_is_not_repeated() {
        let key = "AGE-SECRET-KEY-1PLANTED";
        for args in [
            &["hades", "backup", "x.age", "--recipient", key][..],
            &["hades", "serve", "--backup-recipient", key],
        ] {
            let cli = Cli::try_parse_from(args).unwrap();
            assert!(!format!("{cli:?}").contains("PLANTED"));
            let given = match &cli.command {
                Command::Backup(flags) => &flags.recipient,
                Command::Serve(flags) => &flags.backup.backup_recipient,
                _ => panic!("{cli:?}"),
            };
            let error = recipients(given).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("PLANTED"), "{error}");
        }
        assert!(recipients(&[SecretString::from("")]).unwrap().is_empty());
    }

    #[test]
    fn a_schedule_for_nobody_is_refused_at_the_start() {
        let serve = |args: &[&str]| {
            let all = ["hades", "serve"].iter().chain(args);
            let Command::Serve(flags) = Cli::try_parse_from(all).unwrap().command else { panic!() };
            flags.backup.recipients()
        };
        assert!(serve(&[]).unwrap().is_empty());
        // As a line in hades.env that was left empty.
        let schedule = ["--backup-schedule", "0 2 * * *", "--backup-to", "/x"];
        let error = serve(&[&schedule[..], &["--backup-recipient", ""]].concat()).unwrap_err();
        assert!(matches!(error, BackupFlagsError::Nobody), "{error}");
    }

    #[test]
    fn what_belongs_together_is_asked_for() {
        let parse = |args: &str| Cli::try_parse_from(args.split(' ')).map_err(|e| e.to_string());
        for (args, missing) in [
            ("hades backup", "<FILE>"),
            ("hades serve --backup-schedule @", "@"),
            ("hades serve --backup-to /x", "--backup-schedule"),
            ("hades restore x.age --data-dir /x", "--identity-file"),
            ("hades backup show x.age", "--identity-file"),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(missing), "{args}: {error}");
        }
        parse("hades backup keygen key.txt").unwrap();
        parse("hades backup x.age --recipient age1a --recipient age1b").unwrap();
    }
}
