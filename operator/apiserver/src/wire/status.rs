//! Errors as Kubernetes Status objects.

use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::admission::{Cause, CauseReason};

/// An error as clients see it: an HTTP status code and a `Status` object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusError(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    code: u16,
    reason: &'static str,
    message: String,
    group: String,
    kind: String,
    name: String,
    uid: String,
    causes: Vec<Cause>,
    retry_after_seconds: Option<u32>,
    continue_token: String,
}

/// The reason of an error; an extension of its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason(pub &'static str);

/// `resource.group`, or the bare resource for the core group.
fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

impl StatusError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            reason,
            message: message.into(),
            group: String::new(),
            kind: String::new(),
            name: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: None,
            continue_token: String::new(),
        }))
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        self.0.group = group.to_owned();
        self.0.kind = kind.to_owned();
        self.0.name = name.to_owned();
        self
    }

    /// 400: the request itself cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 400 for fields that strict field validation found, worded as kubectl
    /// expects: `strict decoding error: unknown field "spec.imgae"`.
    #[must_use]
    pub fn strict_decoding(problems: &[String]) -> Self {
        Self::bad_request(format!("strict decoding error: {}", problems.join(", ")))
    }

    /// 401: nobody is logged in, or the credentials are wrong.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "Unauthorized", message)
    }

    /// 403: the caller is known and may not do this. `name` may be empty.
    pub fn forbidden(group: &str, resource: &str, name: &str, message: impl fmt::Display) -> Self {
        let message = match (resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {message}"),
            (false, true) => format!("{} is forbidden: {message}", qualified(group, resource)),
            (false, false) => {
                format!("{} {name:?} is forbidden: {message}", qualified(group, resource))
            }
        };
        Self::new(403, "Forbidden", message).about(group, resource, name)
    }

    /// 404: no object of that name.
    #[must_use]
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(group, resource));
        Self::new(404, "NotFound", message).about(group, resource, name)
    }

    /// 404: the path leads nowhere.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 405: the resource exists and does not answer this verb.
    #[must_use]
    pub fn method_not_allowed(group: &str, resource: &str, verb: &str) -> Self {
        let message = format!(
            "{verb} is not supported on resources of kind {:?}",
            qualified(group, resource)
        );
        Self::new(405, "MethodNotAllowed", message).about(group, resource, "")
    }

    /// 406: none of the accepted media types can be served.
    #[must_use]
    pub fn not_acceptable(offered: &[&str]) -> Self {
        let message =
            format!("only the following media types are accepted: {}", offered.join(", "));
        Self::new(406, "NotAcceptable", message)
    }

    /// 408: the request did not arrive in time.
    pub fn request_timeout(message: impl Into<String>) -> Self {
        Self::new(408, "Timeout", message)
    }

    /// 409: the name is taken.
    #[must_use]
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(group, resource));
        Self::new(409, "AlreadyExists", message).about(group, resource, name)
    }

    /// 409: the object changed, or a precondition does not hold.
    pub fn conflict(group: &str, resource: &str, name: &str, message: impl fmt::Display) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {message}",
            qualified(group, resource)
        );
        Self::new(409, "Conflict", message).about(group, resource, name)
    }

    /// 409: other managers own fields that an apply wants to set. kubectl looks
    /// at the causes to print its help about `--force-conflicts`.
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Self {
        let mut error = Self::new(409, "Conflict", message);
        error.0.causes = causes;
        error
    }

    /// 410: the resource version or continue token is too old.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 410: a continue token is too old for a consistent list. The other token goes
    /// on with the list as it is now, for clients that prefer that to a new start.
    #[must_use]
    pub fn continue_expired(token: String) -> Self {
        let mut error = Self::expired(
            "The provided continue parameter is too old to display a consistent list result. You \
             can start a new list without the continue parameter, or use the continue token in \
             this response to retrieve the remainder of the results. Continuing with the provided \
             token results in an inconsistent list - objects that were created, modified, or \
             deleted between the time the first chunk was returned and now may show up in the list.",
        );
        error.0.continue_token = token;
        error
    }

    /// 413: the body or the object is larger than the server keeps.
    pub fn too_large(message: impl fmt::Display) -> Self {
        let message = format!("Request entity too large: {message}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// 415: the body has a media type that the server does not read.
    #[must_use]
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 422: the object breaks the rules of its kind; every cause is named.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let list = match causes.as_slice() {
            [one] => described(one),
            many => {
                let mut texts: Vec<String> = many.iter().map(described).collect();
                // Kubernetes prints each distinct error once.
                let mut seen = std::collections::HashSet::new();
                texts.retain(|text| seen.insert(text.clone()));
                format!("[{}]", texts.join(", "))
            }
        };
        let message = format!("{} {name:?} is invalid: {list}", qualified(group, kind));
        let mut error = Self::new(422, "Invalid", message).about(group, kind, name);
        error.0.causes = causes;
        error
    }

    /// 422: a patch that is well-formed and cannot be applied to the object.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    /// 429: come back later.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let mut error = Self::new(429, "TooManyRequests", message);
        error.0.retry_after_seconds = Some(retry_after_seconds);
        error
    }

    /// 500: the server failed. The text reaches the client, so it must hold no secret.
    pub fn internal(message: impl fmt::Display) -> Self {
        let mut error =
            Self::new(500, "InternalError", format!("Internal error occurred: {message}"));
        error.0.causes = vec![Cause::new("", CauseReason::InternalError, message.to_string())];
        error
    }

    /// 503: the server is starting or stopping.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 504: the request took too long.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(504, "Timeout", message)
    }

    /// 507: there is no room on the disk. What makes nothing larger, deletions
    /// above all, still works.
    pub fn insufficient_storage(message: impl Into<String>) -> Self {
        Self::new(507, "InsufficientStorage", message)
    }

    /// 504: the client asks for a version that is not there yet, as Kubernetes
    /// answers it.
    #[must_use]
    pub fn version_too_large(wanted: u64, current: u64) -> Self {
        let mut error = Self::timeout(format!(
            "Timeout: Too large resource version: {wanted}, current: {current}"
        ));
        error.0.causes = vec![Cause::new(
            "",
            CauseReason::ResourceVersionTooLarge,
            "Too large resource version",
        )];
        error.0.retry_after_seconds = Some(1);
        error
    }

    /// Names the object that the error is about, where the constructor could not.
    #[must_use]
    pub fn with_details(self, group: &str, resource: &str, name: &str) -> Self {
        self.about(group, resource, name)
    }

    /// The same error in other words.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Adds the uid of the object to the details.
    #[must_use]
    pub fn with_uid(mut self, uid: &str) -> Self {
        self.0.uid = uid.to_owned();
        self
    }

    /// The HTTP status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.0.code
    }

    /// The machine-readable reason, such as `NotFound`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The causes, one for each mistake.
    #[must_use]
    pub fn causes(&self) -> &[Cause] {
        &self.0.causes
    }

    /// The `v1.Status` object.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let parts = &self.0;
        let mut details = Map::new();
        let texts = [
            ("name", &parts.name),
            ("group", &parts.group),
            ("kind", &parts.kind),
            ("uid", &parts.uid),
        ];
        for (key, text) in texts {
            if !text.is_empty() {
                details.insert(key.to_owned(), Value::from(text.as_str()));
            }
        }
        if !parts.causes.is_empty() {
            let causes: Vec<Value> = parts.causes.iter().map(cause_to_value).collect();
            details.insert("causes".to_owned(), Value::from(causes));
        }
        if let Some(seconds) = parts.retry_after_seconds {
            details.insert("retryAfterSeconds".to_owned(), Value::from(seconds));
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": parts.message,
            "reason": parts.reason,
            "code": parts.code,
        });
        if !details.is_empty() {
            status["details"] = Value::Object(details);
        }
        if !parts.continue_token.is_empty() {
            status["metadata"]["continue"] = Value::from(parts.continue_token.as_str());
        }
        status
    }
}

