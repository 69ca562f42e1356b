//! `hadesctl top`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use futures::{StreamExt, stream};
use hades_client::stats::{self, StatsEntry};
use hades_client::{Address, Session};
use serde::Serialize;

use crate::age::parse_duration;
use crate::context::Context;
use crate::error::Error;
use crate::layout::columns;
use crate::output;
use crate::scope::{Scope, address_of};

/// Environments asked at once.
const ASKED_AT_ONCE: usize = 8;
/// Between the two looks that make a rate.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Show what containers use of processor, memory and network
///
/// CPU is in thousandths of a processor, as in Kubernetes: 250m is a quarter of one.
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT, PROJECT/ENVIRONMENT or PROJECT/ENVIRONMENT/SERVICE; everything when left out
    scope: Option<String>,

    /// Of all projects
    #[arg(short = 'A', long, visible_alias = "all-namespaces", conflicts_with = "project")]
    all_projects: bool,

    /// Go on and show it again and again
    #[arg(short, long)]
    watch: bool,

    /// Pause between looks
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "2s")]
    #[arg(requires = "watch")]
    interval: Duration,

    /// What goes first
    #[arg(long, value_enum, default_value_t)]
    sort_by: SortBy,

    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum SortBy {
    /// Project, environment and service
    #[default]
    Name,
    /// The busiest
    Cpu,
    /// The largest
    Memory,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Table,
    Yaml,
    Json,
}

/// What a container uses.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    environment: String,
    service: String,
    replica: u32,
    host: String,
    container: String,
    /// Thousandths of a processor.
    cpu_millicores: Option<u64>,
    memory_bytes: u64,
    memory_limit_bytes: u64,
    /// A second.
    received_bytes: Option<u64>,
    /// A second.
    sent_bytes: Option<u64>,
}

/// What was warned of, and why.
type Told = BTreeMap<String, String>;

/// A look at everything.
type Look = BTreeMap<(Address, String, String), StatsEntry>;

/// Shows usage.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    let scope = Scope::read(context, arguments.scope.as_deref(), arguments.all_projects).await?;
    let mut told = BTreeMap::new();
    let mut before = look(context, session, &scope, &mut told).await?;
    let mut pause = FIRST_PAUSE;
    loop {
        if !before.is_empty() || arguments.watch {
            tokio::time::sleep(pause).await;
        }
        let now = look(context, session, &scope, &mut told).await?;
        tell(context, &mut told, troubles(&now));
        let usages = usages(&before, &now, arguments.sort_by);
        show(context, arguments, &scope, &usages)?;
        if !arguments.watch {
            return Ok(());
        }
        (before, pause) = (now, arguments.interval);
    }
}

/// Warns of what is new or has changed.
fn tell(context: &Context, told: &mut Told, troubles: Vec<(String, String)>) {
    for (place, why) in troubles {
        if told.insert(place.clone(), why.clone()).as_ref() != Some(&why) {
            context.terminal.warn(&format!("{place}: {why}"));
        }
    }
}

/// Looks at all environments. One that goes meanwhile is left out, and one that
/// can't be read only warned of, unless it is so with all of them.
async fn look(
    context: &Context,
    session: &Session,
    scope: &Scope,
    told: &mut Told,
) -> Result<Look, Error> {
    let environments = scope.environments(session).await?;
    let asked = environments.iter().map(|environment| {
        let address = address_of(environment);
        async move { (stats::read(session, &address).await, address) }
    });
    let answers: Vec<_> = stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
    let (mut read, mut failed) = (vec![], vec![]);
    for (answer, address) in answers {
        match answer {
            Ok(answer) => read.push((address, answer.items)),
            Err(error) if error.is_not_found() => {}
            Err(error) => failed.push((address, error)),
        }
    }
    if read.is_empty()
        && let Some((_, error)) = failed.drain(..).next()
    {
        return Err(error.into());
    }
    tell(context, told, failed.iter().map(|(a, why)| (a.to_string(), why.to_string())).collect());
    let mut look = Look::new();
    for (address, items) in read {
        for item in items {
            if scope
                .service()
                .is_none_or(|service| service == item.service || item.service.is_empty())
            {
                look.insert((address.clone(), item.host.clone(), item.container.clone()), item);
            }
        }
    }
    Ok(look)
}

/// What can't be told, and why: hosts once each, containers by their names.
fn troubles(look: &Look) -> Vec<(String, String)> {
    let mut troubles: Vec<(String, String)> = look
        .iter()
        .filter_map(|((address, host, container), entry)| {
            let why = entry.error.clone()?;
            let place = match container.is_empty() {
                true => format!("host {host}"),
                false => format!("{address}/{}/{}", entry.service, entry.replica),
            };
            Some((place, why))
        })
        .collect();
    troubles.sort();
    troubles.dedup();
    troubles
}

