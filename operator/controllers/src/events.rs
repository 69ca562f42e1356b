//! Events: what happened to an object, for people.

use kube::Client;
use kube::Resource;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Longest note that the Kubernetes API takes, in bytes.
const NOTE_LIMIT: usize = 1024;

/// Publishes events. A lost event is logged and never fails a pass.
pub(crate) struct Events {
    recorder: Recorder,
}

impl Events {
    pub(crate) fn new(client: Client) -> Self {
        let reporter = Reporter { controller: "hades".to_owned(), instance: None };
        Self { recorder: Recorder::new(client, reporter) }
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

    async fn publish<K>(&self, object: &K, type_: EventType, reason: &str, action: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(shorten(note)),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::warn!(reason, %error, "an event was lost");
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
