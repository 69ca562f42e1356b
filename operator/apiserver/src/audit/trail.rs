//! What one request leaves behind: filled in on its way through the server, and
//! recorded when it is answered.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;

use super::annotations::{DECISION, DURATION, END, PROOF, REASON, SUPPRESSED};
use super::auditor::Auditor;
use super::event::{AuditEvent, ObjectRef, Stage};
use super::policy::{Facts, Keep, changes, judge};
use super::uri;
use crate::authn::Identity;
use crate::authz::Decision;
use crate::http::path::{self, ResourcePath};
use crate::http::{self, Connection, Peer};
use crate::random;
use crate::state::State;
use crate::wire::status::{Reason, StatusError};

/// The header that tells a client the id of the record of its request.
const AUDIT_ID: &str = "audit-id";

/// What a request leaves behind; handlers of extra routes find it among the
/// extensions. Clones share it.
#[derive(Clone)]
pub struct Trail(Arc<Inner>);

struct Inner {
    auditor: Auditor,
    id: OnceLock<String>,
    method: Method,
    uri: Uri,
    upgrades: bool,
    remote: bool,
    address: Option<IpAddr>,
    agent: Option<HeaderValue>,
    proof: &'static str,
    received: Timestamp,
    start: Instant,
    noted: Mutex<Noted>,
}

/// What the gate finds out.
#[derive(Default)]
struct Noted {
    caller: Option<Identity>,
    acting: Option<Identity>,
    decision: Option<Decision>,
    /// Somebody looked whether it may be done.
    is_judged: bool,
    verb: Option<&'static str>,
}

/// Tells which object an answer is about, where its path doesn't. An extension of
/// answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject {
    pub name: String,
    pub uid: String,
    pub version: String,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Trail").field(&self.0.method).field(&self.0.uri.path()).finish()
    }
}

/// Follows a request through the gate and its handler, and records it.
pub(crate) async fn follow(
    Extract(state): Extract<Arc<State>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(trail) = Trail::begin(&state, &request) else { return next.run(request).await };
    request.extensions_mut().insert(trail.clone());
    let mut response = next.run(request).await;
    trail.end(&mut response);
    response
}

