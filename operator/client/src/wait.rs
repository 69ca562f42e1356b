//! Waiting until an object is as wanted, after the rules of kstatus.

use std::time::Duration;

use futures::TryStreamExt;
use hades_api::condition::{READY, RECONCILING, STALLED};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::Value;

use crate::{Error, Kind, Session};

/// A watch is opened anew after this long (seconds), so that a connection that
/// died without a word is noticed.
const WATCH_SECONDS: u32 = 30;
/// How long to rest before trying a server again that doesn't answer.
const RETRY: Duration = Duration::from_millis(500);

/// What to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Ready, for the newest spec.
    Ready,
    /// Ready, and the request of that value was seen
    /// (`status.lastHandledReconcileAt`).
    HandledAndReady(String),
    /// Gone.
    Deleted,
    /// A condition has a status.
    Condition {
        /// Its type, in any case.
        type_: String,
        /// `True`, `False` or `Unknown`, in any case.
        status: String,
    },
}

/// How an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// As described.
    Ready,
    /// On its way.
    Progressing(String),
    /// No progress until somebody changes something.
    Stalled(String),
    /// Being deleted.
    Terminating(String),
    /// Not there.
    Missing,
}

impl Standing {
    /// In words.
    pub fn message(&self) -> &str {
        match self {
            Self::Ready => "ready",
            Self::Progressing(why) | Self::Stalled(why) | Self::Terminating(why) => why,
            Self::Missing => "it isn't there",
        }
    }
}

/// How an object stands. `has_status` says whether its kind is one that a
/// controller reports on; the others are ready as soon as they are there.
pub fn standing(object: &DynamicObject, has_status: bool) -> Standing {
    if object.metadata.deletion_timestamp.is_some() {
        let finalizers = object.metadata.finalizers.clone().unwrap_or_default();
        return Standing::Terminating(if finalizers.is_empty() {
            "being deleted".to_owned()
        } else {
            format!("being deleted, {} isn't done yet", finalizers.join(", "))
        });
    }
    let conditions = conditions(object);
    let observed = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
    if let (Some(observed), Some(generation)) = (observed, object.metadata.generation)
        && observed < generation
    {
        return Standing::Progressing("the newest change wasn't looked at yet".to_owned());
    }
    let holds = |type_: &str| conditions.iter().find(|c| c.type_ == type_ && c.status == "True");
    if let Some(stalled) = holds(STALLED) {
        return Standing::Stalled(words(stalled));
    }
    if let Some(reconciling) = holds(RECONCILING) {
        return Standing::Progressing(with_ready(object, words(reconciling)));
    }
    match conditions.iter().find(|condition| condition.type_ == READY) {
        Some(ready) if ready.status == "True" => Standing::Ready,
        Some(ready) => Standing::Progressing(with_ready(object, words(ready))),
        None if has_status => Standing::Progressing("Hades hasn't looked at it yet".to_owned()),
        None => Standing::Ready,
    }
}

/// The conditions of an object; those that can't be read are left out.
pub fn conditions(object: &DynamicObject) -> Vec<Condition> {
    let Some(list) = object.data.pointer("/status/conditions").and_then(Value::as_array) else {
        return vec![];
    };
    list.iter().filter_map(|value| serde_json::from_value(value.clone()).ok()).collect()
}

