//! The audit log: who did what, and whether the log is whole.

use futures::{AsyncBufReadExt, Stream, StreamExt};
use http::{Method, Request};
use kube::core::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::accounts::segment;
use crate::{Error, Session};

const PREFIX: &str = "/apis/operations.hades.dev/v1alpha1";

/// Which records. Times are RFC 3339, or how long ago (`2h`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Of this project only.
    pub project: Option<String>,
    /// By this user, or in his name.
    pub user: Option<String>,
    /// With this verb.
    pub verb: Option<String>,
    /// About these: `secrets`, `environments/exec`.
    pub resource: Option<String>,
    /// Not before.
    pub since: Option<String>,
    /// Not after.
    pub until: Option<String>,
    /// How many at most.
    pub limit: Option<u32>,
}

impl AuditQuery {
    fn path(&self) -> String {
        // Destructured, so that a new part of a query can't be forgotten here.
        let Self { project, user, verb, resource, since, until, limit } = self;
        let place = match project {
            Some(project) => format!("{PREFIX}/namespaces/{}/auditevents", segment(project)),
            None => format!("{PREFIX}/auditevents"),
        };
        let limit = limit.map(|limit| limit.to_string());
        let pairs: Vec<String> = [
            ("user", user),
            ("verb", verb),
            ("resource", resource),
            ("since", since),
            ("until", until),
            ("limit", &limit),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", segment(value.as_ref()?))))
        .collect();
        if pairs.is_empty() { place } else { format!("{place}?{}", pairs.join("&")) }
    }
}

/// The records, the newest first, as the server has them (`audit.k8s.io/v1 Event`).
///
/// # Errors
/// When the server refuses or doesn't answer; at the end, when it could not look
/// through all of the log.
pub async fn read(
    session: &Session,
    query: &AuditQuery,
) -> Result<impl Stream<Item = Result<Value, Error>> + use<>, Error> {
    let request =
        Request::get(query.path()).body(vec![]).map_err(|error| session.protocol(error))?;
    let reader =
        session.client().request_stream(request).await.map_err(|error| session.error(error))?;
    let session = session.clone();
    let lines = AsyncBufReadExt::lines(Box::pin(reader));
    Ok(lines.filter_map(move |line| {
        let entry = match line {
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => Some(record(&session, &line)),
            Err(error) => Some(Err(session.error(kube::Error::ReadEvents(error)))),
        };
        std::future::ready(entry)
    }))
}

/// A record, or the Status that takes its place where the server had to stop.
fn record(session: &Session, line: &str) -> Result<Value, Error> {
    let value: Value = serde_json::from_str(line).map_err(|error| session.protocol(error))?;
    if value["kind"] == "Status" {
        let status: Status =
            serde_json::from_value(value).map_err(|error| session.protocol(error))?;
        return Err(session.error(kube::Error::Api(Box::new(status))));
    }
    Ok(value)
}

/// What a look through the whole log found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditReport {
    /// Files there are.
    pub files: u64,
    /// Records that are in order.
    pub records: u64,
    /// Number of the first record.
    pub first: u64,
    /// Number of the last record.
    pub last: u64,
    /// What is wrong.
    pub problems: Vec<String>,
    /// What is unusual and explained.
    pub notes: Vec<String>,
}

/// Has the server look whether the log is whole.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn verify(session: &Session) -> Result<AuditReport, Error> {
    session.call(Method::GET, &format!("{PREFIX}/auditevents/verify"), None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        assert_eq!(AuditQuery::default().path(), format!("{PREFIX}/auditevents"));
        let query = AuditQuery {
            project: Some("shop".to_owned()),
            user: Some("oidc:a&b".to_owned()),
            resource: Some("environments/exec".to_owned()),
            since: Some("2h".to_owned()),
            limit: Some(10),
            ..AuditQuery::default()
        };
        assert_eq!(
            query.path(),
            format!(
                "{PREFIX}/namespaces/shop/auditevents?user=oidc%3Aa%26b&\
                 resource=environments%2Fexec&since=2h&limit=10"
            )
        );
    }
}
