//! `hadesctl set env`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use hades_client::object::Owner;
use hades_client::ownership::is_secretive;
use hades_client::secret::KeyChange;
use serde_json::{Map, Value, json};

use super::assignment::{self, Assignments};
use super::kept_secret::KeptSecret;
use crate::change::{self, OverrideFlags};
use crate::command::{render, secret};
use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::proposal::{self, ProposalFlags};
use crate::rollout::{self, WaitFlags};
use crate::service::Service;

const AFTER_HELP: &str = "\
Examples:
  hadesctl set env shop/production/api LOG_LEVEL=debug
  hadesctl set env shop/production/api LOG_LEVEL-
  hadesctl set env shop/production/api --secret --from-env-file .env.secret
  hadesctl set env shop/production/api LOG_LEVEL=debug --commit
  hadesctl set env shop/production/api              lists them";

/// Change environment variables of a service, or list them
///
/// What differs is shown first, and asked about where it comes from a file. Values
/// that come from Secrets are never shown.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT/SERVICE
    #[arg(value_name = "SERVICE")]
    address: String,

    /// NAME=VALUE to set, NAME- to remove; none to list
    #[arg(value_name = "NAME=VALUE")]
    assignments: Vec<String>,

    /// Set all variables of a file of NAME=VALUE lines; - for standard input
    #[arg(long, value_name = "FILE", alias = "from-file")]
    from_env_file: Vec<PathBuf>,

    /// Put the values into a Secret of the project and refer to it; ENVIRONMENT-SERVICE, or the
    /// one of that name
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    secret: Option<Option<String>>,

    /// Don't ask
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    proposing: ProposalFlags,

    #[command(flatten)]
    overriding: OverrideFlags,

    #[command(flatten)]
    waiting: WaitFlags,
}

/// Changes or lists variables.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let address = context.address(&arguments.address).await?;
    let mut assignments = Assignments::new();
    for path in &arguments.from_env_file {
        assignments.extend(assignment::of_file(&path.display().to_string(), &secret::text(path)?)?);
    }
    assignments.extend(assignment::of_words(&arguments.assignments)?);
    let service = Service::find(context, address).await?;
    if assignments.is_empty() {
        return list(context, &service).await;
    }
    let typed = arguments.assignments.iter().any(|word| word.contains('='));
    if typed && arguments.secret.is_some() {
        context.terminal.warn(
            "what is typed as NAME=VALUE stays in the shell's history, and lists of processes show \
             it: pass --from-env-file",
        );
    }
    let removed = removals(context, &service, &mut assignments)?;
    let secret = arguments.secret.as_ref().map(|name| {
        let default = || format!("{}-{}", service.address.environment, service.name);
        name.clone().unwrap_or_else(default)
    });
    let wanted = Wanted {
        env: fields(&assignments, secret.as_deref()),
        removed,
        kept: kept(context, &service, secret.as_deref(), &assignments, arguments).await?,
        secret,
    };
    if let names @ [_, ..] = in_the_clear(&wanted.env).as_slice() {
        let names = names.join(", ");
        if arguments.proposing.is_wanted() && !arguments.yes {
            return Err(Error::usage(
                format!("{names} would be in git for everybody to read, now and later"),
                "pass --secret to put it into a Secret, or --yes where it is none",
            ));
        }
        context.terminal.warn(&format!(
            "everybody who reads the environment sees {names}: pass --secret for what is secret",
        ));
    }
    let changed = match arguments.proposing.is_wanted() {
        true => propose(context, &service, &wanted, arguments).await?,
        false => write(context, &service, &wanted, arguments).await?,
    };
    if changed && arguments.waiting.wait {
        let timeout = arguments.waiting.timeout;
        rollout::request_and_follow(context, &service.address, timeout).await?;
    }
    Ok(())
}

/// What is to become of the variables.
struct Wanted {
    /// As the patch has it.
    env: Map<String, Value>,
    removed: Vec<String>,
    /// Name of the Secret that the values go to.
    secret: Option<String>,
    kept: Option<KeptSecret>,
}

impl Wanted {
    /// The variables that are set.
    fn set(&self) -> Vec<&str> {
        let set = self.env.iter().filter(|(_, value)| !value.is_null());
        set.map(|(name, _)| name.as_str()).collect()
    }
}

