//! A module per command: its arguments and what it does.

pub mod apply;
pub mod audit;
pub mod auth;
pub mod completion;
pub mod delete;
pub mod describe;
pub mod diff;
pub mod edit;
pub mod events;
pub mod exec;
pub mod get;
pub mod grant;
pub mod host;
pub mod init;
pub mod login;
pub mod logout;
pub mod logs;
pub mod members;
pub mod passwd;
pub mod ps;
pub mod render;
pub mod restart;
pub mod scale;
pub mod secret;
pub mod session;
pub mod set;
pub mod stop;
pub mod suspend;
pub mod sync;
pub mod token;
pub mod top;
pub mod totp;
pub mod use_;
pub mod user;
pub mod version;
pub mod volume;
pub mod wait;
pub mod webhook;
pub mod who_can;
pub mod whoami;

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
        Command::Secret(arguments) => return secret::run(context, &arguments).await,
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
        Command::Login(arguments) => login::run(context, &arguments).await,
        Command::Logout(arguments) => logout::run(context, &arguments).await,
        Command::Whoami(arguments) => whoami::run(context, &arguments).await,
        Command::User(arguments) => user::run(context, &arguments).await,
        Command::Passwd(arguments) => passwd::run(context, &arguments).await,
        Command::Totp(arguments) => totp::run(context, &arguments).await,
        Command::Token(arguments) => token::run(context, &arguments).await,
        Command::Session(arguments) => session::run(context, &arguments).await,
        Command::Grant(arguments) => grant::grant(context, &arguments).await,
        Command::Revoke(arguments) => grant::revoke(context, &arguments).await,
        Command::Members(arguments) => members::run(context, &arguments).await,
        Command::Auth(arguments) => return auth::run(context, &arguments).await,
        Command::WhoCan(arguments) => who_can::run(context, &arguments).await,
        Command::Audit(arguments) => audit::run(context, &arguments).await,
        Command::Init(arguments) => init::run(context, &arguments),
        Command::Completion(arguments) => completion::run(context, &arguments),
        Command::Version(arguments) => version::run(context, &arguments).await,
    }?;
    Ok(ExitCode::SUCCESS)
}
