//! `hadesctl events`.

use std::collections::BTreeSet;
use std::pin::pin;

use clap::Args;
use futures::TryStreamExt;
use hades_client::object::{self, Selection};
use hades_client::{Session, catalog};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, DynamicObject, WatchEvent, WatchParams};

use crate::age::age;
use crate::context::Context;
use crate::error::Error;
use crate::layout::Columns;
use crate::target::{self, Search, Target};

/// Show what happened, newest last
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT or KIND/[PROJECT/]NAME; of everything when left out
    target: Option<String>,

    /// Of all projects
    #[arg(short = 'A', long, visible_alias = "all-namespaces", conflicts_with = "project")]
    all_projects: bool,

    /// Go on and show what happens
    #[arg(short, long)]
    watch: bool,
}

/// Shows events.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    let target = match &arguments.target {
        Some(word) => Some(target::slashed(context, word, Search::AllProjects).await?),
        None => None,
    };
    let project = match &target {
        Some(target) => target.namespace.clone(),
        None if arguments.all_projects => None,
        None => context.project().await?,
    };
    let selection = match &target {
        Some(target) => selection(target),
        None => Selection::of_project(project.as_deref()),
    };
    let events = list(session, &selection).await?;
    if events.is_empty() && !arguments.watch {
        return nothing(context, session, target.as_ref(), project.as_deref()).await;
    }
    let mut printer =
        Printer { columns: Columns::default(), projects: project.is_none() && target.is_none() };
    for line in printer.lines(&events, context.now(), true) {
        context.terminal.line(&line)?;
    }
    if !arguments.watch {
        return Ok(());
    }
    context.terminal.flush()?;
    follow(context, session, &selection, &events, &mut printer).await
}

async fn nothing(
    context: &Context,
    session: &Session,
    target: Option<&Target>,
    project: Option<&str>,
) -> Result<(), Error> {
    let what = match (target, project) {
        (Some(target), _) => {
            let Target { kind, namespace, name } = target;
            if object::get(session, kind, namespace.as_deref(), name).await?.is_none() {
                return Err(target::not_found(session, target).await);
            }
            format!(" of {target}")
        }
        (None, Some(project)) => {
            if let Some(error) = target::project_not_found(session, project).await {
                return Err(error);
            }
            format!(" in project {project}")
        }
        (None, None) => String::new(),
    };
    context.terminal.note(&format!("no events{what}"));
    Ok(())
}

/// Selects the events about an object.
fn selection(target: &Target) -> Selection {
    let kind = &target.kind.resource.kind;
    Selection {
        // Events of objects that are in no namespace are in `default`.
        namespace: Some(target.namespace.clone().unwrap_or_else(|| "default".to_owned())),
        labels: None,
        fields: Some(format!("involvedObject.kind={kind},involvedObject.name={}", target.name)),
    }
}

/// The events about an object, the newest last.
pub async fn of_target(session: &Session, target: &Target) -> Result<Vec<Event>, Error> {
    list(session, &selection(target)).await
}

async fn list(session: &Session, selection: &Selection) -> Result<Vec<Event>, Error> {
    let objects = object::list(session, &catalog::event(), selection).await?;
    let mut events: Vec<Event> = objects.into_iter().filter_map(typed).collect();
    events.sort_by_key(|event| (last_seen(event), event.metadata.name.clone()));
    Ok(events)
}

fn typed(object: DynamicObject) -> Option<Event> {
    object.try_parse().ok()
}

/// When it was last seen; of the several times that an event may have.
pub fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    series
        .map(|time| time.0)
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// How often and when: `5m`, or `5m (x12)`.
pub fn when(event: &Event, now: Timestamp) -> String {
    let age = last_seen(event).map_or_else(String::new, |time| age(time, now));
    let series = event.series.as_ref().and_then(|series| series.count);
    match series.or(event.count) {
        Some(count) if count > 1 => format!("{age} (x{count})"),
        _ => age,
    }
}

