//! A module per command: its arguments and what it does.

pub mod apply;
pub mod completion;
pub mod delete;
pub mod describe;
pub mod diff;
pub mod events;
pub mod get;
pub mod init;
pub mod logs;
pub mod render;
pub mod restart;
pub mod suspend;
pub mod sync;
pub mod version;
pub mod wait;
pub mod webhook;

use std::process::ExitCode;

use crate::cli::Command;
use crate::context::Context;
use crate::error::Error;

/// Carries a command out.
pub async fn run(context: &Context, command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Get(arguments) => get::run(context, &arguments).await,
        Command::Describe(arguments) => describe::run(context, &arguments).await,
        Command::Apply(arguments) => apply::run(context, &arguments).await,
        Command::Diff(arguments) => return diff::run(context, &arguments).await,
        Command::Render(arguments) => render::run(context, &arguments).await,
        Command::Delete(arguments) => delete::run(context, &arguments).await,
        Command::Events(arguments) => events::run(context, &arguments).await,
        Command::Wait(arguments) => wait::run(context, &arguments).await,
        Command::Sync(arguments) => sync::run(context, &arguments).await,
        Command::Suspend(arguments) => suspend::run(context, &arguments, true).await,
        Command::Resume(arguments) => suspend::run(context, &arguments, false).await,
        Command::Restart(arguments) => restart::run(context, &arguments).await,
        Command::Webhook(arguments) => webhook::run(context, &arguments).await,
        Command::Logs(arguments) => logs::run(context, &arguments).await,
        Command::Init(arguments) => init::run(context, &arguments),
        Command::Completion(arguments) => completion::run(context, &arguments),
        Command::Version(arguments) => version::run(context, &arguments).await,
    }?;
    Ok(ExitCode::SUCCESS)
}
