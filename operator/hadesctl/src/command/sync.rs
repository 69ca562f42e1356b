//! `hadesctl sync`.

use std::time::Duration;

use clap::Args;
use hades_client::nearest::suggestion;
use hades_client::{Address, Session, catalog, object, request, wait};
use serde_json::Value;

use crate::command::wait::progress;
use crate::context::Context;
use crate::error::Error;
use crate::rollout::{self, WaitFlags};
use crate::target::{self, Search, Target};

/// Have Hades look now: fetch a repository, check an environment
///
/// What failed before is tried again.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A config repository ([PROJECT/]NAME) or PROJECT/ENVIRONMENT; all config repositories
    /// when left out
    target: Option<String>,

    #[command(flatten)]
    waiting: WaitFlags,

    /// Agree to the prune that the repository waits with
    #[arg(long, requires = "target")]
    confirm_prune: bool,
}

/// Asks for passes.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    let targets = match &arguments.target {
        Some(word) => vec![find(context, session, word).await?],
        None => all(context, session).await?,
    };
    let mut requests = vec![];
    for target in targets {
        let Target { kind, namespace, name } = &target;
        let namespace = namespace.as_deref();
        let commit = match arguments.confirm_prune {
            true => Some(commit_to_confirm(session, &target).await?),
            false => None,
        };
        let asked =
            request::sync(session, kind, namespace, name, commit.as_deref(), context.now()).await;
        let asked = match asked {
            Ok(asked) => asked,
            Err(error) => return Err(target::explain(session, &target, error).await),
        };
        if !arguments.waiting.wait {
            let agreed = commit.map_or_else(String::new, |commit| {
                format!(", the prune of commit {} is agreed to", short(&commit))
            });
            context.terminal.line(&format!("{target}: sync requested{agreed}"))?;
        }
        requests.push((target, asked));
    }
    if !arguments.waiting.wait {
        return Ok(());
    }
    follow(context, session, requests, arguments.waiting.timeout).await
}

/// Follows all that was asked for to its end. What fails is told, and the others
/// are followed all the same.
async fn follow(
    context: &Context,
    session: &Session,
    requests: Vec<(Target, String)>,
    timeout: Duration,
) -> Result<(), Error> {
    let mut failures = Failures { context, first: None, told: false };
    for (target, asked) in requests {
        failures.tell();
        let goal = wait::Goal::HandledAndReady(asked);
        if target.kind == catalog::environment() {
            let project = target.namespace.as_deref().unwrap_or_default();
            let address = Address::environment(project, &target.name);
            failures.note(rollout::follow(context, &address, &goal, timeout).await)?;
            continue;
        }
        let tell = progress(context, &target);
        match wait::until(session, target.subject(), &goal, timeout, tell).await {
            Ok(()) => context.terminal.line(&format!("{target} is in sync"))?,
            Err(error) => {
                failures.note(Err(error.into()))?;
                continue;
            }
        }
        let addresses = match written(session, &target).await {
            Ok(addresses) => addresses,
            Err(error) => {
                failures.note(Err(error))?;
                continue;
            }
        };
        for address in addresses {
            failures.tell();
            // Asked for a pass, it tells when that ends in a stall.
            failures.note(rollout::request_and_follow(context, &address, timeout).await)?;
        }
    }
    failures.first.map_or(Ok(()), Err)
}

/// What failed of several.
struct Failures<'a> {
    context: &'a Context,
    /// How the command ends.
    first: Option<Error>,
    told: bool,
}

impl Failures<'_> {
    /// Tells the first failure before others are waited for.
    fn tell(&mut self) {
        if let Some(first) = self.first.as_ref().filter(|_| !self.told) {
            self.context.terminal.note(&format!("{first}; going on with the others"));
            self.told = true;
        }
    }

    /// Keeps the first failure, and tells those after it at once.
    ///
    /// # Errors
    /// When there is nobody left to tell.
    fn note(&mut self, outcome: Result<(), Error>) -> Result<(), Error> {
        match outcome {
            Ok(()) => {}
            Err(error @ Error::Output(_)) => return Err(error),
            Err(error) if self.first.is_some() => {
                self.context.terminal.flush()?;
                self.context.terminal.report(&error);
            }
            Err(error) => self.first = Some(error),
        }
        Ok(())
    }
}

