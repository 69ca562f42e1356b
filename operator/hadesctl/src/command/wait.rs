//! `hadesctl wait`.

use std::time::Duration;

use clap::Args;
use hades_client::wait::{Goal, Standing, until};
use hades_client::{Session, object};

use crate::age::parse_duration;
use crate::context::Context;
use crate::error::Error;
use crate::target::{self, Search, Target};

/// Wait until an object is ready, gone or has a condition
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT or KIND/[PROJECT/]NAME
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,

    /// ready, delete or condition=TYPE[=STATUS]
    #[arg(long = "for", value_name = "WHAT", default_value = "ready", value_parser = parse_goal)]
    goal: Goal,

    /// How long to wait at most, for each
    #[arg(long, value_parser = parse_duration, default_value = "60s")]
    timeout: Duration,
}

fn parse_goal(text: &str) -> Result<Goal, String> {
    let refusal = || {
        format!("{text:?} is nothing to wait for: write ready, delete or condition=TYPE[=STATUS]")
    };
    match text.split_once('=') {
        None if text == "ready" => Ok(Goal::Ready),
        None if text == "delete" || text == "deleted" => Ok(Goal::Deleted),
        Some(("condition", condition)) if !condition.is_empty() => {
            let (type_, status) = condition.split_once('=').unwrap_or((condition, "True"));
            Ok(Goal::Condition { type_: type_.to_owned(), status: status.to_owned() })
        }
        _ => Err(refusal()),
    }
}

/// Tells on standard error how things stand while they are waited for.
pub fn progress(context: &Context, target: &Target) -> impl FnMut(&Standing) {
    move |standing| {
        let line = match standing {
            Standing::Stalled(why) => format!("waiting for {target}, which is stalled: {why}"),
            other => format!("waiting for {target}: {}", other.message()),
        };
        context.terminal.note(&line);
    }
}

/// Waits.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    for word in &arguments.targets {
        let target = target::slashed(context, word, Search::AllProjects).await?;
        let goal = &arguments.goal;
        let tell = progress(context, &target);
        if let Err(error) = until(session, target.subject(), goal, arguments.timeout, tell).await {
            return Err(explain(session, &target, error).await);
        }
        let reached = match goal {
            Goal::Ready | Goal::HandledAndReady(_) => "is ready".to_owned(),
            Goal::Deleted => "is gone".to_owned(),
            Goal::Condition { type_, status } => format!("has {type_}={status}"),
        };
        context.terminal.line(&format!("{target} {reached}"))?;
    }
    Ok(())
}

/// What isn't there may be called something else.
async fn explain(session: &Session, target: &Target, error: hades_client::Error) -> Error {
    let Target { kind, namespace, name } = target;
    if !matches!(error, hades_client::Error::TimedOut { .. }) {
        return error.into();
    }
    match object::get(session, kind, namespace.as_deref(), name).await {
        Ok(None) => target::not_found(session, target).await,
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals() {
        assert_eq!(parse_goal("ready"), Ok(Goal::Ready));
        assert_eq!(parse_goal("delete"), Ok(Goal::Deleted));
        let condition = |type_: &str, status: &str| {
            Ok(Goal::Condition { type_: type_.to_owned(), status: status.to_owned() })
        };
        assert_eq!(parse_goal("condition=Drifted"), condition("Drifted", "True"));
        assert_eq!(parse_goal("condition=Ready=False"), condition("Ready", "False"));
        assert!(parse_goal("condition=").is_err());
        assert!(parse_goal("healthy").is_err());
    }
}