/// Looks at the Secret that values are put into, if they are and there are any.
async fn kept(
    context: &Context,
    service: &Service,
    secret: Option<&str>,
    assignments: &Assignments,
    arguments: &Arguments,
) -> Result<Option<KeptSecret>, Error> {
    let Some(name) = secret.filter(|_| assignments.values().any(Option::is_some)) else {
        return Ok(None);
    };
    let project = service.address.project.as_str();
    let flags = &arguments.overriding;
    Ok(Some(KeptSecret::look(context, project, name, assignments, flags).await?))
}

/// Makes the change on the server. Whether the environment is worth waiting for.
async fn write(
    context: &Context,
    service: &Service,
    wanted: &Wanted,
    arguments: &Arguments,
) -> Result<bool, Error> {
    let patch = service.patch(json!({"env": wanted.env}));
    let (target, before) = (&service.target, &service.environment);
    // The Secret may be git's while the Environment is nobody's: then the override is
    // for it alone.
    let none = OverrideFlags::default();
    let is_for_kept = wanted.kept.as_ref().is_some_and(KeptSecret::is_owned);
    let flags = match Owner::of(before).is_none() && is_for_kept {
        true => &none,
        false => &arguments.overriding,
    };
    let change = change::plan(context, target, before, &patch, flags).map_err(proposal::offered)?;
    let is_kept_changed = wanted.kept.as_ref().is_some_and(KeptSecret::is_changed);
    if change.is_none() && !is_kept_changed {
        context.terminal.line(&format!("{service} has these variables already"))?;
        return Ok(true);
    }
    if !agreed(context, service, wanted, arguments)? {
        return Ok(false);
    }
    // The Secret first: what refers to it must not come before it.
    if let Some(kept) = &wanted.kept {
        kept.write(context, &arguments.overriding).await?;
    }
    if let Some(change) = change {
        change.write(context).await?;
    }
    let done = summary(&wanted.set(), &wanted.removed, wanted.secret.as_deref());
    context.terminal.line(&format!("{service}: {done}"))?;
    Ok(true)
}

/// Makes the change in the repository that owns the environment.
async fn propose(
    context: &Context,
    service: &Service,
    wanted: &Wanted,
    arguments: &Arguments,
) -> Result<bool, Error> {
    if !agreed(context, service, wanted, arguments)? {
        return Ok(false);
    }
    let patch = service.patch(json!({"env": wanted.env}));
    let done = summary(&wanted.set(), &wanted.removed, wanted.secret.as_deref());
    let subject = format!("{}: {done}", service.address);
    let (target, before) = (&service.target, &service.environment);
    let flags = &arguments.proposing;
    // Before the Secret changes: what can't be proposed changes nothing.
    let prepared = proposal::prepare(context, target, before, &patch, flags, &subject).await?;
    let kept = wanted.kept.as_ref().filter(|kept| kept.is_changed());
    if kept.is_some() && prepared.is_so_already() {
        let flag = if flags.patch { "--patch" } else { "--commit" };
        return Err(Error::usage(
            "the manifest says so already, only the value is another",
            format!("leave {flag} away to set the value now"),
        ));
    }
    match kept {
        // A patch is only shown, so nothing is stored for it either.
        Some(_) if flags.patch => context.terminal.note(
            "the values are stored nowhere yet: set them with `hadesctl secret set`, or pass \
             --commit",
        ),
        Some(kept) => kept.write(context, &arguments.overriding).await?,
        None => {}
    }
    let published = prepared.publish(context);
    if published.is_err() && kept.is_some() && flags.commit {
        context.terminal.note("the values are in the Secret already, only the commit is missing");
    }
    published?;
    // Nothing is otherwise before somebody merges it.
    Ok(false)
}

