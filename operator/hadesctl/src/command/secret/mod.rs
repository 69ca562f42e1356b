//! `hadesctl secret`: values that go in and don't come out.

mod reveal;

use std::process::ExitCode;

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
    /// Show a value, where the project allows it and you have the right
    Reveal(reveal::Arguments),
}

/// Carries it out.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Error> {
    match &arguments.command {
        Command::Reveal(arguments) => reveal::run(context, arguments).await,
    }?;
    Ok(ExitCode::SUCCESS)
}
