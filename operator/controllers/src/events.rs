//! Events: what happened to an object, for people.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hades_api::SYSTEM_NAMESPACE;
use k8s_openapi::api::events::v1::Event as CoreEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource};

use crate::Context;
use crate::redaction::SecretValues;

/// Longest note that the Kubernetes API takes, in bytes.
const NOTE_LIMIT: usize = 1024;

/// How many objects' events are remembered before all are forgotten: what is
/// forgotten is only that an event was said before.
const REMEMBERED: usize = 4096;

/// Publishes events. A lost event is logged and never fails a pass.
pub(crate) struct Events {
    client: Client,
    secret_values: Arc<dyn SecretValues>,
    /// The latest note by object and reason, with what counts its repetitions.
    /// A recorder alone would count different notes as one and keep the first.
    latest: Mutex<HashMap<(String, String), (String, Recorder)>>,
    /// Events of a series so far.
    series: AtomicU32,
}

impl Events {
    pub(crate) fn new(client: Client, secret_values: Arc<dyn SecretValues>) -> Self {
        Self { client, secret_values, latest: Mutex::default(), series: AtomicU32::new(0) }
    }

    /// A note about something of a namespace, or of the cluster, as people may read
    /// it. What is cut off must not keep a value from being found.
    fn fit(&self, namespace: Option<&str>, note: &str) -> String {
        let redactor = self.secret_values.redactor(namespace.unwrap_or(SYSTEM_NAMESPACE));
        shorten(redactor.text(note).into_owned())
    }

    fn recorder(&self, uid: String, reason: &str, note: &str) -> Recorder {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() >= REMEMBERED {
            latest.clear();
        }
        let key = (uid, reason.to_owned());
        match latest.get(&key) {
            Some((known, recorder)) if known == note => recorder.clone(),
            _ => {
                let reporter = Reporter { controller: "hades".to_owned(), instance: None };
                let recorder = Recorder::new(self.client.clone(), reporter);
                latest.insert(key, (note.to_owned(), recorder.clone()));
                recorder
            }
        }
    }

    /// Something that went as it should.
    pub(crate) async fn normal<K>(&self, object: &K, reason: &str, action: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        self.publish(object, EventType::Normal, reason, action, note).await;
    }

    /// Something that somebody should look at.
    pub(crate) async fn warning<K>(&self, object: &K, reason: &str, action: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        self.publish(object, EventType::Warning, reason, action, note).await;
    }

    async fn publish<K>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        action: &str,
        note: String,
    ) where
        K: Resource<DynamicType = ()>,
    {
        let reference = object.object_ref(&());
        let note = self.fit(reference.namespace.as_deref(), &note);
        let uid = reference.uid.clone().unwrap_or_default();
        let recorder = self.recorder(uid, reason, &note);
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, &reference).await {
            tracing::warn!(reason, %error, "an event was lost");
        }
    }
}

/// One event whose words change while something goes on.
pub(crate) struct Series<'a> {
    context: &'a Context,
    event: CoreEvent,
    count: i32,
}

impl<'a> Series<'a> {
    /// An event about `object` that nothing has been said by yet.
    pub(crate) fn new<K>(context: &'a Context, object: &K, reason: &str, action: &str) -> Self
    where
        K: Resource<DynamicType = ()>,
    {
        let regarding = object.object_ref(&());
        // What happens at the same time to one object must still have two names.
        let number = context.events.series.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = context.now().as_nanosecond();
        let name = format!(
            "{}.{nanoseconds:x}{:04x}",
            regarding.name.as_deref().unwrap_or_default(),
            number & 0xffff
        );
        let event = CoreEvent {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(
                    regarding.namespace.clone().unwrap_or_else(|| "default".to_owned()),
                ),
                ..ObjectMeta::default()
            },
            action: Some(action.to_owned()),
            event_time: Some(MicroTime(context.now())),
            reason: Some(reason.to_owned()),
            regarding: Some(regarding),
            reporting_controller: Some("hades".to_owned()),
            reporting_instance: Some("hades".to_owned()),
            type_: Some("Normal".to_owned()),
            ..CoreEvent::default()
        };
        Self { context, event, count: 0 }
    }

    /// Says something: the first time it makes the event, then it changes its words.
    pub(crate) async fn say(&mut self, note: String) {
        let regarding = self.event.regarding.as_ref();
        let place = regarding.and_then(|regarding| regarding.namespace.as_deref());
        let note = self.context.events.fit(place, &note);
        let namespace = self.event.metadata.namespace.clone().unwrap_or_default();
        let name = self.event.metadata.name.clone().unwrap_or_default();
        let events: Api<CoreEvent> = Api::namespaced(self.context.client.clone(), &namespace);
        self.count += 1;
        let said = if self.count == 1 {
            self.event.note = Some(note);
            events.create(&PostParams::default(), &self.event).await.map(|_| ())
        } else {
            let last = MicroTime(self.context.now());
            let series = serde_json::json!({"count": self.count, "lastObservedTime": last});
            let patch = serde_json::json!({"note": note, "series": series});
            events.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.map(|_| ())
        };
        if let Err(error) = said {
            tracing::warn!(%error, "an event was lost");
        }
    }
}

/// Cuts a note to what the API takes, at a character's end.
fn shorten(mut note: String) -> String {
    if note.len() > NOTE_LIMIT {
        let mut end = NOTE_LIMIT - '…'.len_utf8();
        while !note.is_char_boundary(end) {
            end -= 1;
        }
        note.truncate(end);
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_cut_at_a_character() {
        let cut = shorten("ä".repeat(1000));
        assert!(cut.len() <= NOTE_LIMIT && cut.ends_with('…'));
        assert_eq!(shorten("short".into()), "short");
    }
}