fn usages(before: &Look, now: &Look, sort_by: SortBy) -> Vec<Usage> {
    let mut usages: Vec<Usage> = now
        .iter()
        .filter_map(|(key, entry)| {
            let counters = entry.stats?;
            // A container that has restarted counts from nothing again.
            let earlier = before.get(key).and_then(|old| {
                let seconds = entry.time.duration_since(old.time).as_secs_f64();
                let old =
                    old.stats.filter(|old| old.cpu_nanoseconds <= counters.cpu_nanoseconds)?;
                (seconds > 0.0).then_some((old, seconds))
            });
            let rate = |now: u64, of: fn(&stats::Counters) -> u64, unit: f64| {
                earlier.map(|(old, seconds)| {
                    let grown = now.saturating_sub(of(&old));
                    (grown as f64 / unit / seconds).round() as u64
                })
            };
            let (address, _, _) = key;
            Some(Usage {
                environment: address.to_string(),
                service: entry.service.clone(),
                replica: entry.replica,
                host: entry.host.clone(),
                container: entry.container.clone(),
                cpu_millicores: rate(counters.cpu_nanoseconds, |c| c.cpu_nanoseconds, 1e6),
                memory_bytes: counters.memory_bytes,
                memory_limit_bytes: counters.memory_limit_bytes,
                received_bytes: rate(counters.received_bytes, |c| c.received_bytes, 1.0),
                sent_bytes: rate(counters.sent_bytes, |c| c.sent_bytes, 1.0),
            })
        })
        .collect();
    usages.sort_by(|a, b| {
        let name = |usage: &Usage| {
            (usage.environment.clone(), usage.service.clone(), usage.replica, usage.host.clone())
        };
        let largest = match sort_by {
            SortBy::Name => std::cmp::Ordering::Equal,
            SortBy::Cpu => b.cpu_millicores.cmp(&a.cpu_millicores),
            SortBy::Memory => b.memory_bytes.cmp(&a.memory_bytes),
        };
        largest.then_with(|| name(a).cmp(&name(b)))
    });
    usages
}

fn show(
    context: &Context,
    arguments: &Arguments,
    scope: &Scope,
    usages: &[Usage],
) -> Result<(), Error> {
    let text = match arguments.output {
        Output::Json => output::json(&usages)?,
        Output::Yaml => output::yaml(&usages)?,
        Output::Table if usages.is_empty() => {
            context.terminal.note("no container runs");
            return Ok(());
        }
        Output::Table => columns(&table(usages, scope.is_wide()), 0),
    };
    if arguments.watch && context.terminal.is_live() {
        context.terminal.print("\u{1b}[H\u{1b}[2J")?;
    }
    context.terminal.print(&text)?;
    if arguments.watch && !context.terminal.is_live() {
        context.terminal.line("")?;
    }
    context.terminal.flush()
}

fn table(usages: &[Usage], environments: bool) -> Vec<Vec<String>> {
    let head = ["SERVICE", "REPLICA", "HOST", "CPU", "MEMORY", "LIMIT", "NET IN", "NET OUT"];
    let row = |environment: &str, cells: [String; 8]| -> Vec<String> {
        environments.then(|| environment.to_owned()).into_iter().chain(cells).collect()
    };
    let mut rows = vec![row("ENVIRONMENT", head.map(str::to_owned))];
    let rate = |bytes: Option<u64>| {
        bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{}/s", quantity(bytes)))
    };
    rows.extend(usages.iter().map(|usage| {
        let cells = [
            usage.service.clone(),
            usage.replica.to_string(),
            usage.host.clone(),
            usage.cpu_millicores.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu}m")),
            quantity(usage.memory_bytes),
            quantity(usage.memory_limit_bytes),
            rate(usage.received_bytes),
            rate(usage.sent_bytes),
        ];
        row(&usage.environment, cells)
    }));
    rows
}

/// Bytes in the units of Kubernetes, with at most three digits that say something.
fn quantity(bytes: u64) -> String {
    let units = ["", "Ki", "Mi", "Gi", "Ti"];
    let (mut value, mut index) = (bytes as f64, 0);
    while value >= 1000.0 && index + 1 < units.len() {
        value /= 1024.0;
        index += 1;
    }
    match units.get(index) {
        Some(unit) if index > 0 && value < 10.0 => format!("{value:.1}{unit}"),
        Some(unit) => format!("{value:.0}{unit}"),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use hades_client::stats::Counters;

    use super::*;

    fn entry(container: &str, second: u32, counters: Option<Counters>) -> StatsEntry {
        StatsEntry {
            service: "api".to_owned(),
            replica: container.trim_start_matches('c').parse().unwrap_or(0),
            container: container.to_owned(),
            host: "local".to_owned(),
            time: format!("2026-06-01T00:00:{second:02}Z").parse().unwrap(),
            stats: counters,
            error: counters.is_none().then(|| "it is exited".to_owned()),
        }
    }

    fn look(entries: Vec<StatsEntry>) -> Look {
        let address = Address::environment("shop", "production");
        entries
            .into_iter()
            .map(|entry| ((address.clone(), entry.host.clone(), entry.container.clone()), entry))
            .collect()
    }

    #[test]
    fn two_looks_make_rates() {
        let counters = |cpu: u64, memory: u64, received: u64| Counters {
            cpu_nanoseconds: cpu,
            memory_bytes: memory,
            memory_limit_bytes: 256 << 20,
            received_bytes: received,
            sent_bytes: 0,
            processes: 1,
        };
        let before = look(vec![
            entry("c1", 0, Some(counters(1_000_000_000, 1, 0))),
            entry("c2", 0, Some(counters(9_000_000_000, 1, 0))),
        ]);
        let now = look(vec![
            entry("c1", 2, Some(counters(1_500_000_000, 20 << 20, 4096))),
            // Restarted meanwhile.
            entry("c2", 2, Some(counters(1_000_000, 900, 0))),
            entry("c3", 2, None),
        ]);
        let found = usages(&before, &now, SortBy::Name);
        insta::assert_snapshot!(columns(&table(&found, true), 0));
        assert_eq!(usages(&before, &now, SortBy::Memory)[0].container, "c1");
        assert_eq!(
            troubles(&now),
            [("shop/production/api/3".to_owned(), "it is exited".to_owned())]
        );
    }

    #[test]
    fn quantities() {
        for (bytes, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0Ki"),
            (10 << 10, "10Ki"),
            (1536 << 10, "1.5Mi"),
            (8 << 30, "8.0Gi"),
            (u64::MAX, "16777216Ti"),
        ] {
            assert_eq!(quantity(bytes), text);
        }
    }
}