fn words(condition: &Condition) -> String {
    match (condition.reason.as_str(), condition.message.as_str()) {
        ("", "") => format!("{} is {}", condition.type_, condition.status),
        (reason, "") => reason.to_owned(),
        ("", message) => message.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// Environments count their containers.
fn with_ready(object: &DynamicObject, why: String) -> String {
    match object.data.pointer("/status/ready").and_then(Value::as_str) {
        Some(ready) => format!("{ready} containers ready, {why}"),
        None => why,
    }
}

/// Whether the goal is reached, and if it isn't, why.
fn reached(goal: &Goal, object: Option<&DynamicObject>, has_status: bool) -> Result<(), Standing> {
    let Some(object) = object else {
        return if *goal == Goal::Deleted { Ok(()) } else { Err(Standing::Missing) };
    };
    let now = standing(object, has_status);
    match goal {
        Goal::Deleted => Err(match now {
            Standing::Terminating(_) => now,
            _ => Standing::Progressing("it is there, and nobody has deleted it".to_owned()),
        }),
        Goal::Ready if now == Standing::Ready => Ok(()),
        Goal::Ready => Err(now),
        Goal::HandledAndReady(request) => {
            let handled = object.data.pointer("/status/lastHandledReconcileAt");
            if handled.and_then(Value::as_str) != Some(request) {
                return Err(Standing::Progressing("Hades hasn't seen the request yet".to_owned()));
            }
            if now == Standing::Ready { Ok(()) } else { Err(now) }
        }
        Goal::Condition { type_, status } => {
            let found = conditions(object)
                .into_iter()
                .find(|condition| condition.type_.eq_ignore_ascii_case(type_));
            match found {
                Some(condition) if condition.status.eq_ignore_ascii_case(status) => Ok(()),
                Some(condition) => Err(Standing::Progressing(format!(
                    "{} is {}: {}",
                    condition.type_,
                    condition.status,
                    words(&condition)
                ))),
                None => Err(Standing::Progressing(format!("it has no condition {type_}"))),
            }
        }
    }
}

/// Which object.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its kind.
    pub kind: &'a Kind,
    /// Its project.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
}

impl Subject<'_> {
    fn selector(&self) -> String {
        format!("metadata.name={}", self.name)
    }
}

impl std::fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.filter(|_| self.kind.namespaced) {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind.singular, self.name),
            None => write!(f, "{} {}", self.kind.singular, self.name),
        }
    }
}

/// Waits until the goal is reached. `on_standing` hears how things stand at
/// the beginning and whenever that changes.
///
/// A server that goes away meanwhile is waited for as well.
///
/// # Errors
/// [`Error::TimedOut`] after `timeout`, with how things stood at the end;
/// [`Error::Stalled`] at once when a request was handled and led to a stall; an
/// error of the first call at once.
pub async fn until(
    session: &Session,
    subject: Subject<'_>,
    goal: &Goal,
    timeout: Duration,
    mut on_standing: impl FnMut(&Standing),
) -> Result<(), Error> {
    let mut told: Option<Standing> = None;
    until_seen(session, subject, goal, timeout, |_, standing| {
        if let Some(standing) = standing
            && told.as_ref() != Some(standing)
        {
            on_standing(standing);
            told = Some(standing.clone());
        }
    })
    .await
}

/// As [`until`], for those who want to see the object itself: `on_look` gets it at
/// every look (none when it isn't there), with how it stands while the goal is not
/// reached.
///
/// # Errors
/// As [`until`].
pub async fn until_seen(
    session: &Session,
    subject: Subject<'_>,
    goal: &Goal,
    timeout: Duration,
    mut on_look: impl FnMut(Option<&DynamicObject>, Option<&Standing>),
) -> Result<(), Error> {
    let mut last: Option<Standing> = None;
    let mut tell = |object: Option<&DynamicObject>, standing: Option<&Standing>| {
        on_look(object, standing);
        if let Some(standing) = standing {
            last = Some(standing.clone());
        }
    };
    // One look is taken however short the time is: without it there is nothing to tell.
    let outcome = match look(session, subject, goal, &mut tell).await? {
        Look::Reached => return Ok(()),
        Look::NotYet { .. } => {
            tokio::time::timeout(timeout, follow(session, subject, goal, &mut tell)).await
        }
    };
    match outcome {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::TimedOut {
            what: format!("{subject} {}", goal.missed()),
            after: timeout,
            state: last.map_or_else(
                || "the server didn't answer".to_owned(),
                |standing| standing.message().to_owned(),
            ),
        }),
    }
}

