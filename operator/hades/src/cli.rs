//! Flags of the server.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::backup_flags::{BackupFlags, BackupScheduleFlags, RestoreFlags};
use crate::identity_flags::{IdentityCommand, IdentityFlags};
use crate::oidc_flags::{OidcFlags, external_url};

/// Hades: a control plane for software studios. One binary that watches git,
/// plans, and keeps containers as their manifests say.
#[derive(Debug, Parser)]
#[command(name = "hades", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server: API, store and controllers.
    Serve(Box<ServeFlags>),
    /// Look after the store while the server is stopped.
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Look at the audit log on the machine of the server.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Look at what opens the Secrets in the store, or replace it.
    Identity {
        #[command(subcommand)]
        command: IdentityCommand,
    },
    /// Look after users on the machine of the server.
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Write a backup of everything that the server keeps, encrypted, into one file.
    ///
    /// While the server runs, it makes the backup itself, of one moment, and goes on
    /// with its work meanwhile. Otherwise the data directory is read.
    Backup(BackupFlags),
    /// Put a backup into a new data directory.
    ///
    /// The backup is read to its end and checked, with each row of its store, before
    /// anything gets to its place. A server starts on the directory suspended, until
    /// `hades store adopt` says that it is the only one.
    Restore(RestoreFlags),
    /// Print the version.
    Version,
}

/// What to do with an audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// See whether records were changed, put in or taken out.
    ///
    /// Each record carries a keyed hash over itself and the one before, and the
    /// file `head` says which ones are the first and the last. Ends with status 1
    /// when something is wrong.
    ///
    /// Nothing is changed, and a server may be running. The key is read from the
    /// data directory; a copy of the log elsewhere is named with --audit-dir.
    Verify(AuditVerifyFlags),
}

/// Flags of `hades audit verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AuditVerifyFlags {
    /// Data directory of the server.
    #[arg(long, env = "HADES_DATA_DIR", default_value = "/var/lib/hades", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,

    /// Folder of the log, if it isn't `audit` in the data directory.
    #[arg(long, env = "HADES_AUDIT_DIR", value_name = "DIR")]
    pub(crate) audit_dir: Option<PathBuf>,
}

/// Flags of the audit log.
#[derive(Debug, Clone, Args)]
pub(crate) struct AuditFlags {
    /// Folder of the audit log. By default `audit` in the data directory.
    #[arg(long, env = "HADES_AUDIT_DIR", value_name = "DIR")]
    pub(crate) audit_dir: Option<PathBuf>,

    /// Megabytes of audit log that are kept; the oldest files make room.
    #[arg(long, default_value_t = 1024, value_name = "MB")]
    #[arg(value_parser = clap::value_parser!(u32).range(8..))]
    pub(crate) audit_max_size: u32,

    /// Days for which the audit log is kept.
    #[arg(long, default_value_t = 365, value_name = "DAYS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) audit_max_age: u32,
}

/// What to do about a user.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Let somebody in again who lost the password or the second factor.
    ///
    /// Sets a new password, which is printed once, removes the second factor,
    /// ends all sessions and enables the user. `admin` is made again if it is
    /// gone, and is an administrator afterwards.
    ///
    /// A server that runs is asked over the socket in its data directory; otherwise
    /// this opens the directory itself. Only root and the user that the server runs
    /// as may do this.
    Recover(RecoverFlags),
}

/// Flags of `hades user recover`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RecoverFlags {
    /// Name of the user.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Data directory of the server.
    #[arg(long, env = "HADES_DATA_DIR", default_value = "/var/lib/hades", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,

    /// Folder of the audit log, if it isn't `audit` in the data directory. A server
    /// that runs knows it.
    #[arg(long, env = "HADES_AUDIT_DIR", value_name = "DIR")]
    pub(crate) audit_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
}

/// What to do with a store that no server has open.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Look through the whole store for anything that should not be.
    ///
    /// Checks every page and every row: that it can be read and, where it is
    /// encrypted, opened with the identity and in its place; that it is a JSON
    /// object of the right name, version and uid; and that the counters agree.
    /// Prints what is in the store, and a line for each problem. Ends with
    /// status 1 when there is one.
    ///
    /// Nothing is changed. A store that was not closed in good order, after a
    /// crash, is repaired in memory, as the next start repairs it on the disk.
    ///
    /// A server must not have the store open. To look at a store in use, copy
    /// store.redb, identity.age and fingerprint.key into a folder of their own
    /// and name that with --data-dir.
    Verify(StoreVerifyFlags),
    /// Make the file of the store as small as it can be.
    ///
    /// A server that runs gives room back by itself, after much was deleted and
    /// while nobody writes; this does the rest. The store is written into a new
    /// file, so that nothing is left of what was deleted, or changed in place where
    /// there is no room for both. A server must not have it open.
    Compact(StoreFlags),
    /// Say that this data directory is the only one of its installation.
    ///
    /// A directory that was copied, such as a restored backup, has the same
    /// installation id as the original. Two that run would take each other's
    /// containers for their own, so a copy serves its API and does nothing else,
    /// until this was said and it is started again. Make sure that the original
    /// never runs again.
    Adopt(StoreFlags),
}

