//! `hadesctl host`: the machines that services run on.

mod add;
mod list;
mod login;
mod prepare;
mod usage;

use clap::{Args, Subcommand};
use hades_api::{DockerHost, annotation};
use hades_client::object::{self, Owner};
use hades_client::{Session, catalog, host};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::change::{self, OverrideFlags};
use crate::context::Context;
use crate::error::Error;
use crate::target::{self, Target};

const AFTER_HELP: &str = "\
Examples:
  hadesctl host add root@203.0.113.7          prepare a machine and add it
  hadesctl host add deploy@web-2 --label disk=ssd -i ~/.ssh/studio
  hadesctl host ls                            hosts and what runs on them
  hadesctl host drain web-2                   place nothing new there
  hadesctl host rm web-2                      forget it; nothing on it is touched";

/// Add, test, drain and remove Docker hosts
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What to do with hosts.
#[derive(Debug, Subcommand)]
enum Command {
    /// Prepare a machine by SSH and add it; again, to give it a new key
    Add(add::Arguments),
    /// Show the hosts, what they have and what runs on them
    #[command(visible_alias = "list")]
    Ls,
    /// Have the server connect to a host now
    Test(Named),
    /// Place nothing new on a host; what runs there stays
    Drain(Draining),
    /// Let things be placed on a host again
    Undrain(Draining),
    /// Forget a host; nothing on it is touched
    #[command(visible_alias = "remove")]
    Rm(Removal),
}

/// One host.
#[derive(Debug, Args)]
struct Named {
    /// Name of the DockerHost
    name: String,
}

/// A host on which things are placed, or not.
#[derive(Debug, Args)]
struct Draining {
    /// Name of the DockerHost
    name: String,

    #[command(flatten)]
    overriding: OverrideFlags,
}

/// A host to be forgotten.
#[derive(Debug, Args)]
struct Removal {
    /// Name of the DockerHost
    name: String,

    /// Even though environments use it: they stall until they are told otherwise
    #[arg(long)]
    force: bool,
}

/// Does it.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Add(arguments) => add::run(context, arguments).await,
        Command::Ls => list::run(context).await,
        Command::Test(named) => test(context, &named.name).await,
        Command::Drain(arguments) => drain(context, arguments, true).await,
        Command::Undrain(arguments) => drain(context, arguments, false).await,
        Command::Rm(removal) => remove(context, removal).await,
    }
}

fn hosts(session: &Session) -> Api<DockerHost> {
    Api::all(session.client().clone())
}

/// The host of that name, or an error that names those that there are.
async fn find(session: &Session, name: &str) -> Result<DockerHost, Error> {
    let api = hosts(session);
    let found = api.get_opt(name).await.map_err(|error| session.error(error))?;
    if let Some(found) = found {
        return Ok(found);
    }
    let all = api.list(&Default::default()).await.map_err(|error| session.error(error))?;
    let known: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
    let hint = match known.is_empty() {
        true => "there is none yet: `hadesctl host add USER@ADDRESS` adds one".to_owned(),
        false => format!("there are: {}", known.join(", ")),
    };
    Err(Error::NotFound { what: format!("there is no DockerHost {name:?}"), hint })
}

/// Refuses to touch a host that a repository owns; `instead` says what to do there.
fn check_not_owned(host: &DockerHost, instead: &str) -> Result<(), Error> {
    let Some(owner) = Owner::of_labels(host.labels()) else { return Ok(()) };
    let file = host.annotations().get(annotation::CONFIG_FILE);
    let place = file.map_or_else(String::new, |file| format!(" ({file})"));
    Err(Error::Incomplete {
        message: format!("DockerHost {} belongs to the repository {owner}", host.name_any()),
        hint: Some(format!("{instead} there{place}")),
    })
}

async fn test(context: &Context, name: &str) -> Result<(), Error> {
    let session = context.session().await?;
    let host = find(session, name).await?;
    let found = host::test(session, name).await?;
    let Some(info) = found.info else {
        return Err(Error::Incomplete {
            message: format!(
                "{name} does not answer: {}",
                found.message.as_deref().unwrap_or("no reason given")
            ),
            hint: found.reason.map(|reason| format!("{reason} is explained in docs/hosts.md")),
        });
    };
    let took = found.round_trip.map_or_else(String::new, |took| format!(" within {took} ms"));
    context.terminal.line(&format!("{name} ({}) answers{took}", host.spec.endpoint))?;
    context.terminal.line(&format!("  {}", described(&info)))
}

/// `Docker 26.1.5, 8 processors, 31.2 GiB of memory`.
fn described(info: &host::HostInfo) -> String {
    let host::HostInfo { version, cpus, memory } = info;
    format!("Docker {version}, {cpus} processors, {} of memory", size(*memory))
}

/// Bytes for people.
fn size(bytes: i64) -> String {
    const GIB: f64 = (1_u64 << 30) as f64;
    format!("{:.1} GiB", bytes as f64 / GIB)
}

async fn drain(context: &Context, arguments: &Draining, unschedulable: bool) -> Result<(), Error> {
    let Draining { name, overriding } = arguments;
    let session = context.session().await?;
    let host = find(session, name).await?;
    let was = !host.spec.is_schedulable();
    // Absent rather than false: then nobody owns the field.
    let value = if unschedulable { Value::Bool(true) } else { Value::Null };
    if was != unschedulable || overriding.override_until.is_some() {
        let target = Target { kind: catalog::docker_host(), namespace: None, name: name.clone() };
        let before = object::get(session, &target.kind, None, name).await?;
        let Some(before) = before else { return Err(target::not_found(session, &target).await) };
        let patch = json!({"spec": {"unschedulable": value}});
        change::merge(context, &target, &before, &patch, overriding).await?;
    }
    if !unschedulable {
        return context.terminal.line(&format!("{name}: things are placed there again"));
    }
    context.terminal.line(&format!("{name}: nothing new is placed there"))?;
    let environments = usage::environments(session).await?;
    let users = usage::users(&environments, name);
    if users.is_empty() {
        return context.terminal.line("nothing runs there; `hadesctl host rm` forgets it");
    }
    context.terminal.line("still there:")?;
    for user in users {
        context.terminal.line(&format!("  {user}"))?;
    }
    Ok(())
}

async fn remove(context: &Context, removal: &Removal) -> Result<(), Error> {
    let Removal { name, force } = removal;
    let session = context.session().await?;
    let host = find(session, name).await?;
    check_not_owned(&host, "remove its manifest")?;
    let environments = usage::environments(session).await?;
    let users = usage::users(&environments, name);
    if !users.is_empty() && !force {
        let users: Vec<String> = users.iter().map(ToString::to_string).collect();
        return Err(Error::Incomplete {
            message: format!("{name} is in use: {}", users.join("; ")),
            hint: Some(
                "move or delete these environments first, or use --force: they then stall until \
                 their host is changed, and what they have on it stays there"
                    .to_owned(),
            ),
        });
    }
    hosts(session)
        .delete(name, &DeleteParams::default())
        .await
        .map_err(|error| session.error(error))?;
    if let Some(line) = add::forget_key(session, &host).await? {
        context.terminal.note(&format!(
            "its key was deleted here; this line may go from ~/.ssh/authorized_keys there: …{line}"
        ));
    }
    context.terminal.line(&format!("{name} is forgotten; nothing on it was touched"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_in_words() {
        let info = host::HostInfo { version: "26.1.5".to_owned(), cpus: 8, memory: 33_500_000_000 };
        assert_eq!(described(&info), "Docker 26.1.5, 8 processors, 31.2 GiB of memory");
    }
}
