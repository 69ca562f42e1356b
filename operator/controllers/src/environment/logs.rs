//! Output of an environment's containers, merged.

use futures::stream::{BoxStream, select_all};
use futures::{StreamExt, stream};
use hades_provider::{LogOptions, LogStream};
use serde::{Deserialize, Serialize};

use super::container::{self, FoundContainer};
use super::output::Output;
use crate::Context;
use crate::driver::ReconcileError;
use crate::redaction::{ProjectValues, redact};

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
    let values = context.project_values(project);
    let failure = |origin, message: String| {
        stream::iter([LogLine { error: Some(message), ..origin }]).boxed()
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
            Ok(output) => lines(origin, output, query.timestamps, values.clone()),
            Err(mut error) => {
                values.clear(&mut error);
                failure(origin, error.message)
            }
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

/// What is left of each stream until its line ends.
struct Unfinished {
    stdout: Output,
    stderr: Output,
}

fn lines(
    origin: LogLine,
    output: LogStream,
    timestamps: bool,
    values: ProjectValues,
) -> BoxStream<'static, LogLine> {
    let end = stream::iter([None]);
    let chunks = output.map(Some).chain(end);
    let mut redactor = values.redactor();
    let of = |name| Output::new(name, timestamps, &redactor);
    let begin = Unfinished { stdout: of("stdout"), stderr: of("stderr") };
    let lines = chunks.scan(begin, move |unfinished, chunk| {
        let mut found = Vec::new();
        let now = values.redactor();
        // With the project its values are forgotten, and its containers write on for a while.
        if !now.is_empty() {
            redactor = now;
        }
        match chunk {
            Some(Ok(chunk)) => {
                let output =
                    if chunk.stderr { &mut unfinished.stderr } else { &mut unfinished.stdout };
                output.renew(&redactor);
                output.push(&chunk.bytes, &origin, &mut found);
            }
            Some(Err(mut error)) => {
                redact(&redactor, &mut error);
                values.clear(&mut error);
                found.push(LogLine { error: Some(error.message), ..origin.clone() });
            }
            None => {
                unfinished.stdout.finish(&origin, &mut found);
                unfinished.stderr.finish(&origin, &mut found);
            }
        }
        std::future::ready(Some(stream::iter(found)))
    });
    lines.flatten().boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use hades_provider::LogChunk;
    use hades_redact::Redactor;

    use super::*;
    use crate::redaction::SecretValues;

    /// The values of one project, which change.
    struct Changing(Mutex<Vec<Redactor>>);

    impl SecretValues for Changing {
        fn redactor(&self, _namespace: &str) -> Redactor {
            let mut left = self.0.lock().unwrap();
            if left.len() > 1 { left.remove(0) } else { left[0].clone() }
        }
    }

    fn values(of_each_look: &[&[&str]]) -> ProjectValues {
        let redactor = |values: &&[&str]| Redactor::new(values.iter().map(|v| v.as_bytes()));
        let all = of_each_look.iter().map(redactor).collect();
        ProjectValues::new(Arc::new(Changing(Mutex::new(all))), "shop")
    }

    async fn read(
        pieces: &[(bool, &'static str)],
        timestamps: bool,
        values: ProjectValues,
    ) -> Vec<LogLine> {
        let chunks: Vec<_> = pieces
            .iter()
            .map(|(stderr, text)| {
                let bytes = Bytes::from_static(text.as_bytes());
                Ok(LogChunk { stderr: *stderr, bytes })
            })
            .collect();
        lines(LogLine::default(), stream::iter(chunks).boxed(), timestamps, values).collect().await
    }

    fn pairs(lines: &[LogLine]) -> Vec<(&str, &str)> {
        lines.iter().map(|line| (line.stream.as_str(), line.line.as_str())).collect()
    }

    #[tokio::test]
    async fn lines_are_put_together_from_pieces() {
        let pieces = [(false, "a"), (true, "x\n"), (false, "b\nc")];
        let found = read(&pieces, false, values(&[&[]])).await;
        assert_eq!(pairs(&found), [("stderr", "x"), ("stdout", "ab"), ("stdout", "c")]);
    }

    #[tokio::test]
    async fn values_are_hidden_across_pieces_but_not_across_streams() {
        let pieces =
            [(false, "pass hunt"), (true, "er22\n"), (false, "er22!\nlast hun"), (false, "ter22")];
        let found = read(&pieces, false, values(&[&["hunter22"]])).await;
        let expected = [("stderr", "er22"), ("stdout", "pass ***!"), ("stdout", "last ***")];
        assert_eq!(pairs(&found), expected);
    }

    #[tokio::test]
    async fn a_value_of_several_lines_is_found_between_times() {
        let text =
            "2026-11-23T07:00:00Z key ab\n2026-11-23T07:00:01Z cd\n2026-11-23T07:00:02Z ef end\n";
        let found = read(&[(false, text)], true, values(&[&["ab\ncd\nef"]])).await;
        assert_eq!(
            pairs(&found),
            [("stdout", "key ***"), ("stdout", "***"), ("stdout", "*** end")]
        );
        let times: Vec<_> = found.iter().filter_map(|line| line.time.as_deref()).collect();
        assert_eq!(times, ["2026-11-23T07:00:00Z", "2026-11-23T07:00:01Z", "2026-11-23T07:00:02Z"]);
    }

    #[tokio::test]
    async fn a_secret_that_changes_is_hidden_in_what_comes_next() {
        let (old, new): (&[&str], &[&str]) = (&["old-value"], &["old-value", "new-value"]);
        let pieces = [(false, "old-value new-value\n"), (false, "old-value new-value\n")];
        // Looked up at the beginning, then for each piece.
        let found = read(&pieces, false, values(&[old, old, new])).await;
        assert_eq!(pairs(&found), [("stdout", "*** new-value"), ("stdout", "*** ***")]);
    }

    #[tokio::test]
    async fn values_stay_hidden_when_their_project_goes() {
        let pieces = [(false, "old-value\n"), (false, "old-value\n"), (true, "old-value\n")];
        let found = read(&pieces, false, values(&[&["old-value"], &["old-value"], &[]])).await;
        assert_eq!(pairs(&found), [("stdout", "***"), ("stdout", "***"), ("stderr", "***")]);
    }
}
