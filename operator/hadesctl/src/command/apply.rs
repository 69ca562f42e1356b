//! `hadesctl apply`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hades_api::label;
use hades_client::nearest::nearest;
use hades_client::object::{self, Applied, ApplyMode, Owner, Selection};
use hades_client::wait::{Goal, until};
use hades_client::{Address, Catalog, FIELD_MANAGER, Kind, Session, catalog};
use hades_source::manifest::{Document, ManifestError};
use kube::api::DynamicObject;
use kube::core::Status;
use serde_json::Value;

use crate::command::wait::progress;
use crate::context::Context;
use crate::error::Error;
use crate::manifest::{self, Project};
use crate::resolved;
use crate::rollout::{self, WaitFlags};
use crate::scope::address_of;
use crate::target::Target;

/// How long the namespace of a new project may take to be made.
const NAMESPACE_PATIENCE: Duration = Duration::from_secs(30);

/// Create or change objects from manifests
///
/// All manifests are checked first, here and by the server: if one of them is
/// wrong, none is applied.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Files, folders, or - for standard input
    #[arg(short = 'f', long = "file", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Only check: `client` without a server, `server` with all of its checks
    #[arg(long, value_enum, value_name = "WHERE", num_args = 0..=1)]
    #[arg(default_missing_value = "server", require_equals = true)]
    dry_run: Option<DryRun>,

    /// Change what a repository owns, and take over fields that others set
    #[arg(long)]
    r#override: bool,

    #[command(flatten)]
    waiting: WaitFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DryRun {
    Client,
    Server,
}

/// A manifest on its way to the server.
struct Item {
    document: Document,
    kind: Kind,
    before: Option<DynamicObject>,
    /// Its namespace comes into being with a project of the same set.
    postponed: bool,
    /// The server found that nothing would change.
    unchanged: bool,
}

impl Item {
    fn namespace(&self) -> Option<&str> {
        self.document.namespace.as_deref().filter(|_| self.kind.namespaced)
    }

    fn target(&self) -> Target {
        Target {
            kind: self.kind.clone(),
            namespace: self.namespace().map(str::to_owned),
            name: self.document.name.clone(),
        }
    }

    /// The repository that owns the object.
    fn owner(&self) -> Option<Owner> {
        Owner::of(self.before.as_ref()?)
    }
}

/// Applies manifests.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    // Without a server nothing but the command line names a project.
    let fallback = match arguments.dry_run {
        Some(DryRun::Client) => None,
        _ => context.project().await?,
    };
    let project = Project { flag: context.project_flag(), fallback: fallback.as_deref() };
    let mut documents = manifest::load(&arguments.files, project)?;
    sort(&mut documents);
    refuse_sealed(&documents)?;
    if arguments.dry_run == Some(DryRun::Client) {
        let errors = resolved::check(&documents);
        if !errors.is_empty() {
            return Err(Error::Manifests(errors));
        }
        for document in &documents {
            context.terminal.line(&format!("{document} is valid (client dry run)"))?;
        }
        return Ok(());
    }
    let session = context.session().await?;
    let mut items = gather(context, session, documents).await?;
    check_all(session, &mut items, arguments.r#override, context).await?;
    if arguments.dry_run == Some(DryRun::Server) {
        return dry_run_result(context, session, &items, arguments.r#override).await;
    }
    for item in &items {
        if item.postponed
            && let Some(namespace) = item.namespace()
        {
            await_namespace(context, session, namespace).await?;
        }
        let applied = match (item.unchanged, item.owner()) {
            // Applied anyway, it would be owned twice, and fields that the
            // repository drops later would stay.
            (true, Some(_)) => Applied::Unchanged,
            _ => match apply(session, item, false, arguments.r#override).await {
                Ok(applied) => applied,
                Err(error) => return Err(explain(item, error)),
            },
        };
        context.terminal.line(&result_line(item, applied))?;
    }
    if arguments.waiting.wait {
        for address in concerned(session, &items).await? {
            rollout::request_and_follow(context, &address, arguments.waiting.timeout).await?;
        }
    }
    Ok(())
}

/// The environments that what was applied leads to, those of templates included.
async fn concerned(session: &Session, items: &[Item]) -> Result<Vec<Address>, Error> {
    let of_kind = |kind: &'static str| {
        items.iter().filter(move |item| {
            item.document.kind == kind && item.kind.resource.group == hades_api::GROUP
        })
    };
    let mut addresses: Vec<Address> = of_kind("Environment")
        .map(|item| Address::environment(item.namespace().unwrap_or_default(), &item.document.name))
        .collect();
    for template in of_kind("EnvironmentTemplate") {
        let selection = Selection::of_project(template.namespace());
        for environment in object::list(session, &catalog::environment(), &selection).await? {
            let used = environment.data.pointer("/spec/templateRef/name").and_then(Value::as_str);
            let address = address_of(&environment);
            if used == Some(template.document.name.as_str()) && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    Ok(addresses)
}

/// Nobody here has the keys, and the server would keep what is encrypted as the value.
fn refuse_sealed(documents: &[Document]) -> Result<(), Error> {
    let message = "it is sealed: commit it, and the ConfigRepository opens and applies it (who has \
                   a key may also: sops decrypt FILE | hadesctl apply -f -)";
    let errors: Vec<ManifestError> = documents
        .iter()
        .filter(|document| document.sealed)
        .map(|document| document.error_at("", message))
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Error::Manifests(errors)) }
}

