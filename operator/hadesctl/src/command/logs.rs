//! `hadesctl logs`.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use anstyle::AnsiColor;
use clap::Args;
use futures::TryStreamExt;
use hades_client::logs::{LogLine, LogQuery, stream};
use hades_client::{Address, object};
use kube::api::DynamicObject;
use serde_json::Value;

use crate::age::parse_duration;
use crate::context::Context;
use crate::error::Error;
use crate::target::{self, Target};
use crate::terminal::Paint;

/// Colours of replicas, in the order in which they first speak.
const COLORS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Red,
];

/// Show what containers write
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT for all services, PROJECT/ENVIRONMENT/SERVICE[/REPLICA] for one
    address: Option<String>,

    /// Only this replica of the service
    #[arg(long, value_name = "NUMBER")]
    replica: Option<u32>,

    /// Go on with what comes
    #[arg(short, long)]
    follow: bool,

    /// Only the last lines of each container
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,

    /// Only of this last while: 30s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    since: Option<Duration>,

    /// Tell the time of each line
    #[arg(short, long)]
    timestamps: bool,
}

/// Shows logs.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let mut address = context.container_address(arguments.address.as_deref()).await?;
    let replica = replica(&address, arguments.replica)?;
    address.instance = None;
    let session = context.session().await?;
    let target = Target::environment(&address);
    let project = Some(address.project.as_str());
    let found = object::get(session, &target.kind, project, &address.environment).await?;
    let Some(environment) = found else {
        return Err(target::not_found(session, &target).await);
    };
    let services = containers(&environment);
    if let Some(service) = &address.service {
        let mut known = target::services(session, &environment).await;
        known.extend(services.keys().cloned());
        known.sort();
        known.dedup();
        if let Some(error) = target::service_not_found(&address, service, &known) {
            return Err(error);
        }
    }
    let since = arguments.since.map(|since| {
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        context.now().as_second().saturating_sub(seconds)
    });
    let query = LogQuery {
        replica,
        follow: arguments.follow,
        tail: arguments.tail,
        since,
        timestamps: arguments.timestamps,
    };
    let mut printer = Printer::new(&address, replica, &services, context.terminal.paint);
    let mut entries = pin!(stream(session, &address, &query).await?);
    let mut problems = 0_usize;
    while let Some(entry) = entries.try_next().await? {
        match &entry.error {
            None => context.terminal.line(&printer.line(&entry))?,
            Some(error) => {
                problems += 1;
                context.terminal.warn(&problem(&entry, error));
            }
        }
        // Whoever follows wants each line when it comes.
        if arguments.follow {
            context.terminal.flush()?;
        }
    }
    if problems > 0 {
        return Err(Error::incomplete("not all containers could be read"));
    }
    Ok(())
}

/// The one replica that is asked for.
fn replica(address: &Address, flag: Option<u32>) -> Result<Option<u32>, Error> {
    match (flag, &address.instance, &address.service) {
        (Some(_), _, None) => {
            Err(Error::usage("--replica needs a service", format!("write {address}/SERVICE")))
        }
        (Some(flag), Some(_), _) if address.replica() != Some(flag) => Err(Error::usage(
            format!("{address} and --replica {flag} are two containers"),
            "leave one away",
        )),
        (None, Some(instance), Some(service)) if address.replica().is_none() => Err(Error::usage(
            format!("logs are shown by replica, and {instance:?} is a container's name"),
            format!("write {}/{service}/NUMBER", address.whole()),
        )),
        (flag, _, _) => Ok(flag.or_else(|| address.replica())),
    }
}

fn problem(entry: &LogLine, error: &str) -> String {
    if entry.service.is_empty() {
        return error.to_owned();
    }
    format!("{}-{} can't be read: {error}", entry.service, entry.replica)
}

/// How many containers each service has.
fn containers(environment: &DynamicObject) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let resources = environment.data.pointer("/status/resources").and_then(Value::as_array);
    for resource in resources.into_iter().flatten() {
        if let Some(service) = resource.get("service").and_then(Value::as_str) {
            *counts.entry(service.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Puts the name of the replica before each line when there are several.
struct Printer {
    prefixed: bool,
    width: usize,
    colors: BTreeMap<String, AnsiColor>,
    paint: Paint,
}

impl Printer {
    fn new(
        address: &Address,
        replica: Option<u32>,
        services: &BTreeMap<String, usize>,
        paint: Paint,
    ) -> Self {
        let concerned = |name: &&String| address.service.as_ref().is_none_or(|s| s == *name);
        let count: usize =
            services.iter().filter(|(name, _)| concerned(name)).map(|(_, count)| count).sum();
        let names = services.iter().filter(|(name, _)| concerned(name));
        let width = names.map(|(name, count)| name.len() + 1 + count.to_string().len()).max();
        Self {
            prefixed: replica.is_none() && count > 1,
            width: width.unwrap_or_default(),
            colors: BTreeMap::new(),
            paint,
        }
    }

    fn line(&mut self, line: &LogLine) -> String {
        let time = line.time.as_ref().map_or_else(String::new, |time| format!("{time} "));
        if !self.prefixed {
            return format!("{time}{}", line.line);
        }
        let name = format!("{}-{}", line.service, line.replica);
        let next = COLORS[self.colors.len() % COLORS.len()];
        let color = *self.colors.entry(name.clone()).or_insert(next);
        self.width = self.width.max(name.len());
        let prefix = self.paint.color(color, &format!("{name:width$} |", width = self.width));
        format!("{prefix} {time}{}", line.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(service: &str, replica: u32, text: &str) -> LogLine {
        LogLine { service: service.into(), replica, line: text.into(), ..LogLine::default() }
    }

    fn services() -> BTreeMap<String, usize> {
        BTreeMap::from([("api".to_owned(), 2), ("worker".to_owned(), 1)])
    }

    #[test]
    fn several_containers_are_told_apart() {
        let address = Address::environment("shop", "production");
        let mut printer = Printer::new(&address, None, &services(), Paint::default());
        assert_eq!(printer.line(&line("api", 1, "hello")), "api-1    | hello");
        assert_eq!(printer.line(&line("worker", 1, "x")), "worker-1 | x");
        let mut printer = Printer::new(&address, None, &services(), Paint { enabled: true });
        let (first, second) =
            (printer.line(&line("api", 1, "a")), printer.line(&line("api", 2, "a")));
        assert!(first.starts_with("\u{1b}[36m") && second.starts_with("\u{1b}[33m"));
    }

    #[test]
    fn one_container_needs_no_name() {
        let mut address = Address::environment("shop", "production");
        address.service = Some("worker".to_owned());
        let mut printer = Printer::new(&address, None, &services(), Paint::default());
        let mut timed = line("worker", 1, "x");
        timed.time = Some("2026-01-01T00:00:00Z".into());
        assert_eq!(printer.line(&timed), "2026-01-01T00:00:00Z x");
        address.service = Some("api".to_owned());
        let mut printer = Printer::new(&address, Some(2), &services(), Paint::default());
        assert_eq!(printer.line(&line("api", 2, "x")), "x");
    }
}
