//! Output of an environment's containers, merged.

use bytes::BytesMut;
use futures::stream::{BoxStream, select_all};
use futures::{StreamExt, stream};
use hades_provider::{LogOptions, LogStream};
use serde::{Deserialize, Serialize};

use super::container::{self, FoundContainer};
use crate::Context;
use crate::driver::ReconcileError;

/// A longer line is cut into several, so that a container that writes no line
/// ends can't fill the memory.
const LINE_LIMIT: usize = 64 * 1024;

/// Which output.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LogQuery {
    /// Only of that service.
    pub service: Option<String>,
    /// Only of that replica.
    pub replica: Option<u32>,
    /// Go on with what comes.
    pub follow: bool,
    /// Only so many last lines of each container.
    pub tail: Option<u32>,
    /// Only since then, in seconds since the Unix epoch.
    pub since: Option<i64>,
    /// With the engine's RFC 3339 time of each line.
    pub timestamps: bool,
}

/// A line of output, or why there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Service.
    pub service: String,
    /// Which of its containers, from 1.
    pub replica: u32,
    /// Name of the container.
    pub container: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// When the engine got it, RFC 3339, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The line without its end.
    pub line: String,
    /// Why the container can't be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Lines of all containers of an environment that fit `query`, as they come.
///
/// # Errors
/// When the API server doesn't answer. Hosts that don't answer are a line with
/// `error`.
pub async fn logs(
    context: &Context,
    project: &str,
    environment: &str,
    query: &LogQuery,
) -> Result<Option<BoxStream<'static, LogLine>>, ReconcileError> {
    let Some(survey) = container::survey(context, project, environment).await? else {
        return Ok(None);
    };
    let options = LogOptions {
        follow: query.follow,
        tail: query.tail,
        since: query.since,
        timestamps: query.timestamps,
    };
    let mut streams = Vec::new();
    for (_, message) in survey.unseen {
        streams.push(failure(LogLine::default(), message));
    }
    for found in survey.containers.into_iter().filter(|found| query.fits(found)) {
        let origin = LogLine {
            service: found.service,
            replica: found.replica,
            container: found.seen.name,
            ..LogLine::default()
        };
        streams.push(match found.provider.logs(&found.seen.id, &options).await {
            Ok(output) => lines(origin, output, query.timestamps),
            Err(error) => failure(origin, error.message),
        });
    }
    Ok(Some(select_all(streams).boxed()))
}

impl LogQuery {
    fn fits(&self, found: &FoundContainer) -> bool {
        self.service.as_ref().is_none_or(|wanted| *wanted == found.service)
            && self.replica.is_none_or(|wanted| wanted == found.replica)
    }
}

fn failure(origin: LogLine, message: String) -> BoxStream<'static, LogLine> {
    stream::iter([LogLine { error: Some(message), ..origin }]).boxed()
}

/// What is left of each stream until its line ends.
#[derive(Default)]
struct Unfinished {
    stdout: BytesMut,
    stderr: BytesMut,
}

fn lines(origin: LogLine, output: LogStream, timestamps: bool) -> BoxStream<'static, LogLine> {
    let end = stream::iter([None]);
    let chunks = output.map(Some).chain(end);
    let lines = chunks.scan(Unfinished::default(), move |unfinished, chunk| {
        let mut found = Vec::new();
        match chunk {
            Some(Ok(chunk)) => {
                let (buffer, name) = if chunk.stderr {
                    (&mut unfinished.stderr, "stderr")
                } else {
                    (&mut unfinished.stdout, "stdout")
                };
                buffer.extend_from_slice(&chunk.bytes);
                while let Some(length) = line_length(buffer) {
                    let line = buffer.split_to(length);
                    found.push(line_of(&origin, name, &line, timestamps));
                }
            }
            Some(Err(error)) => {
                found.push(LogLine { error: Some(error.message), ..origin.clone() });
            }
            None => {
                for (buffer, name) in
                    [(&unfinished.stdout, "stdout"), (&unfinished.stderr, "stderr")]
                {
                    if !buffer.is_empty() {
                        found.push(line_of(&origin, name, buffer, timestamps));
                    }
                }
            }
        }
        std::future::ready(Some(stream::iter(found)))
    });
    lines.flatten().boxed()
}

/// Bytes of the first line in the buffer, its end included; None while it goes on.
fn line_length(buffer: &[u8]) -> Option<usize> {
    match buffer.iter().position(|&byte| byte == b'\n') {
        Some(end) => Some(end + 1),
        None if buffer.len() >= LINE_LIMIT => Some(LINE_LIMIT),
        None => None,
    }
}

fn line_of(origin: &LogLine, stream: &str, bytes: &[u8], timestamps: bool) -> LogLine {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\n', '\r']);
    let (time, line) = match text.split_once(' ') {
        Some((time, line)) if timestamps => (Some(time.to_owned()), line),
        _ => (None, text),
    };
    LogLine { stream: stream.to_owned(), time, line: line.to_owned(), ..origin.clone() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hades_provider::LogChunk;

    use super::*;

    #[tokio::test]
    async fn lines_are_put_together_from_pieces() {
        let chunk = |stderr, text: &'static str| {
            Ok(LogChunk { stderr, bytes: Bytes::from_static(text.as_bytes()) })
        };
        let output = stream::iter([chunk(false, "a"), chunk(true, "x\n"), chunk(false, "b\nc")]);
        let found: Vec<(String, String)> = lines(LogLine::default(), output.boxed(), false)
            .map(|line| (line.stream, line.line))
            .collect()
            .await;
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(found, [pair("stderr", "x"), pair("stdout", "ab"), pair("stdout", "c")]);
    }

    #[test]
    fn endless_lines_are_cut() {
        assert_eq!(line_length(&vec![b'x'; LINE_LIMIT]), Some(LINE_LIMIT));
        assert_eq!(line_length(b"xx"), None);
    }
}
