//! What git owns: whose an object is, what a hand edit of it would be as a
//! commit, and edits that go before git for a time.
//!
//! A command that changes an object asks [`Ownership::of`] first. When git owns
//! it, the command shows [`Ownership::as_commit`] and stops, unless it was told
//! until when to override: then it writes by [`override_until`].

use std::fmt::Write as _;

use hades_api::overriding::{self, Override};
use hades_api::{Duration, annotation};
use hades_plan::{holds_password, looks_secret};
use jiff::{SignedDuration, Timestamp};
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};

use crate::object::Owner;
use crate::{Error, Kind, Session, catalog, request};

/// The longest override. What should last longer belongs into git.
const LONGEST: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The longest text of a value that is shown whole.
const SHOWN_VALUE: usize = 120;

/// Whose an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// The repository.
    pub owner: Owner,
    /// File in the repository, when it is known.
    pub file: Option<String>,
    /// An override that is set already.
    pub overridden: Option<Override>,
}

impl Ownership {
    /// Of an object; none when no repository owns it.
    pub fn of(object: &DynamicObject, now: Timestamp) -> Option<Self> {
        let owner = Owner::of(object)?;
        let annotations = object.metadata.annotations.clone().unwrap_or_default();
        Some(Self {
            owner,
            file: annotations.get(annotation::CONFIG_FILE).cloned(),
            overridden: Override::of(&annotations, now),
        })
    }

    /// Until when a hand edit is safe from git, if it is.
    pub fn overridden_until(&self) -> Option<Timestamp> {
        match self.overridden {
            Some(Override::Active(until)) => Some(until),
            Some(Override::Ended(_) | Override::Unreadable) | None => None,
        }
    }

    /// The change as one to make in git, for people: the file and each field with
    /// its value before and after.
    pub fn as_commit(&self, changes: &[FieldChange]) -> String {
        let place = match &self.file {
            Some(file) => format!("in {file} of the repository {}", self.owner),
            None => format!("in the repository {}", self.owner),
        };
        let mut text = format!("commit this {place}:");
        for change in changes {
            let _ = write!(text, "\n  {change}");
        }
        text
    }
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// Path, such as `spec.services.api.replicas`.
    pub field: String,
    /// What it is; none when it isn't there.
    pub before: Option<Value>,
    /// What it shall be; none when it goes.
    pub after: Option<Value>,
}

/// `spec.services.api.replicas: 2 -> 3`.
impl std::fmt::Display for FieldChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                write!(f, "{}: {} -> {}", self.field, shown(before), shown(after))
            }
            (None, Some(after)) => write!(f, "{}: {} (new)", self.field, shown(after)),
            (_, None) => write!(f, "{}: (remove it)", self.field),
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_VALUE) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The fields in which two states of an object differ, as far as people write
/// them: not status, nor what the server keeps in the metadata. Values of Secrets
/// are left out, and so are those of variables that hold a secret, or that go into
/// one.
pub fn field_changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    /// What a secret value is shown as.
    const HIDDEN: &str = "(hidden)";
    let mut changes = Vec::new();
    collect("", &written(before), &written(after), &mut changes);
    let is_secret = [before, after].iter().any(|object| object["kind"] == "Secret");
    for change in &mut changes {
        let variable = variable(&change.field);
        let is_moved = change.after.as_ref().is_some_and(Value::is_object);
        let FieldChange { before, after, .. } = change;
        for value in [before, after].into_iter().flatten() {
            let is_hidden = |name| !value.is_object() && (is_moved || is_secretive(name, value));
            if is_secret || variable.is_some_and(is_hidden) {
                *value = json!(HIDDEN);
            }
        }
    }
    changes
}

/// Whether the value of a variable, as manifests have it, is one that nobody else may know.
pub fn is_secretive(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Object(_) => false,
        Value::String(text) if text.is_empty() => false,
        Value::String(text) => looks_secret(name) || holds_password(text),
        _ => looks_secret(name),
    }
}

/// The variable that a path leads to: `spec.services.api.env.A`, `spec.env["a.b"]`.
fn variable(path: &str) -> Option<&str> {
    let (_, name) = path.rsplit_once(".env.").or_else(|| path.rsplit_once(".env["))?;
    // Parts of a reference to a Secret are none of it.
    (!name.contains(".secretKeyRef")).then_some(name.trim_matches(['"', ']']))
}

/// The part of an object that people write.
fn written(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(fields) = object.as_object_mut() else { return object };
    fields.remove("status");
    let metadata = fields.remove("metadata").unwrap_or_default();
    let kept: Map<String, Value> = ["labels", "annotations", "finalizers"]
        .iter()
        .filter_map(|&key| Some((key.to_owned(), metadata.get(key)?.clone())))
        .collect();
    fields.insert("metadata".to_owned(), Value::Object(kept));
    object
}

