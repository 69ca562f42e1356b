//! `hadesctl secret`.

mod seal;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::error::Error;

/// Work with Secrets
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Encrypt Secrets, so that they can be committed to git
    Seal(seal::Arguments),
}

/// Does it.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Seal(arguments) => seal::run(context, arguments).await,
    }
}