fn result_line(item: &Item, applied: Applied) -> String {
    format!("{}/{} {applied}", item.kind.qualified(), item.document.name)
}

/// What others need comes first: projects, hosts, templates.
pub fn sort(documents: &mut [Document]) {
    let rank = |document: &Document| match document.kind.as_str() {
        "HadesProject" | "Namespace" => 0,
        "DockerHost" | "GitAccount" | "RegistryAccount" | "Secret" | "ConfigMap" => 1,
        "EnvironmentTemplate" => 2,
        "Environment" => 4,
        "ConfigRepository" => 5,
        _ => 3,
    };
    documents.sort_by_key(rank);
}

/// The kinds of all documents.
///
/// # Errors
/// [`Error::Manifests`] for those that the server doesn't serve.
pub async fn kinds(context: &Context, documents: &[Document]) -> Result<Vec<Kind>, Error> {
    let mut catalog = Catalog::built_in();
    let all_known = |catalog: &Catalog| {
        documents.iter().all(|doc| catalog.of_manifest(&doc.api_version, &doc.kind).is_some())
    };
    if !all_known(&catalog) {
        catalog.kinds.extend(Catalog::discover(context.session().await?).await?.kinds);
    }
    let mut kinds = vec![];
    let mut errors = vec![];
    for document in documents {
        match catalog.of_manifest(&document.api_version, &document.kind) {
            Some(kind) => kinds.push(kind.clone()),
            None => errors.push(unknown_kind(&catalog, document)),
        }
    }
    if errors.is_empty() { Ok(kinds) } else { Err(Error::Manifests(errors)) }
}

fn unknown_kind(catalog: &Catalog, document: &Document) -> ManifestError {
    let other = catalog.kinds.iter().find(|kind| kind.resource.kind == document.kind);
    if let Some(other) = other {
        let message = format!(
            "the server has no {} of {}: did you mean {}?",
            document.kind, document.api_version, other.resource.api_version
        );
        return document.error_at("apiVersion", message);
    }
    let names: Vec<&str> = catalog.kinds.iter().map(|kind| kind.resource.kind.as_str()).collect();
    let hint = nearest(&document.kind, names.iter().copied())
        .map_or_else(String::new, |name| format!(": did you mean {name}?"));
    document.error_at("kind", format!("the server has no kind {:?}{hint}", document.kind))
}

