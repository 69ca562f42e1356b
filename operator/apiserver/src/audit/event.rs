//! A record, as `audit.k8s.io/v1` has it.
//! Source: `k8s.io/apiserver/pkg/apis/audit/v1/types.go`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::authn::Identity;

/// Longest texts of a record; what is longer is cut.
const MAX_URI: usize = 2048;
const MAX_TEXT: usize = 512;
const MAX_AGENT: usize = 256;
/// Groups, and extra values, of a user.
const MAX_ITEMS: usize = 64;

/// At which point of a request a record was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Stage {
    /// The answer has begun and goes on: watches, logs, consoles.
    ResponseStarted,
    /// The answer is complete.
    ResponseComplete,
}

/// One record on its way to the log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    kind: &'static str,
    api_version: &'static str,
    level: &'static str,
    #[serde(rename = "auditID")]
    pub(super) audit_id: String,
    pub(super) stage: Stage,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    pub(super) user: User,
    #[serde(skip_serializing_if = "Option::is_none")]
    impersonated_user: Option<User>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    source_ips: Vec<IpAddr>,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) object_ref: Option<ObjectRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_status: Option<ResponseStatus>,
    #[serde(serialize_with = "micros", rename = "requestReceivedTimestamp")]
    pub(super) received: Timestamp,
    #[serde(serialize_with = "micros", rename = "stageTimestamp")]
    pub(super) staged: Timestamp,
    /// Last: the chain goes on from here.
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct User {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What a request was about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectRef {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

/// A `metav1.Status` without the texts that could repeat what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ResponseStatus {
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    code: u16,
}

fn micros<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
}