impl Goal {
    fn missed(&self) -> String {
        match self {
            Self::Ready | Self::HandledAndReady(_) => "is not ready".to_owned(),
            Self::Deleted => "is still there".to_owned(),
            Self::Condition { type_, status } => format!("has no condition {type_}={status}"),
        }
    }
}

async fn follow(
    session: &Session,
    subject: Subject<'_>,
    goal: &Goal,
    tell: &mut impl FnMut(Option<&DynamicObject>, Option<&Standing>),
) -> Result<(), Error> {
    loop {
        match watch_once(session, subject, goal, tell).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if is_passing(&error) => tokio::time::sleep(RETRY).await,
            Err(error) => return Err(error),
        }
    }
}

/// What one look showed.
enum Look {
    Reached,
    NotYet {
        /// Version of the list, to watch from.
        version: String,
    },
}

/// Looks once.
async fn look(
    session: &Session,
    subject: Subject<'_>,
    goal: &Goal,
    tell: &mut impl FnMut(Option<&DynamicObject>, Option<&Standing>),
) -> Result<Look, Error> {
    // A list rather than a get: it tells from which version to watch even when
    // the object isn't there.
    let list = session
        .api(subject.kind, subject.namespace)
        .list(&ListParams::default().fields(&subject.selector()))
        .await
        .map_err(|error| session.error(error))?;
    if judge(subject, goal, list.items.first(), tell)? {
        return Ok(Look::Reached);
    }
    let version = list.metadata.resource_version.unwrap_or_else(|| "0".to_owned());
    Ok(Look::NotYet { version })
}

/// Whether the goal is reached; if not, how things stand is told.
fn judge(
    subject: Subject<'_>,
    goal: &Goal,
    object: Option<&DynamicObject>,
    tell: &mut impl FnMut(Option<&DynamicObject>, Option<&Standing>),
) -> Result<bool, Error> {
    match (reached(goal, object, subject.kind.has_status), goal) {
        (Ok(()), _) => {
            tell(object, None);
            Ok(true)
        }
        // The request was handled, and this is what came of it.
        (Err(Standing::Stalled(why)), Goal::HandledAndReady(_)) => {
            tell(object, Some(&Standing::Stalled(why.clone())));
            Err(Error::Stalled { what: subject.to_string(), why })
        }
        (Err(standing), _) => {
            tell(object, Some(&standing));
            Ok(false)
        }
    }
}

