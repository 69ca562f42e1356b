//! Flags of the server.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    Serve(ServeFlags),
    /// Look after the store while the server is stopped.
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Print the version.
    Version,
}

/// What to do with a store that no server has open.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Look through the whole store for anything that should not be.
    ///
    /// Checks every page and every row: that it can be read and, where it is
    /// encrypted, opened with the key of the data directory; that it is a JSON
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
    Verify(StoreFlags),
    /// Make the file of the store as small as it can be.
    ///
    /// A server that runs gives room back by itself, after much was deleted and
    /// while nobody writes; this does the rest, in the file as it is. A server
    /// must not have it open.
    Compact(StoreFlags),
}

/// Flags of `hades store`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreFlags {
    /// Folder of the store.
    #[arg(long, env = "HADES_DATA_DIR", default_value = "/var/lib/hades", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
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
    #[arg(long, value_name = "NAME")]
    pub(crate) tls_san: Vec<String>,

    /// Socket of the Docker engine that the DockerHost `local` is made for at
    /// the first start, if something answers there.
    #[arg(long, default_value = "/var/run/docker.sock", value_name = "PATH")]
    pub(crate) docker_socket: PathBuf,

    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
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

    use super::Cli;

    #[test]
    fn the_flags_are_sound() {
        Cli::command().debug_assert();
    }
}