async fn gather(
    context: &Context,
    session: &Session,
    documents: Vec<Document>,
) -> Result<Vec<Item>, Error> {
    let kinds = kinds(context, &documents).await?;
    let mut items = vec![];
    for (mut document, kind) in documents.into_iter().zip(kinds) {
        // Kinds that aren't built in may be in a project, too.
        if kind.namespaced && document.namespace.is_none() {
            let Some(project) = context.project().await? else {
                let message =
                    "nothing says which project it is in: add `namespace: PROJECT`, or pass -p";
                return Err(Error::Manifests(vec![document.error_at("metadata", message)]));
            };
            document.value["metadata"]["namespace"] = project.clone().into();
            document.namespace = Some(project);
        }
        let namespace = document.namespace.clone().filter(|_| kind.namespaced);
        let before = object::get(session, &kind, namespace.as_deref(), &document.name).await?;
        items.push(Item { document, kind, before, postponed: false, unchanged: false });
    }
    Ok(items)
}

/// Has the server check all of them; tells everything that is wrong at once.
async fn check_all(
    session: &Session,
    items: &mut [Item],
    overriding: bool,
    context: &Context,
) -> Result<(), Error> {
    let projects: Vec<String> = items
        .iter()
        .filter(|item| matches!(item.document.kind.as_str(), "HadesProject" | "Namespace"))
        .map(|item| item.document.name.clone())
        .collect();
    let mut errors = vec![];
    for item in items {
        let owner = item.owner();
        match (apply(session, item, true, overriding || owner.is_some()).await, owner) {
            (Ok(Applied::Configured), Some(owner)) if overriding => {
                context.terminal.warn(&format!(
                    "{} belongs to the repository {owner}: its next sync puts back what is \
                     written there",
                    item.target()
                ));
            }
            (Ok(Applied::Configured), Some(owner)) => errors.push(owned_error(item, &owner)),
            (Ok(applied), _) => item.unchanged = applied == Applied::Unchanged,
            (Err(error), _) if is_namespace_missing(&error) => {
                if is_coming(item, &projects) || is_being_made(session, item).await? {
                    item.postponed = true;
                } else {
                    errors.push(project_missing(session, item).await);
                }
            }
            (Err(hades_client::Error::Api(status)), _) => errors.extend(refusal(item, &status)),
            (Err(other), _) => return Err(other.into()),
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::Manifests(errors)) }
}

fn is_coming(item: &Item, projects: &[String]) -> bool {
    item.namespace().is_some_and(|namespace| projects.iter().any(|name| name == namespace))
}

/// Whether the project is there and only its namespace isn't yet.
async fn is_being_made(session: &Session, item: &Item) -> Result<bool, Error> {
    let Some(project) = item.namespace() else { return Ok(false) };
    Ok(object::get(session, &catalog::project(), None, project).await?.is_some())
}

fn is_namespace_missing(error: &hades_client::Error) -> bool {
    let hades_client::Error::Api(status) = error else {
        return false;
    };
    let kind = status.details.as_ref().map(|details| details.kind.as_str());
    status.is_not_found() && matches!(kind, Some("namespaces" | "namespace"))
}

async fn project_missing(session: &Session, item: &Item) -> ManifestError {
    let project = item.namespace().unwrap_or_default();
    let known = object::names(session, &catalog::project(), None).await.unwrap_or_default();
    let hint = nearest(project, known.iter().map(|(_, name)| name.as_str()))
        .map_or_else(String::new, |name| format!(" (did you mean {name}?)"));
    item.document.error_at(
        "metadata.namespace",
        format!(
            "there is no project {project}{hint}: apply a HadesProject of that name, before this \
             or along with it"
        ),
    )
}

fn owned_error(item: &Item, owner: &Owner) -> ManifestError {
    item.document.error_at(
        "metadata.name",
        format!(
            "{} belongs to the repository {owner}: commit the change there, or pass --override, \
             which lasts until its next sync",
            item.target()
        ),
    )
}

/// Applies one manifest. What a repository owns is written in its name, so that
/// its next sync takes back all of it, and not only fields that it sets too.
async fn apply(
    session: &Session,
    item: &Item,
    dry_run: bool,
    force: bool,
) -> Result<Applied, hades_client::Error> {
    let mut value = item.document.value.clone();
    let owner = item.owner();
    if let Some(owner) = &owner {
        value["metadata"]["labels"][label::CONFIG_REPOSITORY] = owner.label.clone().into();
    }
    let manager = owner.map_or_else(|| FIELD_MANAGER.to_owned(), |owner| owner.manager());
    let mode = ApplyMode { dry_run, force, manager: &manager };
    let before = item.before.as_ref();
    let applied =
        object::apply(session, &item.kind, item.namespace(), &value, before, mode).await?;
    Ok(applied.0)
}

