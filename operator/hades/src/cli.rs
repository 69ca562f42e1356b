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
    /// Print the version.
    Version,
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