/// Looks, then watches until the goal is reached or the watch ends.
async fn watch_once(
    session: &Session,
    subject: Subject<'_>,
    goal: &Goal,
    tell: &mut impl FnMut(Option<&DynamicObject>, Option<&Standing>),
) -> Result<bool, Error> {
    let version = match look(session, subject, goal, tell).await? {
        Look::Reached => return Ok(true),
        Look::NotYet { version } => version,
    };
    let api = session.api(subject.kind, subject.namespace);
    let parameters = WatchParams::default().fields(&subject.selector()).timeout(WATCH_SECONDS);
    let events = api.watch(&parameters, &version).await.map_err(|error| session.error(error))?;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.try_next().await.map_err(|error| session.error(error))? {
        let done = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                judge(subject, goal, Some(&object), tell)?
            }
            WatchEvent::Deleted(_) => judge(subject, goal, None, tell)?,
            WatchEvent::Bookmark(_) => false,
            WatchEvent::Error(status) => return Err(session.error(kube::Error::Api(status))),
        };
        if done {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a later try may go better: the server restarts, or forgot the past.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Api(status) => matches!(status.code, 410 | 429 | 500..=599),
        other => other.is_connection(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn with_conditions(conditions: &[(&str, &str, &str)]) -> DynamicObject {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(type_, status, reason)| {
                json!({"type": type_, "status": status, "reason": reason, "message": "m",
                       "lastTransitionTime": "2026-01-01T00:00:00Z"})
            })
            .collect();
        object(json!({
            "metadata": {"name": "a", "generation": 2},
            "status": {"observedGeneration": 2, "ready": "1/2", "conditions": conditions},
        }))
    }

    #[test]
    fn kstatus() {
        let standing = |conditions: &[_]| standing(&with_conditions(conditions), true);
        assert_eq!(standing(&[("Ready", "True", "Reconciled")]), Standing::Ready);
        assert_eq!(
            standing(&[("Ready", "False", "Progressing")]),
            Standing::Progressing("1/2 containers ready, Progressing: m".into())
        );
        assert_eq!(
            standing(&[("Ready", "True", "Reconciled"), ("Reconciling", "True", "Progressing")]),
            Standing::Progressing("1/2 containers ready, Progressing: m".into())
        );
        assert_eq!(
            standing(&[("Ready", "False", "HostNotFound"), ("Stalled", "True", "HostNotFound")]),
            Standing::Stalled("HostNotFound: m".into())
        );
        assert!(matches!(standing(&[]), Standing::Progressing(_)));
    }

    #[test]
    fn an_old_status_says_nothing_about_a_new_spec() {
        let mut stale = with_conditions(&[("Ready", "True", "Reconciled")]);
        stale.metadata.generation = Some(3);
        assert!(matches!(standing(&stale, true), Standing::Progressing(_)));
    }

    #[test]
    fn kinds_without_a_status_are_ready_when_they_are_there() {
        let plain = object(json!({"metadata": {"name": "a"}}));
        assert_eq!(standing(&plain, false), Standing::Ready);
        assert!(matches!(standing(&plain, true), Standing::Progressing(_)));
    }

    #[test]
    fn goals() {
        let ready = with_conditions(&[("Ready", "True", "Reconciled")]);
        assert!(reached(&Goal::Ready, Some(&ready), true).is_ok());
        assert_eq!(reached(&Goal::Ready, None, true), Err(Standing::Missing));
        assert!(reached(&Goal::Deleted, None, true).is_ok());
        assert!(reached(&Goal::Deleted, Some(&ready), true).is_err());
        let condition = |type_: &str, status: &str| Goal::Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
        };
        assert!(reached(&condition("ready", "true"), Some(&ready), true).is_ok());
        assert!(reached(&condition("Ready", "False"), Some(&ready), true).is_err());
        assert!(reached(&condition("Drifted", "True"), Some(&ready), true).is_err());
    }

    #[test]
    fn a_request_has_to_be_seen_before_ready_counts() {
        let goal = Goal::HandledAndReady("t1".to_owned());
        let mut ready = with_conditions(&[("Ready", "True", "Reconciled")]);
        assert!(reached(&goal, Some(&ready), true).is_err());
        ready.data["status"]["lastHandledReconcileAt"] = json!("t1");
        assert!(reached(&goal, Some(&ready), true).is_ok());
    }

    #[test]
    fn a_request_that_led_to_a_stall_is_not_waited_for() {
        let kind = crate::catalog::environment();
        let subject = Subject { kind: &kind, namespace: Some("shop"), name: "production" };
        let goal = Goal::HandledAndReady("t1".to_owned());
        let mut stalled = with_conditions(&[("Stalled", "True", "HostNotFound")]);
        // A stall of before the request says nothing.
        assert!(!judge(subject, &goal, Some(&stalled), &mut |_, _| {}).unwrap());
        stalled.data["status"]["lastHandledReconcileAt"] = json!("t1");
        let error = judge(subject, &goal, Some(&stalled), &mut |_, _| {}).unwrap_err();
        assert_eq!(error.to_string(), "environment shop/production is stalled: HostNotFound: m");
        // A plain wait goes on: somebody may be about to mend it.
        assert!(!judge(subject, &Goal::Ready, Some(&stalled), &mut |_, _| {}).unwrap());
    }
}
