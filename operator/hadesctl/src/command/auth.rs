//! `hadesctl auth`: what one may do.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use hades_client::rights;
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::output;
use crate::right;

/// Ask what you may do
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask whether you may do something; the exit status is 0 for yes and 1 for no
    CanI(Question),
}

/// What to ask.
#[derive(Debug, Args)]
struct Question {
    /// Such as get, list, create, update, patch, delete, impersonate
    verb: String,

    /// KIND, or KIND/NAME for one object
    #[arg(value_name = "KIND[/NAME]")]
    what: String,

    /// A part of it: logs, exec, plan, status …
    #[arg(long, value_name = "PART")]
    subresource: Option<String>,

    /// Print nothing
    #[arg(short, long, conflicts_with = "output")]
    quiet: bool,

    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Text,
    Yaml,
    Json,
}

/// Asks.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Error> {
    let Command::CanI(question) = &arguments.command;
    let Question { verb, what, subresource, quiet, output: form } = question;
    let right = right::read(context, verb, what, subresource.as_deref()).await?;
    let judgement = rights::can_i(context.session().await?, &right).await?;
    let value = json!({"allowed": judgement.allowed, "reason": judgement.reason});
    match form {
        _ if *quiet => {}
        Output::Text => {
            context.terminal.line(if judgement.allowed { "yes" } else { "no" })?;
            if !judgement.reason.is_empty() {
                context.terminal.note(&judgement.reason);
            }
        }
        Output::Json => context.terminal.print(&output::json(&value)?)?,
        Output::Yaml => context.terminal.print(&output::yaml(&value)?)?,
    }
    Ok(ExitCode::from(u8::from(!judgement.allowed)))
}
