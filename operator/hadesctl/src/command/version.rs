//! `hadesctl version`.

use clap::Args;
use hades_client::object;

use crate::context::Context;
use crate::error::Error;

/// Show the versions of client and server
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only the client's: talk to no server
    #[arg(long)]
    client: bool,
}

/// Prints both versions.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    context.terminal.line(&format!("Client: {}", env!("CARGO_PKG_VERSION")))?;
    if arguments.client {
        return Ok(());
    }
    let session = context.session().await?;
    let version = object::server_version(session).await?;
    context.terminal.line(&format!("Server: {version} at {}", session.server()))
}
