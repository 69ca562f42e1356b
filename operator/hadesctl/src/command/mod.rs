//! A module per command: its arguments and what it does.

pub mod apply;
pub mod completion;
pub mod delete;
pub mod describe;
pub mod diff;
pub mod edit;
pub mod events;
pub mod exec;
pub mod get;
pub mod host;
pub mod init;
pub mod logs;
pub mod ps;
pub mod render;
pub mod restart;
pub mod scale;
pub mod set;
pub mod stop;
pub mod suspend;
pub mod sync;
pub mod top;
pub mod use_;
pub mod version;
pub mod volume;
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
        Command::Stop(arguments) => stop::run(context, &arguments, true).await,
        Command::Start(arguments) => stop::run(context, &arguments, false).await,
        Command::Scale(arguments) => scale::run(context, &arguments).await,
        Command::Set(arguments) => set::run(context, &arguments).await,
        Command::Edit(arguments) => edit::run(context, &arguments).await,
        Command::Ps(arguments) => ps::run(context, &arguments).await,
        Command::Top(arguments) => top::run(context, &arguments).await,
        Command::Webhook(arguments) => webhook::run(context, &arguments).await,
        Command::Logs(arguments) => logs::run(context, &arguments).await,
        Command::Exec(arguments) => return exec::run(context, &arguments).await,
        Command::Use(arguments) => use_::run(context, &arguments).await,
        Command::Host(arguments) => host::run(context, &arguments).await,
        Command::Volume(arguments) => volume::run(context, &arguments).await,
        Command::Init(arguments) => init::run(context, &arguments),
        Command::Completion(arguments) => completion::run(context, &arguments),
        Command::Version(arguments) => version::run(context, &arguments).await,
    }?;
    Ok(ExitCode::SUCCESS)
}
