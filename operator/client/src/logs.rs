//! Output of the containers of an environment.

use futures::{AsyncBufReadExt, Stream, StreamExt};
use http::Request;
use serde::{Deserialize, Serialize};

use crate::plan::operations;
use crate::{Address, Error, Session};

/// Which part of the output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only of this replica of the service.
    pub replica: Option<u32>,
    /// Go on with what comes.
    pub follow: bool,
    /// Only the last lines of each container.
    pub tail: Option<u32>,
    /// Only since then (seconds since the Unix epoch).
    pub since: Option<i64>,
    /// Tell the time of each line.
    pub timestamps: bool,
}

/// A line that a container wrote, or why it can't be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogLine {
    /// Service; empty when a whole host can't be read.
    pub service: String,
    /// Replica of the service, from 1.
    pub replica: u32,
    /// Name of the container.
    pub container: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// RFC 3339 time, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The line without its end.
    pub line: String,
    /// Why the container can't be read: then there is no line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Output of all containers of the address, merged as it comes.
///
/// # Errors
/// When the environment isn't there, or the server refuses or doesn't answer.
pub async fn stream(
    session: &Session,
    address: &Address,
    query: &LogQuery,
) -> Result<impl Stream<Item = Result<LogLine, Error>> + use<>, Error> {
    let request =
        Request::get(path(address, query)).body(vec![]).map_err(|error| session.protocol(error))?;
    let reader =
        session.client().request_stream(request).await.map_err(|error| session.error(error))?;
    let session = session.clone();
    let lines = AsyncBufReadExt::lines(Box::pin(reader));
    Ok(lines.filter_map(move |line| {
        let entry = match line {
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => Some(serde_json::from_str(&line).map_err(|error| session.protocol(error))),
            Err(error) => Some(Err(session.error(kube::Error::ReadEvents(error)))),
        };
        std::future::ready(entry)
    }))
}

fn path(address: &Address, query: &LogQuery) -> String {
    // Destructured, so that a new part of a query can't be forgotten here.
    let LogQuery { replica, follow, tail, since, timestamps } = query;
    let mut pairs = vec![];
    if let Some(service) = &address.service {
        pairs.push(format!("service={service}"));
    }
    if let Some(replica) = replica {
        pairs.push(format!("replica={replica}"));
    }
    if *follow {
        pairs.push("follow=true".to_owned());
    }
    if let Some(tail) = tail {
        pairs.push(format!("tail={tail}"));
    }
    if let Some(since) = since {
        pairs.push(format!("since={since}"));
    }
    if *timestamps {
        pairs.push("timestamps=true".to_owned());
    }
    let path = operations(address, "logs");
    if pairs.is_empty() { path } else { format!("{path}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let mut address = Address::environment("shop", "production");
        let base =
            "/apis/operations.hades.dev/v1alpha1/namespaces/shop/environments/production/logs";
        assert_eq!(path(&address, &LogQuery::default()), base);
        address.service = Some("api".to_owned());
        let query = LogQuery {
            replica: Some(2),
            follow: true,
            tail: Some(10),
            since: Some(1_700_000_000),
            timestamps: true,
        };
        assert_eq!(
            path(&address, &query),
            format!(
                "{base}?service=api&replica=2&follow=true&tail=10&since=1700000000&timestamps=true"
            )
        );
    }

    #[test]
    fn lines_and_problems() {
        let line =
            r#"{"service":"api","replica":1,"container":"c","stream":"stderr","line":"hello"}"#;
        let line: LogLine = serde_json::from_str(line).unwrap();
        assert_eq!((line.service.as_str(), line.line.as_str(), line.error), ("api", "hello", None));
        let problem: LogLine = serde_json::from_str(r#"{"error":"gone"}"#).unwrap();
        assert_eq!(problem.error.as_deref(), Some("gone"));
    }
}