fn collect(path: &str, before: &Value, after: &Value, changes: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    let empty = Map::new();
    let (Some(old), Some(new)) = (
        before.as_object().or(before.is_null().then_some(&empty)),
        after.as_object().or(after.is_null().then_some(&empty)),
    ) else {
        let present = |value: &Value| (!value.is_null()).then(|| value.clone());
        let (before, after) = (present(before), present(after));
        return changes.push(FieldChange { field: path.to_owned(), before, after });
    };
    if after.is_null() {
        let (before, after) = (Some(before.clone()), None);
        return changes.push(FieldChange { field: path.to_owned(), before, after });
    }
    for (key, value) in new {
        collect(&joined(path, key), old.get(key).unwrap_or(&Value::Null), value, changes);
    }
    for (key, value) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        collect(&joined(path, key), value, &Value::Null, changes);
    }
}

/// `a.b`, or `a["b/c"]` where the key would read as several.
fn joined(path: &str, key: &str) -> String {
    if key.contains(['.', '/']) {
        return format!("{path}[{key:?}]");
    }
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The end of an override that was given as a length of time (`2h`) or as an RFC
/// 3339 time; for a flag's value.
///
/// # Errors
/// A sentence for people: no time, not in the future, or too far away.
pub fn parse_until(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let until = match (text.parse::<Timestamp>(), Duration::parse(text)) {
        (Ok(until), _) => until,
        (_, Ok(duration)) => {
            let end = SignedDuration::try_from(duration.get()).ok();
            let end = end.and_then(|length| now.checked_add(length).ok());
            end.ok_or_else(|| format!("{text} is too long"))?
        }
        (Err(_), Err(_)) => {
            return Err(format!(
                "{text:?} is no time: write how long, like 2h or 45m, or until when, like \
                 2026-01-31T18:00:00Z"
            ));
        }
    };
    if until <= now {
        return Err(format!("{text} is not in the future"));
    }
    if until.duration_since(now) > LONGEST {
        return Err(format!(
            "{text} is more than 30 days away: what should last longer belongs into git"
        ));
    }
    // Whole seconds read better, and nobody means parts of them.
    Ok(Timestamp::from_second(until.as_second()).unwrap_or(until))
}

/// Changes an object that git owns by a merge patch, and keeps git from undoing it
/// until then. The fields of the patch go when the override ends, unless git has
/// them too.
///
/// # Errors
/// When the object isn't there, or the server refuses or doesn't answer.
pub async fn override_until(
    session: &Session,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
    patch: &Value,
    until: Timestamp,
) -> Result<DynamicObject, Error> {
    let patch = overriding_patch(patch, until);
    let parameters = PatchParams {
        field_manager: Some(overriding::MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let after = session
        .api(kind, namespace)
        .patch(name, &parameters, &Patch::Merge(&patch))
        .await
        .map_err(|error| session.error(error))?;
    tell_repository(session, &after).await?;
    Ok(after)
}

/// Ends an override now: the repository takes the object back.
///
/// # Errors
/// When the object isn't there, or the server refuses or doesn't answer.
pub async fn end_override(
    session: &Session,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
    now: Timestamp,
) -> Result<(), Error> {
    override_until(session, kind, namespace, name, &json!({}), now).await.map(|_| ())
}

fn overriding_patch(patch: &Value, until: Timestamp) -> Value {
    let mut patch = if patch.is_object() { patch.clone() } else { json!({}) };
    let until = json!(until.to_string());
    patch["metadata"]["annotations"][annotation::OVERRIDE_UNTIL] = until;
    patch
}

/// Asks the repository to look, so that it shows the override, or ends it, at once.
/// It would see by itself at its next full pass; whoever may not write to it, or
/// doesn't find it, has to wait for that.
async fn tell_repository(session: &Session, object: &DynamicObject) -> Result<(), Error> {
    let Some(owner) = Owner::of(object) else { return Ok(()) };
    let Some((namespace, name)) = owner.label.split_once('.') else { return Ok(()) };
    let kind = catalog::config_repository();
    let now = Timestamp::now();
    match request::sync(session, &kind, Some(namespace), name, None, now).await {
        Ok(_) | Err(Error::Api(_)) => Ok(()),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn whose_an_object_is() {
        let mine = object(json!({"metadata": {"name": "a"}}));
        assert_eq!(Ownership::of(&mine, now()), None);
        let gits = object(json!({"metadata": {
            "name": "a",
            "labels": {"hades.dev/config-repository": "hades-system.config"},
            "annotations": {
                "hades.dev/config-file": "shop/production.yaml",
                "hades.dev/override-until": "2026-01-01T02:00:00Z",
            },
        }}));
        let ownership = Ownership::of(&gits, now()).unwrap();
        assert_eq!(ownership.owner.to_string(), "hades-system/config");
        let until = "2026-01-01T02:00:00Z".parse().unwrap();
        assert_eq!(ownership.overridden_until(), Some(until));
        assert_eq!(Ownership::of(&gits, until).unwrap().overridden_until(), None);
    }

    #[test]
    fn a_change_reads_as_a_commit() {
        let before = json!({
            "kind": "Environment", "metadata": {"name": "a", "resourceVersion": "1"},
            "spec": {"services": {"api": {"replicas": 2, "env": {"A": "1", "B": "2"}}}},
            "status": {"x": 1},
        });
        let after = json!({
            "kind": "Environment",
            "metadata": {"name": "a", "resourceVersion": "2", "labels": {"a.b/c": "d"}},
            "spec": {"services": {"api": {"replicas": 3, "env": {"A": "1", "C": "x"}}}},
        });
        let ownership = Ownership {
            owner: Owner { label: "hades-system.config".to_owned() },
            file: Some("shop.yaml".to_owned()),
            overridden: None,
        };
        assert_eq!(
            ownership.as_commit(&field_changes(&before, &after)),
            "commit this in shop.yaml of the repository hades-system/config:\n  \
             metadata.labels[\"a.b/c\"]: \"d\" (new)\n  \
             spec.services.api.env.C: \"x\" (new)\n  \
             spec.services.api.env.B: (remove it)\n  \
             spec.services.api.replicas: 2 -> 3"
        );
        assert_eq!(field_changes(&before, &before), []);
        let mut held = before.clone();
        held["metadata"]["finalizers"] = json!(["x.dev/y"]);
        assert_eq!(field_changes(&before, &held)[0].field, "metadata.finalizers");
    }

    #[test]
    fn values_of_secrets_are_not_shown() {
        let secret = |value: &str| json!({"kind": "Secret", "stringData": {"token": value}});
        let changes = field_changes(&secret("old"), &secret("new"));
        assert_eq!(changes[0].to_string(), "stringData.token: \"(hidden)\" -> \"(hidden)\"");
    }

    #[test]
    fn secrets_in_variables_are_not_shown() {
        let environment = |env: Value| json!({"kind": "Environment", "spec": {"env": env, "services": {"env": {"env": env}}}});
        let reference = json!({"secretKeyRef": {"name": "db", "key": "K"}});
        let before = json!({"DB_PASSWORD": "hunter2", "MOVED": "hunter2", "A": "a", "SMTP_PASS": 1,
            "GONE_KEY": "hunter2", "NUMBER": 1});
        let after = json!({"DB_PASSWORD": "hunter3", "MOVED": reference, "A": "b", "SMTP_PASS": 2,
            "URL": "db://a:hunter2@b", "my.token": "hunter2", "API_KEY": reference, "NUMBER": 2});
        let changes = field_changes(&environment(before), &environment(after));
        let told: Vec<String> = changes.iter().map(FieldChange::to_string).collect();
        assert!(!told.concat().contains("hunter"), "{told:#?}");
        for part in ["spec", "spec.services.env"] {
            for line in [
                "env.DB_PASSWORD: \"(hidden)\" -> \"(hidden)\"",
                "env.MOVED: \"(hidden)\" -> {\"secretKeyRef\":{\"key\":\"K\",\"name\":\"db\"}}",
                "env.A: \"a\" -> \"b\"",
                "env.SMTP_PASS: \"(hidden)\" -> \"(hidden)\"",
                "env.NUMBER: 1 -> 2",
                "env.URL: \"(hidden)\" (new)",
                "env.API_KEY.secretKeyRef.name: \"db\" (new)",
                "env.GONE_KEY: (remove it)",
            ] {
                assert!(told.contains(&format!("{part}.{line}")), "{part}.{line}: {told:#?}");
            }
        }
    }

    #[test]
    fn an_override_has_an_end_that_is_not_far() {
        let parse = |text: &str| parse_until(text, now());
        assert_eq!(parse("2h").unwrap().to_string(), "2026-01-01T02:00:00Z");
        assert_eq!(parse("2026-01-01T01:00:00+00:30").unwrap().to_string(), "2026-01-01T00:30:00Z");
        assert!(parse("soon").unwrap_err().contains("like 2h or 45m"));
        assert!(parse("2025-12-31T00:00:00Z").unwrap_err().contains("not in the future"));
        assert!(parse("0s").unwrap_err().contains("not in the future"));
        assert!(parse("721h").unwrap_err().contains("belongs into git"));
    }

    #[test]
    fn the_annotation_joins_the_patch() {
        let patch = json!({"metadata": {"annotations": {"a": "b"}}, "spec": {"x": 1}});
        assert_eq!(
            overriding_patch(&patch, now()),
            json!({"metadata": {"annotations": {
                "a": "b", "hades.dev/override-until": "2026-01-01T00:00:00Z",
            }}, "spec": {"x": 1}})
        );
    }
}