impl Trail {
    /// `None` for what is never recorded, which is most of what this process reads.
    fn begin(state: &State, request: &Request) -> Option<Self> {
        let extensions = request.extensions();
        let remote = extensions.get::<Connection>().is_some();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if !remote && reads && !request.uri().path().contains("/secrets") {
            return None;
        }
        let headers = request.headers();
        let noted = Noted { caller: extensions.get::<Identity>().cloned(), ..Noted::default() };
        Some(Self(Arc::new(Inner {
            auditor: state.auditor.clone(),
            id: OnceLock::new(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            upgrades: http::upgrades(headers),
            remote,
            address: extensions.get::<Peer>().map(|Peer(address)| address.ip()),
            agent: headers.get(header::USER_AGENT).cloned(),
            proof: proof(headers),
            received: state.auditor.now(),
            start: Instant::now(),
            noted: Mutex::new(noted),
        })))
    }

    fn noted(&self, change: impl FnOnce(&mut Noted)) {
        change(&mut self.0.noted.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes who asks, and that it is being judged whether he may.
    pub(crate) fn note_caller(&self, caller: &Identity) {
        self.noted(|noted| {
            let verb = noted.verb;
            *noted =
                Noted { caller: Some(caller.clone()), is_judged: true, verb, ..Noted::default() };
        });
    }

    /// Notes as what the request is judged.
    pub(crate) fn note_verb(&self, verb: &'static str) {
        self.noted(|noted| noted.verb = Some(verb));
    }

    /// Notes in whose name the request goes on.
    pub(crate) fn note_mask(&self, identity: &Identity) {
        self.noted(|noted| noted.acting = Some(identity.clone()));
    }

    /// Notes what decided that the request may be done.
    pub(crate) fn note_decision(&self, decision: Decision) {
        self.noted(|noted| noted.decision = Some(decision));
    }

    /// Whether this can be done, in so far as a record of it can be kept.
    ///
    /// # Errors
    /// 503 for changes over a socket while there is no room for records.
    pub(crate) fn ready(&self) -> Result<(), StatusError> {
        let inner = &self.0;
        let reads = matches!(inner.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if !inner.remote || (reads && !inner.upgrades) {
            return Ok(());
        }
        inner.auditor.ready()
    }

    /// The verb that was judged, or would have been.
    fn verb(&self, path: Option<&ResourcePath>) -> String {
        let Inner { method, uri, upgrades, noted, .. } = &*self.0;
        let Some(path) = path else { return method.as_str().to_ascii_lowercase() };
        let judged = noted.lock().unwrap_or_else(PoisonError::into_inner).verb;
        let unjudged = || http::verb_of(method, *upgrades, &http::query(uri), path);
        judged.unwrap_or_else(unjudged).to_owned()
    }

    fn end(&self, response: &mut Response) {
        let inner = &*self.0;
        let code = response.status().as_u16();
        let path = path::parse(inner.uri.path()).ok().flatten();
        let verb = self.verb(path.as_ref());
        let part = |text: Option<&String>| text.map_or("", String::as_str).to_owned();
        let subresource = part(path.as_ref().and_then(|path| path.subresource.as_ref()));
        let facts = Facts {
            remote: inner.remote,
            verb: &verb,
            group: path.as_ref().map_or("", |path| &path.group),
            resource: path.as_ref().map_or("", |path| &path.plural),
            subresource: &subresource,
            dry_run: inner.uri.query().is_some_and(|query| query.contains("dryRun=All")),
            code,
        };
        let keep = judge(&facts);
        if keep == Keep::Nothing {
            return;
        }
        let subject = response.extensions().get::<Subject>().cloned().unwrap_or_default();
        let mut event = self.event(&verb, path.as_ref(), &subject);
        match keep {
            Keep::Refusal => match self.throttled(code, changes(&verb)) {
                None => return,
                Some(0) => {}
                Some(count) => event = event.note(SUPPRESSED, &count.to_string()),
            },
            Keep::SecretUse if !self.is_first_use(path.as_ref(), &verb, &subject) => return,
            Keep::Started => event = event.at(Stage::ResponseStarted),
            _ => {}
        }
        let reason = response.extensions().get::<Reason>().map_or("", |Reason(reason)| reason);
        event = event.answered(code, reason, "");
        inner.auditor.record(event);
        if inner.remote
            && let Ok(value) = HeaderValue::from_str(self.id())
        {
            response.headers_mut().insert(AUDIT_ID, value);
        }
    }

    fn id(&self) -> &str {
        self.0.id.get_or_init(|| random::uuid().unwrap_or_default())
    }

    /// All but the outcome.
    fn event(&self, verb: &str, path: Option<&ResourcePath>, subject: &Subject) -> AuditEvent {
        let inner = &*self.0;
        let mut event =
            AuditEvent::new(verb, &uri::without_secrets(&inner.uri)).from(inner.address);
        event.audit_id = self.id().to_owned();
        event.received = inner.received;
        if let Some(agent) = &inner.agent {
            event = event.with(&String::from_utf8_lossy(agent.as_bytes()));
        }
        if let Some(path) = path {
            event = event.about_object(object(path, subject));
        }
        let noted = inner.noted.lock().unwrap_or_else(PoisonError::into_inner);
        match &noted.caller {
            Some(caller) => event = event.by(caller),
            None => return event.note(PROOF, inner.proof),
        }
        if let Some(acting) = &noted.acting {
            event = event.as_if(acting);
        }
        let reason = match &noted.decision {
            Some(decision) => decision.reason(),
            None if noted.is_judged => return event.note(DECISION, "forbid"),
            // Whoever is of this process and does everything isn't judged.
            None => String::new(),
        };
        event = event.note(DECISION, "allow");
        if reason.is_empty() { event } else { event.note(REASON, &reason) }
    }

    /// How many refusals went unrecorded before this one; `None` for this one too.
    /// Refused changes have a count of their own, so that looks don't hide them.
    fn throttled(&self, code: u16, changes: bool) -> Option<u64> {
        let inner = &*self.0;
        let noted = inner.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let who = match (&noted.caller, inner.address) {
            (Some(caller), _) if code == 403 && changes => {
                format!("changes of user {}", caller.name)
            }
            (Some(caller), _) if code == 403 => format!("user {}", caller.name),
            (_, Some(address)) => format!("network {}", http::network(address)),
            (_, None) => "nobody".to_owned(),
        };
        drop(noted);
        inner.auditor.refusals().take(&who, Instant::now()).ok()
    }

    fn is_first_use(&self, path: Option<&ResourcePath>, verb: &str, subject: &Subject) -> bool {
        let Some(path) = path else { return false };
        let noted = self.0.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = noted.acting.as_ref().or(noted.caller.as_ref());
        let reader = reader.map_or("", |reader| &reader.name);
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let place = format!("{verb} {}/{}", part(&path.namespace), part(&path.name));
        self.0.auditor.uses().is_first(reader, place, &subject.version)
    }

    /// For what goes on after the answer has begun, such as a console: its end is
    /// recorded when this is told of it, or dropped.
    #[must_use]
    pub fn later(&self) -> Later {
        Later { trail: self.clone(), end: None }
    }
}

/// Records the end of something that lasts.
#[derive(Debug)]
pub struct Later {
    trail: Trail,
    end: Option<String>,
}

impl Later {
    /// Says how it ended: `exit status 0`.
    pub fn end(mut self, how: &str) {
        self.end = Some(how.to_owned());
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        let inner = &*self.trail.0;
        let path = path::parse(inner.uri.path()).ok().flatten();
        let verb = self.trail.verb(path.as_ref());
        let event = self.trail.event(&verb, path.as_ref(), &Subject::default());
        let lasted = inner.start.elapsed();
        let event = event
            .note(DURATION, &format!("{}.{:03}s", lasted.as_secs(), lasted.subsec_millis()))
            .note(END, self.end.as_deref().unwrap_or("cut off"));
        inner.auditor.record(event.answered(101, "", ""));
    }
}

fn object(path: &ResourcePath, subject: &Subject) -> ObjectRef {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let name = match &path.name {
        Some(name) => name.clone(),
        None => subject.name.clone(),
    };
    ObjectRef {
        resource: path.plural.clone(),
        namespace: part(&path.namespace),
        name,
        uid: subject.uid.clone(),
        api_group: path.group.clone(),
        api_version: path.version.clone(),
        resource_version: subject.version.clone(),
        subresource: part(&path.subresource),
    }
}

/// What a request shows to prove who asks, without showing it.
fn proof(headers: &HeaderMap) -> &'static str {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let bearer = value.as_bytes().get(..7);
        let bearer = bearer.is_some_and(|start| start.eq_ignore_ascii_case(b"bearer "));
        return if bearer { "bearer" } else { "other" };
    }
    if headers.contains_key(header::COOKIE) { "cookie" } else { "none" }
}