/// The message on one line: its first, and how many more there are.
pub fn message(event: &Event) -> String {
    let mut lines = event.message.as_deref().unwrap_or_default().trim().lines();
    let first = lines.next().unwrap_or_default();
    match lines.count() {
        0 => first.to_owned(),
        more => format!("{first} (and {more} more)"),
    }
}

struct Printer {
    columns: Columns,
    projects: bool,
}

impl Printer {
    fn lines(&mut self, events: &[Event], now: Timestamp, head: bool) -> Vec<String> {
        let mut rows = vec![];
        let project = |text: &str| self.projects.then(|| text.to_owned());
        if head {
            let names = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(str::to_owned);
            rows.push(project("PROJECT").into_iter().chain(names).collect::<Vec<_>>());
        }
        for event in events {
            let about = &event.involved_object;
            let kind = about.kind.as_deref().unwrap_or_default().to_lowercase();
            let cells = [
                when(event, now),
                event.type_.clone().unwrap_or_default(),
                event.reason.clone().unwrap_or_default(),
                format!("{kind}/{}", about.name.as_deref().unwrap_or_default()),
                message(event),
            ];
            let namespace = about.namespace.as_deref().unwrap_or_default();
            rows.push(project(namespace).into_iter().chain(cells).collect());
        }
        self.columns.fit(&rows);
        rows.iter().map(|row| self.columns.row(row)).collect()
    }
}

/// Shows events as they come, until somebody stops it.
async fn follow(
    context: &Context,
    session: &Session,
    selection: &Selection,
    shown: &[Event],
    printer: &mut Printer,
) -> Result<(), Error> {
    let version_of = |event: &Event| event.metadata.resource_version.clone().unwrap_or_default();
    // A watch from the beginning repeats what was listed.
    let mut seen: BTreeSet<String> = shown.iter().map(version_of).collect();
    let api: Api<Event> = match &selection.namespace {
        Some(namespace) => Api::namespaced(session.client().clone(), namespace),
        None => Api::all(session.client().clone()),
    };
    let parameters =
        WatchParams { field_selector: selection.fields.clone(), ..WatchParams::default() };
    loop {
        let events = api.watch(&parameters, "0").await.map_err(|error| session.error(error))?;
        let mut events = pin!(events);
        while let Some(event) = events.try_next().await.map_err(|error| session.error(error))? {
            match event {
                WatchEvent::Added(event) | WatchEvent::Modified(event) => {
                    if seen.insert(version_of(&event)) {
                        for line in printer.lines(&[event], context.now(), false) {
                            context.terminal.line(&line)?;
                        }
                        context.terminal.flush()?;
                    }
                }
                WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) if status.code == 410 => break,
                WatchEvent::Error(status) => {
                    return Err(session.error(kube::Error::Api(status)).into());
                }
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;

    /// Two events, the second of a series.
    pub fn two() -> Vec<Event> {
        let event = |reason: &str, message: &str, time: &str, count: i32| -> Event {
            serde_json::from_value(json!({
                "metadata": {"name": reason.to_lowercase(), "namespace": "shop"},
                "involvedObject": {"kind": "Environment", "name": "production", "namespace": "shop"},
                "reason": reason, "message": message, "type": "Normal",
                "lastTimestamp": time, "count": count,
            }))
            .unwrap()
        };
        vec![
            event("PlanApplied", "1 created", "2026-06-01T00:00:00Z", 1),
            event(
                "DriftHealed",
                "start container api-1\nstart container api-2",
                "2026-06-01T00:04:00Z",
                3,
            ),
        ]
    }

    #[test]
    fn lines() {
        let now: Timestamp = "2026-06-01T00:05:00Z".parse().unwrap();
        let mut printer = Printer { columns: Columns::default(), projects: false };
        insta::assert_snapshot!(printer.lines(&two(), now, true).join("\n"));
        let mut printer = Printer { columns: Columns::default(), projects: true };
        insta::assert_snapshot!(printer.lines(&two(), now, true).join("\n"));
    }
}