/// Flags of `hades store`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreFlags {
    /// Folder of the store.
    #[arg(long, env = "HADES_DATA_DIR", default_value = "/var/lib/hades", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
}

/// Flags of `hades store verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreVerifyFlags {
    #[command(flatten)]
    pub(crate) store: StoreFlags,

    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
}

/// Flags of `hades serve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeFlags {
    /// Folder that everything is kept in: store, keys, copies of repositories.
    /// Made at the first start.
    #[arg(long, env = "HADES_DATA_DIR", default_value = "/var/lib/hades", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,

    /// Address to listen on, for HTTPS.
    #[arg(long, env = "HADES_LISTEN", default_value = "127.0.0.1:7443", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,

    /// Further names or addresses that clients use for this server; they go into
    /// its certificate. May be given several times.
    #[arg(long, env = "HADES_TLS_SAN", value_delimiter = ',', value_name = "NAME")]
    pub(crate) tls_san: Vec<String>,

    /// Certificate chain for the names that the world knows this server by, PEM. It
    /// is shown to clients that ask for one of its names; all others see the
    /// server's own, which its kubeconfigs trust. Read again when it changes.
    #[arg(long, env = "HADES_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key of --tls-cert, PEM.
    #[arg(long, env = "HADES_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Socket of the Docker engine that the DockerHost `local` is made for at
    /// the first start, if something answers there.
    #[arg(long, default_value = "/var/run/docker.sock", value_name = "PATH")]
    pub(crate) docker_socket: PathBuf,

    /// Where people and their browsers reach this server, such as
    /// https://hades.example.com:7443. Its name goes into the certificate. Without
    /// it, pages refer to the address that each browser uses.
    #[arg(long, env = "HADES_EXTERNAL_URL", value_name = "URL", value_parser = external_url)]
    pub(crate) external_url: Option<String>,

    #[command(flatten)]
    pub(crate) oidc: OidcFlags,

    #[command(flatten)]
    pub(crate) public: PublicFlags,

    #[command(flatten)]
    pub(crate) identity: IdentityFlags,

    #[command(flatten)]
    pub(crate) audit: AuditFlags,

    #[command(flatten)]
    pub(crate) backup: BackupScheduleFlags,

    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// Flags of what forges reach: webhooks, and nothing of the API.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PublicFlags {
    /// Where forges reach webhooks, such as https://hooks.example.com. Only shown
    /// to people and registered in forges; what listens there is --public-listen
    /// or a reverse proxy.
    #[arg(long, env = "HADES_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub(crate) public_url: Option<String>,

    /// A second address to listen on, for webhooks alone. HTTPS with
    /// --public-cert; else plain HTTP, which only a loopback address may have, or
    /// any with --behind-proxy.
    #[arg(long, env = "HADES_PUBLIC_LISTEN", value_name = "ADDRESS")]
    pub(crate) public_listen: Option<SocketAddr>,

    /// Certificate chain of --public-listen, PEM. Read again when it changes.
    #[arg(long, env = "HADES_PUBLIC_CERT", value_name = "FILE")]
    #[arg(requires = "public_key", requires = "public_listen")]
    pub(crate) public_cert: Option<PathBuf>,

    /// Private key of --public-cert, PEM.
    #[arg(long, env = "HADES_PUBLIC_KEY", value_name = "FILE", requires = "public_cert")]
    pub(crate) public_key: Option<PathBuf>,

    /// A reverse proxy in front of --public-listen does the TLS, so plain HTTP may
    /// be served on an address that others reach.
    #[arg(long, requires = "public_listen", conflicts_with = "public_cert")]
    pub(crate) behind_proxy: bool,
}

/// Checks a URL that others are given; without the slash at its end.
fn public_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if host.is_empty() || text.contains(['?', '#', '@', ' ']) {
        return Err("write https://HOST[:PORT][/PATH]".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Cli, public_url};

    #[test]
    fn the_flags_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn public_urls() {
        assert_eq!(public_url("https://h.example.com/").unwrap(), "https://h.example.com");
        assert_eq!(public_url("https://example.com:8443/h").unwrap(), "https://example.com:8443/h");
        for bad in
            ["h.example.com", "https://", "https:///x", "ftp://x", "https://u@h", "https://h?x"]
        {
            assert!(public_url(bad).is_err(), "{bad}");
        }
    }
}
