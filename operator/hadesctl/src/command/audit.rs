//! `hadesctl audit`: who did what.

use clap::{Args, Subcommand, ValueEnum};
use futures::TryStreamExt;
use hades_client::audit::{self, AuditQuery, AuditReport};
use serde_json::Value;

use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::output;

/// Records that are asked for if nothing is said.
const USUAL: u32 = 100;

const AFTER_HELP: &str = "\
Examples:
  hadesctl audit --since 24h                   what was done, newest last
  hadesctl audit -p shop --user alice --verb delete
  hadesctl audit --resource environments/exec  consoles
  hadesctl audit --since 7d --limit 10000 -o json > week.jsonl
  hadesctl audit verify                        whether the log is whole";

/// Show who did what, and when
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Done by this user, or in his name
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// With this verb: create, patch, delete, get, login …
    #[arg(long)]
    verb: Option<String>,

    /// About these: secrets, environments.hades.dev, environments/exec
    #[arg(long, value_name = "RESOURCE")]
    resource: Option<String>,

    /// Not before: how long ago (2h, 7d), or a time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Not after: how long ago, or a time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// At most so many, the newest ones; up to 10000
    #[arg(long, default_value_t = USUAL, value_name = "NUMBER")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,

    /// Form of the output; json is a record a line, newest first, as the log has it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Have the server look whether records were changed or are missing
    Verify(Verification),
}

/// How to show what was found.
#[derive(Debug, Args)]
struct Verification {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Report,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Report {
    #[default]
    Text,
    Yaml,
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Table,
    Json,
}

/// Shows records.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    if let Some(Command::Verify(verification)) = &arguments.command {
        return verify(context, verification.output).await;
    }
    let Arguments { command: _, user, verb, resource, since, until, limit, output: form } =
        arguments;
    let query = AuditQuery {
        project: context.project().await?,
        user: user.clone(),
        verb: verb.clone(),
        resource: resource.clone(),
        since: since.clone(),
        until: until.clone(),
        limit: Some(*limit),
    };
    let mut records = std::pin::pin!(audit::read(context.session().await?, &query).await?);
    let mut rows = vec![];
    let ended = loop {
        match records.try_next().await {
            Ok(None) => break Ok(()),
            Ok(Some(record)) if *form == Output::Json => {
                context.terminal.line(&record.to_string())?;
            }
            Ok(Some(record)) => rows.push(row(&record)),
            // What was found until then is shown all the same.
            Err(error) => break Err(error),
        }
    };
    if *form == Output::Table {
        print(context, rows, *limit)?;
    }
    Ok(ended?)
}

/// The newest last, as other lists of what happened.
fn print(context: &Context, mut rows: Vec<Vec<String>>, limit: u32) -> Result<(), Error> {
    if rows.is_empty() {
        context.terminal.note("no records found");
        return Ok(());
    }
    let more = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    rows.push(["TIME", "USER", "VERB", "WHAT", "RESULT", "FROM"].map(str::to_owned).to_vec());
    rows.reverse();
    context.terminal.print(&columns(&rows, 0))?;
    if more {
        context.terminal.note("there may be more before: raise --limit, or say --until");
    }
    Ok(())
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn row(record: &Value) -> Vec<String> {
    let time = text(record, "/requestReceivedTimestamp");
    let time = time.split_once('.').map_or(time.to_owned(), |(seconds, _)| format!("{seconds}Z"));
    let user = text(record, "/user/username");
    let user = match text(record, "/impersonatedUser/username") {
        "" => user.to_owned(),
        mask => format!("{mask} (by {user})"),
    };
    let result = match record.pointer("/responseStatus/code").and_then(Value::as_u64) {
        Some(code) => code.to_string(),
        // The answer had only begun.
        None => text(record, "/stage").to_owned(),
    };
    let verb = text(record, "/verb").to_owned();
    vec![time, user, verb, what(record), result, text(record, "/sourceIPs/0").to_owned()]
}

/// `environments/exec shop/production`, or the path of what is no object.
fn what(record: &Value) -> String {
    let part = |name: &str| text(record, &format!("/objectRef/{name}")).to_owned();
    let (resource, subresource) = (part("resource"), part("subresource"));
    if resource.is_empty() {
        let path = text(record, "/requestURI");
        return path.split('?').next().unwrap_or_default().to_owned();
    }
    let mut what = resource;
    if !subresource.is_empty() {
        what.push('/');
        what.push_str(&subresource);
    }
    let object: Vec<String> =
        [part("namespace"), part("name")].into_iter().filter(|part| !part.is_empty()).collect();
    if !object.is_empty() {
        what.push(' ');
        what.push_str(&object.join("/"));
    }
    what
}

async fn verify(context: &Context, form: Report) -> Result<(), Error> {
    let report = audit::verify(context.session().await?).await?;
    match form {
        Report::Text => print_report(context, &report)?,
        Report::Json => context.terminal.print(&output::json(&report)?)?,
        Report::Yaml => context.terminal.print(&output::yaml(&report)?)?,
    }
    let AuditReport { problems, .. } = report;
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::Incomplete {
        message: format!("the log is not whole: {} problems", problems.len()),
        hint: Some(
            "somebody changed or removed records, or the disk lost them: compare with copies of \
             the log elsewhere"
                .to_owned(),
        ),
    })
}

fn print_report(context: &Context, report: &AuditReport) -> Result<(), Error> {
    let AuditReport { files, records, first, last, problems, notes } = report;
    for note in notes {
        context.terminal.note(&format!("note: {note}"));
    }
    for problem in problems {
        context.terminal.line(problem)?;
    }
    if problems.is_empty() {
        let line =
            format!("the log is whole: {records} records ({first} to {last}), {files} files");
        context.terminal.line(&line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn records_in_rows() {
        let rows = [
            json!({"requestReceivedTimestamp": "2026-01-01T10:00:00.123456Z", "verb": "create",
                "user": {"username": "ann"}, "impersonatedUser": {"username": "bob"},
                "sourceIPs": ["192.0.2.7"], "stage": "ResponseStarted",
                "objectRef": {"resource": "environments", "subresource": "exec",
                    "namespace": "shop", "name": "production"}}),
            json!({"requestReceivedTimestamp": "2026-01-01T10:00:01.000000Z", "verb": "login",
                "user": {"username": "ann"}, "requestURI": "/auth/login?x=y",
                "responseStatus": {"code": 401}}),
            json!({"requestReceivedTimestamp": "2026-01-01T10:00:02.000000Z", "verb": "delete",
                "user": {"username": "ann"}, "requestURI": "/x",
                "objectRef": {"resource": "users", "name": "eve"}, "responseStatus": {"code": 200}}),
        ]
        .map(|record| row(&record));
        insta::assert_snapshot!(columns(&rows, 0));
    }
}
