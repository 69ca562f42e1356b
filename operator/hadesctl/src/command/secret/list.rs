//! `hadesctl secret list`.

use clap::{Args, ValueEnum};
use hades_client::catalog;
use hades_client::object::{self, Selection};
use hades_client::secret::{OPAQUE, Shown};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde::Serialize;

use super::usage::{Usage, User};
use crate::age::age;
use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::output;
use crate::target;

/// As much of a fingerprint as tells values apart.
const SHORT: usize = 8;

/// Show Secrets: their keys, fingerprints and users
///
/// Two fingerprints of a key are the same when its value is. They say nothing of the
/// value, and differ between keys and Secrets.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Those of all projects
    #[arg(short = 'A', long, conflicts_with = "project")]
    all_projects: bool,

    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Table,
    Yaml,
    Json,
    Name,
}

/// A Secret as it is listed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    project: String,
    name: String,
    #[serde(rename = "type")]
    secret_type: String,
    keys: Vec<Key>,
    created: Option<Timestamp>,
    used_by: Vec<User>,
    /// For people.
    #[serde(skip)]
    users: String,
}

/// A key of a Secret.
#[derive(Debug, Serialize)]
struct Key {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

/// Lists.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    let project = match arguments.all_projects {
        true => None,
        false => project(context).await?,
    };
    let selection = Selection::of_project(project.as_deref());
    let found = object::list(session, &catalog::secret(), &selection).await?;
    if found.is_empty()
        && let Some(project) = &project
        && let Some(error) = target::project_not_found(session, project).await
    {
        return Err(error);
    }
    if arguments.output == Output::Name {
        let name = |secret: &DynamicObject| {
            format!("{}/{}", secret.namespace().unwrap_or_default(), secret.name_any())
        };
        return found.iter().try_for_each(|secret| context.terminal.line(&name(secret)));
    }
    let usage = match found.is_empty() {
        true => Usage::default(),
        false => Usage::read(context, project.as_deref()).await?,
    };
    let entries: Vec<Entry> = found.iter().map(|secret| entry(secret, &usage)).collect();
    match arguments.output {
        Output::Json => context.terminal.print(&output::json(&entries)?),
        Output::Yaml => context.terminal.print(&output::yaml(&entries)?),
        Output::Table | Output::Name if entries.is_empty() => {
            context.terminal.note("no secrets found");
            Ok(())
        }
        Output::Table | Output::Name => {
            let text = table(&entries, project.is_none(), context.now());
            context.terminal.print(&text)
        }
    }
}

/// The project of the command line, of what `hadesctl use` keeps, or of the kubeconfig.
async fn project(context: &Context) -> Result<Option<String>, Error> {
    if let Some(project) = context.project_flag() {
        return Ok(Some(project.to_owned()));
    }
    match context.default_address().and_then(|kept| kept.read()) {
        Some(kept) => Ok(Some(kept.project)),
        None => context.project().await,
    }
}

fn entry(secret: &DynamicObject, usage: &Usage) -> Entry {
    let (project, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
    let shown = Shown::of(Some(secret));
    let key = |key: &String| Key { key: key.clone(), fingerprint: shown.fingerprint(key) };
    Entry {
        keys: shown.keys().map(key).collect(),
        secret_type: secret.data["type"].as_str().unwrap_or(OPAQUE).to_owned(),
        created: secret.creation_timestamp().map(|time| time.0),
        used_by: usage.of(&project, &name).cloned().collect(),
        users: usage.text(&project, &name),
        project,
        name,
    }
}

/// A line for each key; what is of the whole Secret is on the first.
fn table(entries: &[Entry], wide: bool, now: Timestamp) -> String {
    let heads = ["PROJECT", "NAME", "TYPE", "KEY", "FINGERPRINT", "AGE", "USED BY"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for entry in entries {
        let age = entry.created.map(|time| age(time, now)).unwrap_or_default();
        let key = |key: Option<&Key>| {
            let fingerprint = key.and_then(|key| key.fingerprint.as_deref()).unwrap_or_default();
            let short = fingerprint.get(..SHORT).unwrap_or(fingerprint).to_owned();
            [key.map(|key| key.key.clone()).unwrap_or_default(), short]
        };
        let [first, fingerprint] = key(entry.keys.first());
        let (project, name) = (entry.project.clone(), entry.name.clone());
        let (kind, users) = (entry.secret_type.clone(), entry.users.clone());
        rows.push(vec![project, name, kind, first, fingerprint, age, users]);
        for more in entry.keys.iter().skip(1) {
            let [name, fingerprint] = key(Some(more));
            let none = String::new;
            rows.push(vec![none(), none(), none(), name, fingerprint, none(), none()]);
        }
    }
    if !wide {
        for row in &mut rows {
            row.remove(0);
        }
    }
    columns(&rows, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_columns() {
        let key = |key: &str, fingerprint: Option<&str>| Key {
            key: key.to_owned(),
            fingerprint: fingerprint.map(str::to_owned),
        };
        let entry = |name: &str, keys: Vec<Key>, users: &str| Entry {
            project: "shop".to_owned(),
            name: name.to_owned(),
            secret_type: OPAQUE.to_owned(),
            keys,
            created: "2025-12-31T00:00:00Z".parse().ok(),
            used_by: vec![],
            users: users.to_owned(),
        };
        let keys = vec![key("password", Some("0123456789abcdef")), key("user", Some("00ff00ff00"))];
        let entries = [
            entry("mail", keys, "production: api, worker; staging: api"),
            entry("empty", vec![], ""),
            entry("of-kubernetes", vec![key("a", None)], ""),
        ];
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        insta::assert_snapshot!(table(&entries, true, now));
        insta::assert_snapshot!(table(&entries[..1], false, now));
    }
}
