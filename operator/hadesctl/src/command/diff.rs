//! `hadesctl diff`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use hades_api::{API_VERSION, EnvironmentSpec};
use hades_client::object::Selection;
use hades_client::plan::PlanReport;
use hades_client::{Address, Session, catalog, object, plan};
use hades_plan::render;
use hades_source::manifest::Document;
use serde::Serialize;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::Error;
use crate::manifest::{self, Project};
use crate::output;
use crate::target::{self, Search, Target};
use crate::terminal::Paint;

const AFTER_HELP: &str = "\
Exit status: 0 nothing would change; 1 something would; 2 it failed.";

/// Show what would change: the plan against what really runs
///
/// With -f it is the plan that applying those manifests would lead to; nothing
/// is written.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT; all environments of the project, or that -f concerns, when left out
    address: Option<String>,

    /// Manifests to compare with instead of the stored ones: files, folders, or -
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

/// The plan of an environment, for programs.
#[derive(Debug, Serialize)]
struct Entry {
    environment: String,
    #[serde(flatten)]
    report: PlanReport,
}

/// Shows plans.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Error> {
    let session = context.session().await?;
    let mut entries = vec![];
    if arguments.files.is_empty() {
        for address in stored(context, session, arguments).await? {
            let report = match plan::current(session, &address).await {
                Ok(report) => report,
                Err(error) => {
                    let target = Target::environment(&address);
                    return Err(target::explain(session, &target, error).await);
                }
            };
            entries.push(Entry { environment: address.to_string(), report });
        }
    } else {
        let documents = load(context, &arguments.files).await?;
        for address in concerned(context, session, arguments, &documents).await? {
            // Another project's template of the same name is none of its business.
            let objects: Vec<Value> = documents
                .iter()
                .filter(|document| project_of(document) == address.project)
                .map(|document| document.value.clone())
                .collect();
            let report = match plan::preview(session, &address, &objects).await {
                Ok(report) => report,
                Err(error) if error.is_not_found() => {
                    let project = target::project_not_found(session, &address.project).await;
                    return Err(project.unwrap_or_else(|| error.into()));
                }
                Err(error) => return Err(error.into()),
            };
            entries.push(Entry { environment: address.to_string(), report });
        }
    }
    show(context, arguments.output, &entries)
}

async fn stored(
    context: &Context,
    session: &Session,
    arguments: &Arguments,
) -> Result<Vec<Address>, Error> {
    if let Some(text) = &arguments.address {
        return Ok(vec![environment(context, text).await?]);
    }
    let project = context.project().await?;
    let names = object::names(session, &catalog::environment(), project.as_deref()).await?;
    if names.is_empty() {
        if let Some(project) = &project
            && let Some(error) = target::project_not_found(session, project).await
        {
            return Err(error);
        }
        context.terminal.note("there are no environments");
    }
    let address = |(project, name): (Option<String>, String)| {
        Address::environment(project.unwrap_or_default(), name)
    };
    Ok(names.into_iter().map(address).collect())
}

async fn environment(context: &Context, text: &str) -> Result<Address, Error> {
    let target = if text.contains('/') {
        target::slashed(context, text, Search::AllProjects).await?
    } else {
        target::named(context, &catalog::environment(), text, Search::AllProjects).await?
    };
    if target.kind != catalog::environment() {
        return Err(Error::usage(
            format!("only environments have plans, not {target}"),
            "write PROJECT/ENVIRONMENT",
        ));
    }
    Ok(Address::environment(target.namespace.unwrap_or_default(), target.name))
}

/// The project that a document is in, or is.
fn project_of(document: &Document) -> &str {
    match document.kind.as_str() {
        "HadesProject" => &document.name,
        _ => document.namespace.as_deref().unwrap_or_default(),
    }
}

/// The projects, environments and templates among the manifests.
async fn load(context: &Context, files: &[PathBuf]) -> Result<Vec<Document>, Error> {
    let fallback = context.project().await?;
    let project = Project { flag: context.project_flag(), fallback: fallback.as_deref() };
    let mut documents = manifest::load(files, project)?;
    documents.retain(|document| {
        document.api_version == API_VERSION
            && matches!(
                document.kind.as_str(),
                "HadesProject" | "Environment" | "EnvironmentTemplate"
            )
    });
    Ok(documents)
}

/// The environments that would become different: those among the manifests,
/// the stored ones of a template among them, and those of a project whose
/// variables are others.
async fn concerned(
    context: &Context,
    session: &Session,
    arguments: &Arguments,
    documents: &[Document],
) -> Result<Vec<Address>, Error> {
    if let Some(text) = &arguments.address {
        return Ok(vec![environment(context, text).await?]);
    }
    let of_kind = |kind: &'static str| documents.iter().filter(move |found| found.kind == kind);
    let mut addresses: Vec<Address> = of_kind("Environment")
        .map(|document| Address::environment(project_of(document), &document.name))
        .collect();
    for project in of_kind("HadesProject") {
        addresses.extend(of_changed_project(session, project).await?);
    }
    for template in of_kind("EnvironmentTemplate") {
        let namespace = project_of(template);
        let selection = Selection::of_project(Some(namespace));
        for stored in object::list(session, &catalog::environment(), &selection).await? {
            let used = stored.data.pointer("/spec").and_then(|spec| {
                serde_json::from_value::<EnvironmentSpec>(spec.clone()).ok()?.template_ref
            });
            let name = stored.metadata.name.unwrap_or_default();
            if used.is_some_and(|used| used.name == template.name) {
                addresses.push(Address::environment(namespace, name));
            }
        }
    }
    if addresses.is_empty() {
        context.terminal.note("the manifests concern no environment");
    }
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

/// All environments of a stored project whose variables the manifest changes.
async fn of_changed_project(session: &Session, project: &Document) -> Result<Vec<Address>, Error> {
    let stored = object::get(session, &catalog::project(), None, &project.name).await?;
    let env = |object: &Value| object.pointer("/spec/env").cloned().unwrap_or_else(|| json!({}));
    let is_changed = stored.is_some_and(|stored| env(&stored.data) != env(&project.value));
    if !is_changed {
        return Ok(Vec::new());
    }
    let names = object::names(session, &catalog::environment(), Some(&project.name)).await?;
    Ok(names.into_iter().map(|(_, name)| Address::environment(&project.name, name)).collect())
}

fn show(context: &Context, form: Output, entries: &[Entry]) -> Result<ExitCode, Error> {
    if form == Output::Json {
        context.terminal.print(&output::json(&entries)?)?;
    }
    let mut changes = false;
    let mut broken = vec![];
    for (index, entry) in entries.iter().enumerate() {
        if form == Output::Text {
            if index > 0 {
                context.terminal.line("")?;
            }
            context.terminal.print(&text(entry, context.terminal.paint))?;
        }
        changes |= entry.report.plan.as_ref().is_some_and(|plan| !plan.is_empty());
        if entry.report.plan.is_none() {
            broken.push(entry.environment.clone());
        }
    }
    if !broken.is_empty() {
        return Err(Error::incomplete(format!(
            "{} can't be carried out as written",
            broken.join(", ")
        )));
    }
    Ok(if changes { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn text(entry: &Entry, paint: Paint) -> String {
    let mut text = String::new();
    for error in &entry.report.errors {
        text.push_str(&format!("{}: {error}\n", entry.environment));
    }
    if let Some(plan) = &entry.report.plan {
        text.push_str(&render::text(plan, paint.enabled));
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}