/// Shows what differs. What comes from a file is asked about: not all of it was meant
/// by whoever types the command.
fn agreed(
    context: &Context,
    service: &Service,
    wanted: &Wanted,
    arguments: &Arguments,
) -> Result<bool, Error> {
    let mut text = format!("{service}:");
    for (name, after) in &wanted.env {
        let before = service.own("env").and_then(|env| env.get(name));
        let inherited = service.inherited("env").and_then(|env| env.get(name));
        let kept = wanted.kept.as_ref().and_then(|kept| kept.difference.get(name));
        let after = Some(after).filter(|after| !after.is_null());
        if let Some(line) = difference(name, before.or(inherited), after, kept.copied()) {
            text.push_str(&format!("\n  {line}"));
        }
    }
    context.terminal.note(&text);
    let asks = !arguments.from_env_file.is_empty() && !arguments.yes && context.terminal.can_ask();
    if asks && !context.terminal.confirm("Change it?")? {
        context.terminal.note("nothing was changed");
        return Ok(false);
    }
    Ok(true)
}

/// A variable that differs, for people.
fn difference(
    name: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    kept: Option<KeyChange>,
) -> Option<String> {
    // What goes into a Secret is one, also while it is in the clear.
    let is_moved = after.is_some_and(Value::is_object);
    let hidden = |value: &Value| match value.is_object() {
        false if is_moved || is_secretive(name, value) => "(hidden)".to_owned(),
        _ => shown(value),
    };
    let is_other_value = matches!(kept, Some(KeyChange::Changed | KeyChange::New));
    let line = match (before, after) {
        (None, None) => return None,
        (Some(before), None) => format!("{name}: {} (removed)", hidden(before)),
        (None, Some(after)) => format!("{name}: {} (new)", hidden(after)),
        (Some(before), Some(after)) if before != after => {
            format!("{name}: {} -> {}", hidden(before), hidden(after))
        }
        (Some(_), Some(after)) if is_other_value => {
            format!("{name}: {}, another value", hidden(after))
        }
        (Some(_), Some(_)) => return None,
    };
    Some(line)
}

fn in_the_clear(env: &Map<String, Value>) -> Vec<&str> {
    let is_secret = |(name, value): &(&String, &Value)| is_secretive(name, value);
    env.iter().filter(is_secret).map(|(name, _)| name.as_str()).collect()
}

/// The variables that can be removed here. Those that aren't there are told and
/// left out.
fn removals(
    context: &Context,
    service: &Service,
    assignments: &mut Assignments,
) -> Result<Vec<String>, Error> {
    let has = |env: Option<&Value>, name: &str| env.is_some_and(|env| env.get(name).is_some());
    let (own, inherited) = (service.own("env"), service.inherited("env"));
    let mut removed = vec![];
    let gone: Vec<String> =
        assignments.iter().filter(|(_, v)| v.is_none()).map(|(name, _)| name.clone()).collect();
    for name in gone {
        let template = service.template().unwrap_or_default();
        match (has(own, &name), has(inherited, &name)) {
            (true, in_template) => {
                if in_template {
                    context.terminal.warn(&format!(
                        "{name} is set by the template {template} too, which counts now"
                    ));
                }
                removed.push(name);
            }
            (false, true) => {
                return Err(Error::usage(
                    format!("{name} comes from the template {template}, so it can't go here alone"),
                    format!(
                        "remove it there (`hadesctl edit envt {}/{template}`), or set it to \
                         another value here",
                        service.address.project
                    ),
                ));
            }
            (false, false) => {
                context.terminal.warn(&format!("{name} isn't set by {service}"));
                assignments.remove(&name);
            }
        }
    }
    Ok(removed)
}

/// What the patch says of the variables.
fn fields(assignments: &Assignments, secret: Option<&str>) -> Map<String, Value> {
    let field = |(name, value): (&String, &Option<String>)| {
        let value = match (value, secret) {
            (None, _) => Value::Null,
            (Some(_), Some(secret)) => json!({"secretKeyRef": {"name": secret, "key": name}}),
            (Some(value), None) => json!(value),
        };
        (name.clone(), value)
    };
    assignments.iter().map(field).collect()
}

fn summary(set: &[&str], removed: &[String], secret: Option<&str>) -> String {
    let names = |names: Vec<&str>| names.join(", ");
    let mut parts = vec![];
    if !set.is_empty() {
        let place = secret.map_or_else(String::new, |secret| format!(" in Secret {secret}"));
        parts.push(format!("set {}{place}", names(set.to_vec())));
    }
    if !removed.is_empty() {
        parts.push(format!("removed {}", names(removed.iter().map(String::as_str).collect())));
    }
    if parts.is_empty() { "nothing to do".to_owned() } else { parts.join("; ") }
}