/// The environments that a repository has written.
async fn written(session: &Session, repository: &Target) -> Result<Vec<Address>, Error> {
    let Target { kind, namespace, name } = repository;
    let found = object::get(session, kind, namespace.as_deref(), name).await?;
    let inventory = found.as_ref().and_then(|found| found.data.pointer("/status/inventory"));
    let entries = inventory.and_then(Value::as_array).into_iter().flatten();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    Ok(entries
        .filter(|entry| entry["kind"] == "Environment")
        .map(|entry| Address::environment(text(entry, "namespace"), text(entry, "name")))
        .collect())
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// The commit whose prune waits for a person.
async fn commit_to_confirm(session: &Session, target: &Target) -> Result<String, Error> {
    if target.kind != catalog::config_repository() {
        return Err(Error::usage(
            format!("--confirm-prune is for config repositories, and this is {target}"),
            "name the repository: see `hadesctl get cr -A`",
        ));
    }
    let Target { kind, namespace, name } = target;
    let found = object::get(session, kind, namespace.as_deref(), name).await?;
    let Some(found) = found else {
        return Err(target::not_found(session, target).await);
    };
    let commit = found.data.pointer("/status/observedCommit").and_then(Value::as_str);
    commit.map(str::to_owned).ok_or_else(|| Error::Incomplete {
        message: format!("{target} has seen no commit yet, so there is no prune to agree to"),
        hint: Some(format!("look at it by `hadesctl describe cr {name}`")),
    })
}

async fn all(context: &Context, session: &Session) -> Result<Vec<Target>, Error> {
    let kind = catalog::config_repository();
    let project = context.project().await?;
    let names = object::names(session, &kind, project.as_deref()).await?;
    if names.is_empty() {
        context.terminal.note("there are no config repositories");
    }
    let target = |(namespace, name)| Target { kind: kind.clone(), namespace, name };
    Ok(names.into_iter().map(target).collect())
}

/// A config repository or an environment, whichever has the name.
async fn find(context: &Context, session: &Session, word: &str) -> Result<Target, Error> {
    let repository = catalog::config_repository();
    let Some((head, tail)) = word.split_once('/') else {
        return target::named(context, &repository, word, Search::AllProjects).await;
    };
    if hades_client::Catalog::built_in().kind(head).is_some() {
        let target = target::slashed(context, word, Search::AllProjects).await?;
        let kinds = [repository, catalog::environment()];
        return if kinds.contains(&target.kind) {
            Ok(target)
        } else {
            Err(Error::usage(
                format!("{target} is nothing to sync"),
                "write a config repository or PROJECT/ENVIRONMENT",
            ))
        };
    }
    let environment = target::slashed(context, word, Search::AllProjects).await?;
    for target in [
        environment.clone(),
        Target {
            kind: repository.clone(),
            namespace: Some(head.to_owned()),
            name: tail.to_owned(),
        },
    ] {
        let Target { kind, namespace, name } = &target;
        if object::get(session, kind, namespace.as_deref(), name).await?.is_some() {
            return Ok(target);
        }
    }
    if let Some(error) = target::project_not_found(session, head).await {
        return Err(error);
    }
    let mut known = vec![];
    for kind in [&environment.kind, &repository] {
        known.extend(object::names(session, kind, Some(head)).await?.into_iter().map(|(_, n)| n));
    }
    Err(Error::NotFound {
        what: format!("project {head} has neither an environment nor a config repository {tail:?}"),
        hint: suggestion(tail, &format!("of both there are in project {head}"), &known),
    })
}
