//! `hadesctl delete`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hades_client::Session;
use hades_client::object::{self, Owner};
use hades_client::wait::{Goal, until};
use kube::api::DynamicObject;

use crate::age::parse_duration;
use crate::command::apply;
use crate::command::wait::progress;
use crate::context::Context;
use crate::error::Error;
use crate::manifest::{self, Project};
use crate::target::{self, Search, Target};

/// Delete objects
///
/// An environment takes its containers and networks with it. Volumes stay unless
/// their deletionPolicy is Delete. A project takes everything in it with it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT, KIND NAME… or KIND/[PROJECT/]NAME
    #[arg(value_name = "TARGET", required_unless_present = "files", conflicts_with = "files")]
    targets: Vec<String>,

    /// Delete what these manifests describe: files, folders, or - for standard input
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Don't ask
    #[arg(short, long)]
    yes: bool,

    /// Wait until they are gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    wait: bool,

    /// How long to wait at most, for each
    #[arg(long, value_parser = parse_duration, default_value = "5m")]
    timeout: Duration,

    /// It is no error when they aren't there
    #[arg(long)]
    ignore_not_found: bool,
}

/// Deletes.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let targets = match arguments.files.as_slice() {
        [] => target::targets(context, &arguments.targets, Search::OneProject).await?,
        files => of_files(context, files).await?,
    };
    if targets.is_empty() {
        return Err(Error::usage(
            "nothing says which ones to delete",
            "write KIND NAME, KIND/NAME or PROJECT/ENVIRONMENT",
        ));
    }
    let session = context.session().await?;
    let mut found = vec![];
    for target in targets {
        let Target { kind, namespace, name } = &target;
        match object::get(session, kind, namespace.as_deref(), name).await? {
            Some(object) => found.push((target, object)),
            // A folder may describe what was never applied.
            None if arguments.ignore_not_found || !arguments.files.is_empty() => {
                context.terminal.note(&format!("{target} isn't there"));
            }
            None => return Err(target::not_found(session, &target).await),
        }
    }
    if found.is_empty() || !agreed(context, arguments, &found)? {
        return Ok(());
    }
    for (target, object) in &found {
        let Target { kind, namespace, name } = target;
        let uid = object.metadata.uid.as_deref();
        object::delete(session, kind, namespace.as_deref(), name, uid).await?;
        if !arguments.wait {
            context.terminal.line(&format!("{}/{name} deletion requested", kind.qualified()))?;
        }
    }
    if arguments.wait {
        wait_gone(context, session, arguments.timeout, &found).await?;
    }
    Ok(())
}

/// What manifests describe, last first: what was made last goes first.
async fn of_files(context: &Context, files: &[PathBuf]) -> Result<Vec<Target>, Error> {
    let fallback = context.project().await?;
    let project = Project { flag: context.project_flag(), fallback: fallback.as_deref() };
    let mut documents = manifest::load(files, project)?;
    apply::sort(&mut documents);
    documents.reverse();
    let kinds = apply::kinds(context, &documents).await?;
    let target = |(document, kind): (_, hades_client::Kind)| {
        let document: hades_source::manifest::Document = document;
        Target {
            namespace: document.namespace.filter(|_| kind.namespaced),
            kind,
            name: document.name,
        }
    };
    Ok(documents.into_iter().zip(kinds).map(target).collect())
}

fn agreed(
    context: &Context,
    arguments: &Arguments,
    found: &[(Target, DynamicObject)],
) -> Result<bool, Error> {
    for (target, object) in found {
        if let Some(owner) = Owner::of(object) {
            context.terminal.warn(&format!(
                "{target} comes from the repository {owner}, whose next sync makes it again: \
                 remove its manifest there"
            ));
        }
    }
    if arguments.yes || !context.terminal.can_ask() {
        return Ok(true);
    }
    let names: Vec<String> = found.iter().map(|(target, _)| target.to_string()).collect();
    let agreed = context.terminal.confirm(&format!("Delete {}?", names.join(", ")))?;
    if !agreed {
        context.terminal.note("nothing was deleted");
    }
    Ok(agreed)
}

async fn wait_gone(
    context: &Context,
    session: &Session,
    timeout: Duration,
    found: &[(Target, DynamicObject)],
) -> Result<(), Error> {
    for (target, _) in found {
        until(session, target.subject(), &Goal::Deleted, timeout, progress(context, target))
            .await?;
        context.terminal.line(&format!("{}/{} deleted", target.kind.qualified(), target.name))?;
    }
    Ok(())
}