/// The start of a text, without what would confuse a terminal.
fn bounded(text: &str, most: usize) -> String {
    let harmless = |letter: char| if letter.is_control() { '?' } else { letter };
    if text.len() <= most {
        return text.chars().map(harmless).collect();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(harmless).chain(['…']).collect()
}

impl User {
    pub fn of(identity: &Identity) -> Self {
        let Identity { name, groups, uid, extra, .. } = identity;
        let texts = |list: &[String]| -> Vec<String> {
            list.iter().take(MAX_ITEMS).map(|text| bounded(text, MAX_TEXT)).collect()
        };
        let extra = extra.iter().take(MAX_ITEMS);
        Self {
            username: bounded(name, MAX_TEXT),
            uid: uid.as_deref().map(|uid| bounded(uid, MAX_TEXT)),
            groups: texts(groups),
            extra: extra.map(|(key, values)| (bounded(key, MAX_TEXT), texts(values))).collect(),
        }
    }
}

impl AuditEvent {
    /// Something that was done by a request, or on somebody's behalf: `verb` as
    /// rights name it, or a word such as `login`; `request_uri` as it was asked
    /// for, without what is secret in its query.
    #[must_use]
    pub fn new(verb: &str, request_uri: &str) -> Self {
        Self {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: "Metadata",
            audit_id: String::new(),
            stage: Stage::ResponseComplete,
            request_uri: bounded(request_uri, MAX_URI),
            verb: bounded(verb, MAX_TEXT),
            user: User::default(),
            impersonated_user: None,
            source_ips: Vec::new(),
            user_agent: String::new(),
            object_ref: None,
            response_status: None,
            received: Timestamp::UNIX_EPOCH,
            staged: Timestamp::UNIX_EPOCH,
            annotations: BTreeMap::new(),
        }
    }

    /// Done by somebody who has shown who he is.
    #[must_use]
    pub fn by(mut self, identity: &Identity) -> Self {
        self.user = User::of(identity);
        self
    }

    /// Done by, or tried in the name of, a user of that name.
    #[must_use]
    pub fn by_name(mut self, name: &str) -> Self {
        self.user = User { username: bounded(name, MAX_TEXT), ..User::default() };
        self
    }

    /// Done in the name of somebody else.
    #[must_use]
    pub fn as_if(mut self, identity: &Identity) -> Self {
        self.impersonated_user = Some(User::of(identity));
        self
    }

    /// Asked for from this address.
    #[must_use]
    pub fn from(mut self, address: Option<IpAddr>) -> Self {
        self.source_ips = address.into_iter().collect();
        self
    }

    /// Asked for by this program.
    #[must_use]
    pub fn with(mut self, user_agent: &str) -> Self {
        self.user_agent = bounded(user_agent, MAX_AGENT);
        self
    }

    /// Done to this object. `resource` may name a subresource: `users/password`.
    /// Empty texts stand for none.
    #[must_use]
    pub fn about(mut self, group: &str, resource: &str, namespace: &str, name: &str) -> Self {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        self.object_ref = Some(
            ObjectRef {
                resource: resource.to_owned(),
                subresource: subresource.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                api_group: group.to_owned(),
                ..ObjectRef::default()
            }
            .bounded(),
        );
        self
    }

    pub(super) fn about_object(mut self, object: ObjectRef) -> Self {
        self.object_ref = Some(object.bounded());
        self
    }

    /// Answered with this status code of HTTP.
    #[must_use]
    pub fn answered(mut self, code: u16, reason: &str, message: &str) -> Self {
        self.response_status = Some(ResponseStatus {
            metadata: BTreeMap::new(),
            status: (code >= 400).then_some("Failure"),
            message: bounded(message, MAX_TEXT),
            reason: bounded(reason, MAX_TEXT),
            code,
        });
        self
    }

    /// At another stage than the end.
    #[must_use]
    pub fn at(mut self, stage: Stage) -> Self {
        self.stage = stage;
        self
    }

    /// With an annotation; the key has a prefix, such as `hades.dev/method`.
    #[must_use]
    pub fn note(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(bounded(key, MAX_TEXT), bounded(value, MAX_TEXT));
        self
    }

    /// The JSON, which ends with the annotations.
    pub(super) fn to_json(&self) -> Vec<u8> {
        // Nothing in here can fail to be serialised.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl ObjectRef {
    fn bounded(self) -> Self {
        let Self {
            resource,
            namespace,
            name,
            uid,
            api_group,
            api_version,
            resource_version,
            subresource,
        } = self;
        let bounded = |text: String| bounded(&text, MAX_TEXT);
        Self {
            resource: bounded(resource),
            namespace: bounded(namespace),
            name: bounded(name),
            uid: bounded(uid),
            api_group: bounded(api_group),
            api_version: bounded(api_version),
            resource_version: bounded(resource_version),
            subresource: bounded(subresource),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_fields_of_kubernetes() {
        let alice = Identity::of_user("alice", vec!["dev".to_owned()]);
        let mut event = AuditEvent::new("create", "/api/v1/namespaces/shop/configmaps")
            .by(&alice)
            .from(Some(IpAddr::from([192, 0, 2, 7])))
            .with("kubectl/v1.33")
            .about("", "configmaps", "shop", "c")
            .answered(201, "", "")
            .note("authorization.k8s.io/decision", "allow");
        event.audit_id = "id".to_owned();
        event.received = "2026-03-01T10:00:00.000001Z".parse().unwrap();
        event.staged = "2026-03-01T10:00:01Z".parse().unwrap();
        assert_eq!(
            String::from_utf8(event.to_json()).unwrap(),
            "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\",\
             \"auditID\":\"id\",\"stage\":\"ResponseComplete\",\
             \"requestURI\":\"/api/v1/namespaces/shop/configmaps\",\"verb\":\"create\",\
             \"user\":{\"username\":\"alice\",\"groups\":[\"dev\"]},\
             \"sourceIPs\":[\"192.0.2.7\"],\"userAgent\":\"kubectl/v1.33\",\
             \"objectRef\":{\"resource\":\"configmaps\",\"namespace\":\"shop\",\"name\":\"c\"},\
             \"responseStatus\":{\"metadata\":{},\"code\":201},\
             \"requestReceivedTimestamp\":\"2026-03-01T10:00:00.000001Z\",\
             \"stageTimestamp\":\"2026-03-01T10:00:01.000000Z\",\
             \"annotations\":{\"authorization.k8s.io/decision\":\"allow\"}}"
        );
    }

    #[test]
    fn long_and_wild_texts_are_cut_and_tamed() {
        assert_eq!(bounded("a\u{1b}[2J\nb", 100), "a?[2J?b");
        assert_eq!(bounded("ééé", 3), "é…");
        let event = AuditEvent::new("get", &"x".repeat(100_000)).with(&"y".repeat(100_000));
        assert!(event.to_json().len() < 3 << 10);
    }
}
