//! Which fields of a container differ.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::RestartPolicy;

use super::scope::Found;
use crate::action::{Change, Reason};
use crate::desired::{ContainerSpec, DesiredContainer, EnvVar, Mount};
use crate::reference;
use crate::setting;

/// Characters of an image's digest that are shown.
const DIGEST_SHOWN: usize = 12;

/// Why `old` isn't what is desired.
pub(super) fn reason(old: &Found<'_>, desired: &DesiredContainer) -> Reason {
    let mut changes = Vec::new();
    if old.host != desired.host {
        changes.push(change("host", Some(old.host.to_owned()), Some(desired.host.clone())));
    }
    match old.spec() {
        Some(spec) => {
            if let Some(at) = restart_alone(&spec, &desired.spec).filter(|_| changes.is_empty()) {
                return Reason::RestartRequested { at };
            }
            changes.extend(between(&spec, &desired.spec));
            if desired.by_policy {
                name_policy(&mut changes);
            }
        }
        None => {
            let image = (&old.container.image, &desired.spec.image);
            if image.0 != image.1 {
                changes.push(change("image", Some(image.0.clone()), Some(image.1.clone())));
            }
        }
    }
    if changes.is_empty() && old.spec_hash() == Some(&desired.spec_hash) {
        return Reason::Detached;
    }
    Reason::SpecChanged { changes }
}

/// Says of another image that a policy led to it: `image policy: 1.2.3 → 1.2.4`.
fn name_policy(changes: &mut [Change]) {
    let version = |image: &String| {
        let digest = reference::digest(image).map(|digest| {
            let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
            hex.chars().take(DIGEST_SHOWN).collect::<String>()
        });
        let tag = reference::tag(image).unwrap_or("latest");
        digest.map_or_else(|| tag.to_owned(), |digest| format!("{tag}@{digest}"))
    };
    for change in changes.iter_mut().filter(|change| change.field == "image") {
        let repository = |image: &Option<String>| {
            image.as_deref().map(|image| reference::repository(image).to_owned())
        };
        if repository(&change.from) == repository(&change.to) {
            change.field = "image policy".to_owned();
            change.from = change.from.as_ref().map(version);
            change.to = change.to.as_ref().map(version);
        }
    }
}

/// When a restart was asked for, if that is all that differs.
fn restart_alone(old: &ContainerSpec, new: &ContainerSpec) -> Option<String> {
    let at = new.restarted_at.clone()?;
    let same = ContainerSpec { restarted_at: Some(at.clone()), ..old.clone() };
    // The pull policy isn't recorded, as it changes nothing that runs.
    let same = ContainerSpec { image_pull_policy: new.image_pull_policy, ..same };
    (same == *new && old.restarted_at != new.restarted_at).then_some(at)
}

fn between(old: &ContainerSpec, new: &ContainerSpec) -> Vec<Change> {
    let mut changes: Vec<Change> = fields(old)
        .into_iter()
        .zip(fields(new))
        .filter(|((_, from), (_, to))| from != to)
        .map(|((field, from), (_, to))| change(field, from, to))
        .collect();
    changes.extend(maps("", &setting::of(old), &setting::of(new), String::clone));
    changes.extend(maps("env.", &old.env, &new.env, variable));
    changes.extend(maps("labels.", &old.labels, &new.labels, String::clone));
    changes
}

/// The fields that aren't maps, in words. Taken apart whole, so that a new
/// field can't be forgotten.
fn fields(spec: &ContainerSpec) -> Vec<(&'static str, Option<String>)> {
    let ContainerSpec {
        image,
        image_pull_policy: _,
        command,
        entrypoint,
        user,
        working_dir,
        env: _,
        ports,
        mounts,
        labels: _,
        aliases,
        restart,
        stop_signal,
        stop_grace_seconds,
        init,
        limits: _, // with the six below: see setting
        confinement: _,
        lookup: _,
        tmpfs: _,
        files: _,
        logging: _,
        health_check: _,
        restarted_at,
    } = spec;
    vec![
        ("image", Some(image.clone())),
        ("command", command.as_ref().map(|command| format!("{command:?}"))),
        ("entrypoint", entrypoint.as_ref().map(|entrypoint| format!("{entrypoint:?}"))),
        ("user", user.clone()),
        ("workingDir", working_dir.clone()),
        ("ports", joined(ports)),
        ("volumes", joined(&mounts.iter().map(mount).collect::<Vec<_>>())),
        ("aliases", joined(aliases)),
        ("restart", Some(restart_policy(*restart).to_owned())),
        ("stopSignal", stop_signal.clone()),
        ("stopGracePeriod", stop_grace_seconds.map(|seconds| format!("{seconds}s"))),
        ("init", init.map(|init| init.to_string())),
        ("restartedAt", restarted_at.clone()),
    ]
}

fn joined<T: ToString>(list: &[T]) -> Option<String> {
    let words: Vec<String> = list.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn mount(mount: &Mount) -> String {
    let mode = if mount.read_only { ":ro" } else { "" };
    format!("{}:{}{mode}", mount.source, mount.path)
}

fn restart_policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Always => "always",
        RestartPolicy::UnlessStopped => "unless-stopped",
        RestartPolicy::OnFailure => "on-failure",
        RestartPolicy::No => "no",
    }
}

fn variable(value: &EnvVar) -> String {
    match value {
        EnvVar::Plain(text) => text.clone(),
        EnvVar::Secret { fingerprint, .. } => setting::fingerprint(fingerprint),
    }
}

fn maps<V: PartialEq>(
    prefix: &str,
    old: &BTreeMap<String, V>,
    new: &BTreeMap<String, V>,
    shown: impl Fn(&V) -> String,
) -> Vec<Change> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| {
            change(&format!("{prefix}{key}"), old.get(key).map(&shown), new.get(key).map(&shown))
        })
        .collect()
}

fn change(field: &str, from: Option<String>, to: Option<String>) -> Change {
    Change { field: field.to_owned(), from, to }
}