/// A refusal of the server, at the lines that it is about.
fn refusal(item: &Item, status: &Status) -> Vec<ManifestError> {
    let document = &item.document;
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or(&[]);
    if status.is_conflict() {
        let whole = format!(
            "{}: others set the same fields; pass --override to take them over: {}",
            item.target(),
            status.message
        );
        return vec![document.error_at("metadata.name", whole)];
    }
    if causes.is_empty() {
        return vec![document.error_at(&quoted_field(&status.message), status.message.clone())];
    }
    causes
        .iter()
        .map(|cause| match cause.field.as_str() {
            // The object as a whole, which Kubernetes writes in two ways.
            "" | "<nil>" => document.error_at("", cause.message.clone()),
            field => document.error_at(field, format!("{field}: {}", cause.message)),
        })
        .collect()
}

/// The field that a message is about: `unknown field "spec.x"`.
fn quoted_field(message: &str) -> String {
    let after = message.split_once("field \"").map(|(_, after)| after);
    let field = after.and_then(|after| after.split_once('"')).map(|(field, _)| field);
    field.unwrap_or_default().to_owned()
}

fn explain(item: &Item, error: hades_client::Error) -> Error {
    match error {
        hades_client::Error::Api(status) => Error::Manifests(refusal(item, &status)),
        other => other.into(),
    }
}

async fn dry_run_result(
    context: &Context,
    session: &Session,
    items: &[Item],
    overriding: bool,
) -> Result<(), Error> {
    for item in items {
        let applied = if item.postponed {
            Applied::Created
        } else {
            apply(session, item, true, overriding || item.owner().is_some()).await?
        };
        context.terminal.line(&format!("{} (server dry run)", result_line(item, applied)))?;
    }
    Ok(())
}

async fn await_namespace(
    context: &Context,
    session: &Session,
    namespace: &str,
) -> Result<(), Error> {
    let target = Target { kind: catalog::namespace(), namespace: None, name: namespace.to_owned() };
    let tell = progress(context, &target);
    until(session, target.subject(), &Goal::Ready, NAMESPACE_PATIENCE, tell).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hades_source::manifest::{Limits, read_bytes};

    fn documents(text: &str) -> Vec<Document> {
        read_bytes("a.yaml", text.as_bytes(), &Limits::default()).unwrap().documents
    }

    #[test]
    fn what_others_need_comes_first() {
        let mut documents = documents(
            "{apiVersion: v1, kind: Environment, metadata: {name: e}}\n---\n\
             {apiVersion: v1, kind: EnvironmentTemplate, metadata: {name: t}}\n---\n\
             {apiVersion: v1, kind: Role, metadata: {name: r}}\n---\n\
             {apiVersion: v1, kind: HadesProject, metadata: {name: p}}\n",
        );
        sort(&mut documents);
        let names: Vec<&str> = documents.iter().map(|document| document.name.as_str()).collect();
        assert_eq!(names, ["p", "t", "r", "e"]);
    }

    #[test]
    fn refusals_point_at_lines() {
        let document = documents(
            "apiVersion: hades.dev/v1alpha1\nkind: Environment\nmetadata: {name: a, namespace: shop}\n\
             spec:\n  services:\n    web:\n      replicas: 500\n",
        )
        .remove(0);
        let item = Item {
            document,
            kind: catalog::environment(),
            before: None,
            postponed: false,
            unchanged: false,
        };
        let status: Status = serde_json::from_value(serde_json::json!({
            "message": "Environment is invalid", "reason": "Invalid", "code": 422,
            "details": {"causes": [{"field": "spec.services.web.replicas", "message": "must be at most 100"}]},
        }))
        .unwrap();
        let text: Vec<String> = refusal(&item, &status).iter().map(ToString::to_string).collect();
        assert_eq!(text, ["a.yaml:7:7: spec.services.web.replicas: must be at most 100"]);
        assert_eq!(quoted_field("strict decoding error: unknown field \"spec.x\""), "spec.x");
    }
}
