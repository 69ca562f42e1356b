//! `hadesctl secret`: values that go in and don't come out.

mod delete;
mod diff;
mod list;
mod reveal;
mod seal;
mod set;
mod usage;
mod values;

use std::process::ExitCode;

pub use set::{put, refuse_owned};
pub use values::text;

use clap::{Args, Subcommand};
use hades_client::secret::KeyChange;
use hades_client::{catalog, object};
use kube::api::DynamicObject;

use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::target::{self, Search, Target};

const AFTER_HELP: &str = "\
Examples:
  hadesctl secret set shop/mail password            asks for it, without an echo
  hadesctl secret set shop/mail --from-env-file mail.env
  pass show shop/mail | hadesctl secret set shop/mail --from-stdin password
  hadesctl secret list -p shop                      keys, fingerprints, who uses them";

/// Set, list, compare, seal, reveal and delete Secrets
///
/// No command but `reveal` shows a value that was set: fingerprints tell which ones changed.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set and remove values; containers that use them are replaced
    Set(set::Arguments),
    /// Show Secrets: their keys, fingerprints and users
    #[command(visible_alias = "ls")]
    List(list::Arguments),
    /// Show which values `set` would change
    Diff(diff::Arguments),
    /// Encrypt Secrets, so that they can be committed to git
    Seal(seal::Arguments),
    /// Show a value, where the project allows it and you have the right
    Reveal(reveal::Arguments),
    /// Delete Secrets
    #[command(visible_alias = "rm")]
    Delete(delete::Arguments),
}

impl Arguments {
    /// Whether 1 as exit status says that there are changes.
    pub fn compares(&self) -> bool {
        matches!(self.command, Command::Diff(_))
    }
}

/// Carries it out.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Error> {
    match &arguments.command {
        Command::Set(arguments) => set::run(context, arguments).await,
        Command::List(arguments) => list::run(context, arguments).await,
        Command::Diff(arguments) => return diff::run(context, arguments).await,
        Command::Seal(arguments) => seal::run(context, arguments).await,
        Command::Reveal(arguments) => reveal::run(context, arguments).await,
        Command::Delete(arguments) => delete::run(context, arguments).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

/// A Secret out of `[PROJECT/]NAME`, and what is there under the name.
async fn find(context: &Context, word: &str) -> Result<(Target, Option<DynamicObject>), Error> {
    let target = target::named(context, &catalog::secret(), word, Search::OneProject).await?;
    let session = context.session().await?;
    let Target { kind, namespace, name } = &target;
    let found = object::get(session, kind, namespace.as_deref(), name).await?;
    Ok((target, found))
}

/// What is done to keys, a line each.
fn changes_text<'a>(changes: impl IntoIterator<Item = (&'a String, &'a KeyChange)>) -> String {
    let row = |(key, change): (&String, &KeyChange)| {
        let words = match change {
            KeyChange::New => "new",
            KeyChange::Changed => "another value",
            KeyChange::Same => "the same value",
            KeyChange::Removed => "removed",
        };
        vec![key.clone(), words.to_owned()]
    };
    let rows: Vec<Vec<String>> = changes.into_iter().map(row).collect();
    columns(&rows, 2)
}
