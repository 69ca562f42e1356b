//! `hadesctl set env`.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use hades_client::object::{self, ApplyMode, Owner};
use hades_client::{Catalog, FIELD_MANAGER, Kind};
use serde_json::{Map, Value, json};

use super::assignment::{self, Assignments};
use crate::change::{self, Changed, OverrideFlags};
use crate::command::render;
use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::rollout::{self, WaitFlags};
use crate::service::Service;
use crate::target::Target;

const AFTER_HELP: &str = "\
Examples:
  hadesctl set env shop/production/api LOG_LEVEL=debug
  hadesctl set env shop/production/api LOG_LEVEL-
  hadesctl set env shop/production/api --secret --from-file .env.secret
  hadesctl set env shop/production/api              lists them";

/// Change environment variables of a service, or list them
///
/// Values that come from Secrets are never shown.
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
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,

    /// Put the values into a Secret of the project and refer to it; ENVIRONMENT-SERVICE, or the
    /// one of that name
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    secret: Option<Option<String>>,

    #[command(flatten)]
    overriding: OverrideFlags,

    #[command(flatten)]
    waiting: WaitFlags,
}

/// Changes or lists variables.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let address = context.address(&arguments.address).await?;
    let mut assignments = match &arguments.from_file {
        Some(path) => assignment::of_file(&path.display().to_string(), &read(path)?)?,
        None => Assignments::new(),
    };
    assignments.extend(assignment::of_words(&arguments.assignments)?);
    let service = Service::find(context, address).await?;
    if assignments.is_empty() {
        return list(context, &service).await;
    }
    let removed = removals(context, &service, &mut assignments)?;
    let secret = arguments.secret.as_ref().map(|name| {
        let default = || format!("{}-{}", service.address.environment, service.name);
        name.clone().unwrap_or_else(default)
    });
    let env = fields(&assignments, secret.as_deref());
    let patch = service.patch(json!({"env": env}));
    let (target, before) = (&service.target, &service.environment);
    let change = change::plan(context, target, before, &patch, &arguments.overriding)?;
    let set: Vec<&String> =
        assignments.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name).collect();
    // The Secret first: what refers to it must not come before it.
    let changed_secret = match &secret {
        Some(name) if !set.is_empty() => {
            keep_secret(context, &service, name, &assignments, &arguments.overriding).await?
        }
        _ => Changed::No,
    };
    let changed = match change {
        Some(change) => change.write(context).await?,
        None => Changed::No,
    };
    if (changed, changed_secret) == (Changed::No, Changed::No) {
        context.terminal.line(&format!("{service} has these variables already"))?;
    } else {
        context
            .terminal
            .line(&format!("{service}: {}", summary(&set, &removed, secret.as_deref())))?;
    }
    if arguments.waiting.wait {
        let timeout = arguments.waiting.timeout;
        rollout::request_and_follow(context, &service.address, timeout).await?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Error> {
    let fail = |source| Error::File { verb: "read", path: path.to_owned(), source };
    if path.as_os_str() != "-" {
        return std::fs::read_to_string(path).map_err(fail);
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).map_err(fail)?;
    Ok(text)
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

fn secret_kind() -> Option<Kind> {
    Catalog::built_in().kind("secret").cloned()
}

/// Writes values into a Secret of the project.
async fn keep_secret(
    context: &Context,
    service: &Service,
    name: &str,
    assignments: &Assignments,
    flags: &OverrideFlags,
) -> Result<Changed, Error> {
    let Some(kind) = secret_kind() else { return Ok(Changed::No) };
    let session = context.session().await?;
    let project = service.address.project.as_str();
    let values: Map<String, Value> = assignments
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), json!(value.as_ref()?))))
        .collect();
    let patch = json!({"stringData": values});
    let before = object::get(session, &kind, Some(project), name).await?;
    if let Some(before) = before {
        let namespace = Some(project.to_owned());
        let target = Target { kind, namespace, name: name.to_owned() };
        // The Environment may be git's while this Secret is nobody's: then there is
        // nothing to override here.
        let none = OverrideFlags::default();
        let flags = if Owner::of(&before).is_some() { flags } else { &none };
        return change::merge(context, &target, &before, &patch, flags).await;
    }
    let manifest = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": project}, "stringData": values,
    });
    let mode = ApplyMode { dry_run: false, force: false, manager: FIELD_MANAGER };
    object::apply(session, &kind, Some(project), &manifest, None, mode).await?;
    Ok(Changed::Yes)
}

fn summary(set: &[&String], removed: &[String], secret: Option<&str>) -> String {
    let names = |names: Vec<&str>| names.join(", ");
    let mut parts = vec![];
    if !set.is_empty() {
        let place = secret.map_or_else(String::new, |secret| format!(" in Secret {secret}"));
        parts.push(format!("set {}{place}", names(set.iter().map(|name| name.as_str()).collect())));
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
