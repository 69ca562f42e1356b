//! `hadesctl secret diff`.

use std::process::ExitCode;

use clap::Args;
use hades_client::secret::{self, KeyChange, OPAQUE, Shown};

use super::values::Sources;
use super::{changes_text, find};
use crate::context::Context;
use crate::error::Error;
use crate::target;

const AFTER_HELP: &str = "\
Exit status: 0 nothing would change; 1 something would; 2 it failed.";

/// Show which values `set` would change
///
/// The server compares; nothing is stored, and no value is shown.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// PROJECT/NAME
    #[arg(value_name = "SECRET")]
    name: String,

    #[command(flatten)]
    sources: Sources,
}

/// Compares.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Error> {
    if arguments.sources.is_empty() {
        return Err(Error::usage(
            "nothing says what to compare with",
            "pass what you would pass to `hadesctl secret set`",
        ));
    }
    let (target, before) = find(context, &arguments.name).await?;
    let session = context.session().await?;
    let namespace = target.namespace.as_deref().unwrap_or_default();
    if before.is_none()
        && let Some(missing) = target::project_not_found(session, namespace).await
    {
        return Err(missing);
    }
    let changes = arguments.sources.read(context, |_| Ok(()))?;
    let after = match &before {
        Some(_) => {
            secret::preview(session, namespace, &target.name, &secret::patch(&changes)).await
        }
        None => secret::create(session, namespace, &target.name, OPAQUE, &changes, true).await,
    };
    let after = match after {
        Ok(after) => after,
        Err(error) if error.is_not_found() => {
            let missing = target::project_not_found(session, namespace).await;
            return Err(missing.unwrap_or_else(|| error.into()));
        }
        Err(error) => return Err(error.into()),
    };
    let difference = Shown::of(before.as_ref()).difference(&Shown::of(Some(&after)));
    if before.is_none() {
        context.terminal.line(&format!("{target} isn't there yet"))?;
    }
    let compared = difference.iter().filter(|(key, _)| changes.contains_key(*key));
    context.terminal.print(&changes_text(compared))?;
    let changes = difference.values().any(|change| *change != KeyChange::Same);
    Ok(if changes { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