/// Shows the variables that are written, those of Secrets by where they are from.
async fn list(context: &Context, service: &Service) -> Result<(), Error> {
    let project = &service.address.project;
    let of_project = render::project_of_server(context, project).await?;
    let of_project = serde_json::to_value(of_project.env);
    let of_project = of_project.map_err(|error| Error::Encode(Box::new(error)))?;
    let template = service.template().unwrap_or_default();
    // As they are merged, the one that wins first.
    let rows = rows(&[
        (service.own("env"), "the service".to_owned()),
        (service.inherited("env"), format!("the template {template}")),
        (service.environment.data.pointer("/spec/env"), "the environment".to_owned()),
        (service.shared_by_template("env"), format!("the template {template}, for all services")),
        (Some(&of_project), format!("the project {project}")),
    ]);
    if rows.is_empty() {
        context.terminal.note(&format!("{service} sets no variables"));
        return Ok(());
    }
    let mut table = vec![["NAME", "VALUE", "SET BY"].map(str::to_owned).to_vec()];
    table.extend(rows);
    context.terminal.print(&columns(&table, 0))
}

fn rows(layers: &[(Option<&Value>, String)]) -> Vec<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut rows = vec![];
    for (layer, by) in layers {
        for (name, value) in layer.and_then(Value::as_object).into_iter().flatten() {
            if seen.insert(name.clone()) {
                rows.push(vec![name.clone(), shown(value), by.clone()]);
            }
        }
    }
    rows.sort();
    rows
}

fn shown(value: &Value) -> String {
    match value.get("secretKeyRef") {
        Some(reference) => {
            let text = |key: &str| reference[key].as_str().unwrap_or_default().to_owned();
            format!("(key {} of Secret {})", text("key"), text("name"))
        }
        None => match value {
            Value::String(text) => text.replace('\n', "\\n"),
            other => other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_referred_to() {
        let assignments = Assignments::from([
            ("A".to_owned(), Some("s3cret".to_owned())),
            ("B".to_owned(), None),
        ]);
        let found = Value::Object(fields(&assignments, Some("production-api")));
        let expected =
            json!({"A": {"secretKeyRef": {"name": "production-api", "key": "A"}}, "B": null});
        assert_eq!(found, expected);
        assert_eq!(Value::Object(fields(&assignments, None)), json!({"A": "s3cret", "B": null}));
    }

    #[test]
    fn what_differs_is_told_without_a_secret() {
        let reference = json!({"secretKeyRef": {"name": "db", "key": "K"}});
        let told = |name, before: Option<&Value>, after: Option<&Value>, kept| {
            difference(name, before, after, kept).unwrap_or_default()
        };
        let (a, b) = (json!("a"), json!("b"));
        assert_eq!(told("K", Some(&a), Some(&b), None), "K: a -> b");
        assert_eq!(told("K", Some(&a), None, None), "K: a (removed)");
        assert_eq!(told("K", None, Some(&b), None), "K: b (new)");
        assert_eq!(told("K", Some(&a), Some(&a), None), "");
        assert_eq!(
            told("DB_PASSWORD", Some(&a), Some(&b), None),
            "DB_PASSWORD: (hidden) -> (hidden)"
        );
        let moved = told("K", Some(&a), Some(&reference), Some(KeyChange::New));
        assert_eq!(moved, "K: (hidden) -> (key K of Secret db)");
        let same = Some(KeyChange::Same);
        assert_eq!(told("K", Some(&reference), Some(&reference), same), "");
        let other = told("K", Some(&reference), Some(&reference), Some(KeyChange::Changed));
        assert_eq!(other, "K: (key K of Secret db), another value");
    }

    #[test]
    fn the_uppermost_layer_counts() {
        let own = json!({"A": 1, "S": {"secretKeyRef": {"name": "db", "key": "password"}}});
        let inherited = json!({"A": 2, "B": "b"});
        let shared = json!({"B": "c", "C": true});
        let layers = [
            (Some(&own), "the service".to_owned()),
            (Some(&inherited), "the template base".to_owned()),
            (None, "nobody".to_owned()),
            (Some(&shared), "the environment".to_owned()),
        ];
        let rows = rows(&layers);
        insta::assert_snapshot!(columns(&rows, 0));
    }
}
