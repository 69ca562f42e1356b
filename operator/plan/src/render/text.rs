//! A plan as text, in the manner of Terraform.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::{line, words};
use crate::action::{Action, Operation, Reason};
use crate::desired::{ContainerSpec, EnvVar};
use crate::plan::{Plan, Summary, Waiting};
use crate::setting;

/// What an action does to the thing that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Fetch,
    Create,
    Update,
    Replace,
    Remove,
}

impl Mark {
    fn text(self) -> &'static str {
        match self {
            Self::Fetch => " <=",
            Self::Create => "  +",
            Self::Update => "  ~",
            Self::Replace => "-/+",
            Self::Remove => "  -",
        }
    }

    fn style(self) -> Style {
        let colour = match self {
            Self::Fetch => AnsiColor::Cyan,
            Self::Create => AnsiColor::Green,
            Self::Update | Self::Replace => AnsiColor::Yellow,
            Self::Remove => AnsiColor::Red,
        };
        colour.on_default()
    }
}

/// Writes with or without colour.
struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn styled(&self, style: Style, text: &str) -> String {
        match self.colour {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    fn line(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.text, "{}", line.as_ref());
    }

    fn title(&mut self, title: &str) {
        let title = self.styled(Style::new().bold(), title);
        self.line(format!("\n{title}"));
    }
}

/// The whole plan. A container that takes the place of another is one entry,
/// though it is two actions. `colour` asks for ANSI escapes.
pub fn text(plan: &Plan, colour: bool) -> String {
    let mut page = Page { text: String::new(), colour };
    if plan.is_empty() {
        page.line(format!("No changes. {} is as described.", plan.environment));
    } else {
        let name = page.styled(Style::new().bold(), &plan.environment.to_string());
        page.line(name);
    }
    entries(plan, &mut page);
    if !plan.waiting.is_empty() {
        page.title("Waiting:");
        for waiting in &plan.waiting {
            waits(waiting, &mut page);
        }
    }
    if !plan.lints.is_empty() {
        page.title("Remarks:");
        for lint in &plan.lints {
            page.line(format!("  {}: {}", lint.field, lint.message));
        }
    }
    if !plan.is_empty() {
        let summary = summary(plan.summary());
        page.title(&summary);
    }
    page.text
}

fn entries(plan: &Plan, page: &mut Page) {
    let replaced: BTreeMap<(&str, &str), &Action> = plan
        .actions
        .iter()
        .filter_map(|action| match &action.operation {
            Operation::CreateContainer { replaces: Some(old), .. } => {
                Some(((action.target.host.as_str(), old.as_str()), action))
            }
            _ => None,
        })
        .collect();
    let mut shown = BTreeSet::new();
    for action in &plan.actions {
        let target = (action.target.host.as_str(), action.target.name.as_str());
        let action = match &action.operation {
            // The pair stands where its first half does.
            Operation::RemoveContainer { .. } => replaced.get(&target).copied().unwrap_or(action),
            _ => action,
        };
        if shown.insert(&action.id) {
            entry(action, page);
        }
    }
}

fn entry(action: &Action, page: &mut Page) {
    let mark = mark(&action.operation);
    let style = mark.style();
    let head = match &action.operation {
        Operation::CreateContainer { replaces: Some(old), .. } if *old != action.target.name => {
            format!("replace {} (was {old})", line::thing(&action.target))
        }
        Operation::CreateContainer { replaces: Some(_), .. } => {
            format!("replace {}", line::thing(&action.target))
        }
        _ => line::head(action),
    };
    let details = details(action);
    let why = match &action.reason {
        Reason::Absent => String::new(),
        Reason::SpecChanged { changes } if !changes.is_empty() => String::new(),
        reason => format!(": {}", words::reason(reason)),
    };
    let mark = page.styled(style, mark.text());
    page.line(format!("\n{mark} {head}{why}"));
    for detail in details {
        page.line(format!("      {detail}"));
    }
}

fn mark(operation: &Operation) -> Mark {
    match operation {
        Operation::PullImage => Mark::Fetch,
        Operation::CreateContainer { replaces: Some(_), .. } => Mark::Replace,
        Operation::CreateContainer { .. }
        | Operation::CreateNetwork { .. }
        | Operation::CreateVolume { .. } => Mark::Create,
        Operation::StartContainer { .. }
        | Operation::StopContainer { .. }
        | Operation::UnpauseContainer { .. }
        | Operation::ConnectNetwork { .. } => Mark::Update,
        Operation::RemoveContainer { .. }
        | Operation::RemoveNetwork { .. }
        | Operation::RemoveImage { .. }
        | Operation::RemoveVolume => Mark::Remove,
    }
}

/// What a person wants to see of an action before it happens.
fn details(action: &Action) -> Vec<String> {
    match (&action.operation, &action.reason) {
        (_, Reason::SpecChanged { changes }) => changes.iter().map(words::change).collect(),
        (Operation::CreateNetwork { subnet, .. }, _) => vec![format!("subnet: {subnet}")],
        (Operation::CreateContainer { spec, .. }, Reason::Absent) => settings(spec),
        (Operation::RemoveVolume, _) => vec!["its data is deleted".to_owned()],
        _ => Vec::new(),
    }
}

/// The settings of a new container that differ from an engine's defaults.
fn settings(spec: &ContainerSpec) -> Vec<String> {
    let mut settings = vec![format!("image: {}", spec.image)];
    let mut list = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            settings.push(format!("{name}: {}", values.join(", ")));
        }
    };
    list("entrypoint", spec.entrypoint.iter().map(|words| format!("{words:?}")).collect());
    list("command", spec.command.iter().map(|words| format!("{words:?}")).collect());
    list("user", spec.user.iter().cloned().collect());
    list("ports", spec.ports.iter().map(ToString::to_string).collect());
    let mounts = spec.mounts.iter().map(|mount| {
        let mode = if mount.read_only { ":ro" } else { "" };
        format!("{}:{}{mode}", mount.source, mount.path)
    });
    list("volumes", mounts.collect());
    settings.extend(setting::of(spec).iter().map(|(field, value)| format!("{field}: {value}")));
    settings.extend(spec.env.iter().map(|(key, value)| match value {
        EnvVar::Plain(text) => format!("env.{key}: {}", words::quoted(text)),
        EnvVar::Secret { .. } => format!("env.{key}: (secret)"),
    }));
    settings
}

fn waits(waiting: &Waiting, page: &mut Page) {
    let mark = page.styled(AnsiColor::Magenta.on_default(), "  !");
    let (thing, cause) = (line::thing(&waiting.target), words::cause(&waiting.cause));
    page.line(format!("{mark} {thing}: {cause}"));
    if let Some(advice) = words::advice(&waiting.cause) {
        page.line(format!("      {advice}"));
    }
}

/// `Plan: 2 to create, 1 to replace.`
fn summary(summary: Summary) -> String {
    let Summary { create, update, replace, remove, waiting } = summary;
    let counts = [
        (create, "to create"),
        (update, "to update"),
        (replace, "to replace"),
        (remove, "to remove"),
        (waiting, "waiting"),
    ];
    let words: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match words.is_empty() {
        // Only images are pulled.
        true => "Plan: nothing to create, replace or remove.".to_owned(),
        false => format!("Plan: {}.", words.join(", ")),
    }
}