/// The path of a mistake. What is wrong with a whole object has none, which
/// Kubernetes words like this.
fn field(cause: &Cause) -> &str {
    let whole = cause.field.is_empty() && cause.reason.is_about_a_value();
    if whole { "<nil>" } else { &cause.field }
}

fn described(cause: &Cause) -> String {
    match field(cause) {
        "" => cause.message.clone(),
        field => format!("{field}: {}", cause.message),
    }
}

fn cause_to_value(cause: &Cause) -> Value {
    // Internal errors carry only a message on the wire.
    if cause.reason == CauseReason::InternalError && cause.field.is_empty() {
        return json!({"message": cause.message});
    }
    let mut value = json!({"reason": cause.reason.as_str(), "message": cause.message});
    match field(cause) {
        "" => {}
        field => value["field"] = Value::from(field),
    }
    value
}

/// The `Success` Status that a finished deletion answers.
#[must_use]
pub fn success(group: &str, resource: &str, name: &str, uid: &str) -> Value {
    let mut details = json!({"name": name, "kind": resource, "uid": uid});
    if !group.is_empty() {
        details["group"] = Value::from(group);
    }
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    })
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for StatusError {}

impl IntoResponse for StatusError {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.0.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = self.to_value().to_string();
        let mut response = (code, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.0.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Reason(self.0.reason));
        response
    }
}

#[cfg(test)]
mod tests;
