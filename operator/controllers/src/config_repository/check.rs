//! Check: every object of a commit is tried without effect, and every error is
//! told with its file and line, before the first one is written.

use futures::stream::{self, StreamExt};
use hades_api::overriding::Override;
use hades_api::{
    ConfigRepository, HadesProject, InventoryEntry, ManifestProblem, POLICY_FIELD,
    SYSTEM_NAMESPACE, annotation, label, reason,
};
use hades_source::manifest::Document;
use kube::api::{DynamicObject, PartialObjectMeta, Patch, PatchParams, ValidationDirective};
use kube::core::Status;
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};

use super::kinds::Kind;
use super::record::Problem;
use super::{Desk, inventory};
use crate::driver::ReconcileError;

/// Tries that are under way at the same time.
const CONCURRENCY: usize = 8;

/// Annotations by which a person decides something, which a manifest can't.
const NOT_IN_MANIFESTS: [(&str, &str); 2] = [
    (
        annotation::OVERRIDE_UNTIL,
        "is for edits by hand: in the repository it would keep this object from being applied",
    ),
    (
        annotation::CONFIRM_PRUNE,
        "is for the person who agrees to a prune: in the repository a commit would agree to itself",
    ),
];

/// An object of a commit, ready to be applied.
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) api_version: String,
    pub(super) kind_name: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) value: Value,
    /// What a hand edit of the object asks for.
    pub(super) overridden: Option<Override>,
}

impl Object {
    /// HadesProjects and namespaces go first: the rest lives in them.
    pub(super) fn is_project(&self) -> bool {
        self.kind_name == HadesProject::kind(&()) || self.kind_name == "Namespace"
    }
}

/// Who owns an object, as the value of a label.
pub(super) fn owner(repository: &ConfigRepository) -> String {
    format!("{}.{}", repository.namespace().unwrap_or_default(), repository.name_any())
}

/// How a repository signs what it applies.
pub(super) fn field_manager(repository: &ConfigRepository) -> String {
    format!("hades-config/{}", owner(repository))
}

/// What documents that were applied stand for in the inventory. None if that can't be
/// told any more.
pub(super) async fn entries(
    desk: &Desk<'_>,
    documents: &[Document],
) -> Result<Option<Vec<InventoryEntry>>, ReconcileError> {
    let mut objects = Vec::with_capacity(documents.len());
    for document in documents {
        let kind = desk.kind_of(document).await?;
        match kind.map(|kind| scoped(desk.repository, document, kind)) {
            Some(Ok(object)) => objects.push(object),
            Some(Err(_)) | None => return Ok(None),
        }
    }
    Ok(Some(inventory::of(&objects)))
}

/// Makes objects of documents and tries them all.
pub(super) async fn check(
    desk: &Desk<'_>,
    documents: &[Document],
) -> Result<Result<Vec<Object>, Problem>, ReconcileError> {
    let mut objects = Vec::with_capacity(documents.len());
    let mut problems = Vec::new();
    for document in documents {
        let kind = desk.kind_of(document).await?;
        match kind
            .ok_or_else(|| unknown_kind(document))
            .and_then(|kind| scoped(desk.repository, document, kind))
        {
            Ok(object) => objects.push((document, object)),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Ok(Err(Problem::documents(reason::INVALID_MANIFESTS, problems)));
    }
    let tries: Vec<_> =
        objects.iter().map(|(document, object)| attempt_at(desk, document, object)).collect();
    let mut tries = stream::iter(tries).buffered(CONCURRENCY);
    let mut ownership = Vec::new();
    let mut forbidden = Vec::new();
    let mut overridden = Vec::with_capacity(objects.len());
    while let Some((document, result)) = tries.next().await {
        match result? {
            Attempt::Fine(found) => overridden.push(found),
            // The rules may come with the project in the same commit, which is applied
            // first; then the server judges again.
            Attempt::Refused(status, found)
                if brings_rules(documents, document, desk.repository, &status) =>
            {
                overridden.push(found);
            }
            Attempt::Refused(status, _) => problems.extend(refusals(document, &status)),
            Attempt::Forbidden(status) => {
                let problem = located(document, "metadata.name", status.message.clone());
                // It isn't about a field.
                forbidden.push(ManifestProblem { field: None, ..problem });
            }
            Attempt::OwnedBy(other) => ownership.push(located(
                document,
                "metadata.name",
                format!(
                    "{} {} belongs to ConfigRepository {other}; remove it from one of the two",
                    document.kind, document.name
                ),
            )),
        }
    }
    drop(tries);
    if !problems.is_empty() {
        return Ok(Err(Problem::documents(reason::INVALID_MANIFESTS, problems)));
    }
    if !forbidden.is_empty() {
        return Ok(Err(Problem::forbidden_documents(desk.account, forbidden)));
    }
    if !ownership.is_empty() {
        return Ok(Err(Problem::documents(reason::OWNERSHIP_CONFLICT, ownership)));
    }
    // With no problem there is one for each object, in their order.
    let objects = objects.into_iter().zip(overridden);
    Ok(Ok(objects.map(|((_, object), overridden)| Object { overridden, ..object }).collect()))
}

/// Whether an object was refused for the policy of its project alone, and the same
/// commit says what that policy is.
fn brings_rules(
    documents: &[Document],
    refused: &Document,
    repository: &ConfigRepository,
    status: &Status,
) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let rule = format!("({POLICY_FIELD}.");
    let mut causes = causes.map(|cause| cause.message.contains(&rule)).peekable();
    let home = repository.namespace();
    let project = refused.namespace.as_ref().or(home.as_ref());
    causes.peek().is_some()
        && causes.all(|by_policy| by_policy)
        && documents.iter().any(|document| {
            document.kind == HadesProject::kind(&()) && Some(&document.name) == project
        })
}

fn located(document: &Document, field: &str, message: String) -> ManifestProblem {
    let position = document.locate_nearest(field);
    ManifestProblem {
        file: Some(document.file.clone()),
        line: Some(position.line),
        column: Some(position.column),
        field: Some(field.to_owned()),
        message,
    }
}

fn unknown_kind(document: &Document) -> ManifestProblem {
    let message = format!(
        "there is no kind {} in {}; `kubectl api-resources` lists the kinds that there are",
        document.kind, document.api_version
    );
    located(document, "kind", message)
}

/// A repository of a project writes in its own namespace only.
fn scoped(
    repository: &ConfigRepository,
    document: &Document,
    kind: Kind,
) -> Result<Object, ManifestProblem> {
    let home = repository.namespace().unwrap_or_default();
    let fleet = home == SYSTEM_NAMESPACE;
    let namespace = match (&document.namespace, kind.namespaced) {
        (_, false) if !fleet => {
            let message = format!(
                "{} belongs to no project, and a ConfigRepository of project {home} may only write inside it; put it into a repository of {SYSTEM_NAMESPACE}",
                document.kind
            );
            return Err(located(document, "kind", message));
        }
        (_, false) => None,
        (Some(namespace), true) if fleet || *namespace == home => Some(namespace.clone()),
        (Some(namespace), true) => {
            let message = format!(
                "a ConfigRepository of project {home} may not write to project {namespace}"
            );
            return Err(located(document, "metadata.namespace", message));
        }
        (None, true) if fleet => {
            let message = format!(
                "say which project this {} belongs to: set metadata.namespace",
                document.kind
            );
            return Err(located(document, "metadata", message));
        }
        (None, true) => Some(home),
    };
    for (annotation, why) in NOT_IN_MANIFESTS {
        let pointer = format!("/metadata/annotations/{}", annotation.replace('/', "~1"));
        if document.value.pointer(&pointer).is_some() {
            let message = format!("{annotation} {why}");
            return Err(located(document, "metadata.annotations", message));
        }
    }
    let mut value = document.value.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        match &namespace {
            Some(namespace) => metadata.insert("namespace".to_owned(), json!(namespace)),
            None => metadata.remove("namespace"),
        };
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(label::CONFIG_REPOSITORY.to_owned(), json!(owner(repository)));
        }
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(annotation::CONFIG_FILE.to_owned(), json!(document.file));
        }
    }
    // Status is the controllers' own; a manifest copied from `get -o yaml` has one.
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    Ok(Object {
        kind,
        api_version: document.api_version.clone(),
        kind_name: document.kind.clone(),
        namespace,
        name: document.name.clone(),
        value,
        overridden: None,
    })
}

enum Attempt {
    Fine(Option<Override>),
    Refused(Box<Status>, Option<Override>),
    Forbidden(Box<Status>),
    OwnedBy(String),
}

async fn attempt_at<'a>(
    desk: &Desk<'_>,
    document: &'a Document,
    object: &Object,
) -> (&'a Document, Result<Attempt, ReconcileError>) {
    (document, attempt(desk, object).await)
}

async fn attempt(desk: &Desk<'_>, object: &Object) -> Result<Attempt, ReconcileError> {
    let Desk { context, repository, account, .. } = *desk;
    let found = match stored(desk, object).await {
        Err(kube::Error::Api(status)) if account.lacks_right(&status) => {
            return Ok(Attempt::Forbidden(status));
        }
        found => found
            .map_err(ReconcileError::api(format!("read {} {}", object.kind_name, object.name)))?,
    };
    let annotations = found.as_ref().map(ResourceExt::annotations);
    let overridden = annotations.and_then(|all| Override::of(all, context.now()));
    if let Some(other) = other_owner(desk, object, found.as_ref()).await? {
        return Ok(Attempt::OwnedBy(other));
    }
    let api = object.kind.api(&account.client, object.namespace.as_deref());
    let answer = dry_run(&api, repository, &object.name, &object.value).await;
    let answer = match answer {
        // The namespace comes with a HadesProject of the same commit. What an
        // object must be like doesn't depend on where it is tried.
        Err(kube::Error::Api(status)) if status.code == 404 && object.namespace.is_some() => {
            let api = object.kind.api(&account.client, Some(SYSTEM_NAMESPACE));
            let mut elsewhere = object.value.clone();
            elsewhere["metadata"]["namespace"] = json!(SYSTEM_NAMESPACE);
            dry_run(&api, repository, &object.name, &elsewhere).await
        }
        answer => answer,
    };
    match answer {
        Ok(_) => Ok(Attempt::Fine(overridden)),
        Err(kube::Error::Api(status)) if account.lacks_right(&status) => {
            Ok(Attempt::Forbidden(status))
        }
        Err(kube::Error::Api(status)) if status.code < 500 => {
            Ok(Attempt::Refused(status, overridden))
        }
        Err(error) => {
            Err(ReconcileError::api(format!("try {} {}", object.kind_name, object.name))(error))
        }
    }
}

async fn dry_run(
    api: &Api<DynamicObject>,
    repository: &ConfigRepository,
    name: &str,
    value: &Value,
) -> Result<DynamicObject, kube::Error> {
    api.patch(name, &parameters(repository).dry_run(), &Patch::Apply(value)).await
}

/// Forced: git is the owner of what it says.
pub(super) fn parameters(repository: &ConfigRepository) -> PatchParams {
    let mut parameters = PatchParams::apply(&field_manager(repository)).force();
    parameters.field_validation = Some(ValidationDirective::Strict);
    parameters
}

/// Metadata of the object as it is now.
async fn stored(
    desk: &Desk<'_>,
    object: &Object,
) -> Result<Option<PartialObjectMeta<DynamicObject>>, kube::Error> {
    let api = object.kind.api(&desk.account.client, object.namespace.as_deref());
    api.get_metadata_opt(&object.name).await
}

/// The other repository that owns the object, if that is still there. One that could
/// never have written it doesn't count: somebody made that label up.
async fn other_owner(
    desk: &Desk<'_>,
    object: &Object,
    found: Option<&PartialObjectMeta<DynamicObject>>,
) -> Result<Option<String>, ReconcileError> {
    let label = found.and_then(|found| found.labels().get(label::CONFIG_REPOSITORY).cloned());
    let Some(label) = label.filter(|label| *label != owner(desk.repository)) else {
        return Ok(None);
    };
    let Some((namespace, name)) = label.split_once('.') else { return Ok(None) };
    if namespace != SYSTEM_NAMESPACE && Some(namespace) != object.namespace.as_deref() {
        return Ok(None);
    }
    let repositories: Api<ConfigRepository> =
        Api::namespaced(desk.context.client.clone(), namespace);
    let other = repositories
        .get_metadata_opt(name)
        .await
        .map_err(ReconcileError::api(format!("read ConfigRepository {namespace}/{name}")))?;
    Ok(other.map(|_| format!("{namespace}/{name}")))
}

/// What the server said, each cause at its line.
pub(super) fn refusals(document: &Document, status: &Status) -> Vec<ManifestProblem> {
    let causes =
        status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    if causes.is_empty() {
        let unknown = unknown_fields(&status.message);
        if !unknown.is_empty() {
            return unknown
                .into_iter()
                .map(|(field, message)| located(document, field, message.to_owned()))
                .collect();
        }
        return vec![located(document, "metadata.name", status.message.clone())];
    }
    // Kubernetes adds a cause without a field that only says that there are others.
    let with_field = causes.iter().any(|cause| !is_whole(&cause.field));
    causes
        .iter()
        .filter(|cause| !with_field || !is_whole(&cause.field))
        .map(|cause| {
            let field = if is_whole(&cause.field) { "metadata.name" } else { &cause.field };
            located(document, field, cause.message.clone())
        })
        .collect()
}

/// Whether a cause is about the object as a whole, which Kubernetes writes in two
/// ways.
fn is_whole(field: &str) -> bool {
    matches!(field, "" | "<nil>")
}

/// The fields that a strict decoding error names, each with its own words.
/// Kubernetes puts all of them into one message and none into the causes:
/// `strict decoding error: unknown field "spec.a", unknown field "spec.b"`.
fn unknown_fields(message: &str) -> Vec<(&str, &str)> {
    const BEFORE: &str = "unknown field \"";
    let starts: Vec<usize> = message.match_indices(BEFORE).map(|(start, _)| start).collect();
    starts
        .iter()
        .enumerate()
        .filter_map(|(index, &start)| {
            let end = starts.get(index + 1).copied().unwrap_or(message.len());
            let words = message.get(start..end)?.trim_end_matches([',', ' ']);
            let (field, _) = words.get(BEFORE.len()..)?.split_once('"')?;
            Some((field, words))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_the_same_commit_are_waited_for() {
        let text = "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: shop}, spec: {}}\n---\n\
                    {apiVersion: hades.dev/v1alpha1, kind: Environment, metadata: {name: a, namespace: shop}, spec: {}}\n---\n\
                    {apiVersion: hades.dev/v1alpha1, kind: Environment, metadata: {name: a, namespace: blog}, spec: {}}";
        let limits = hades_source::manifest::Limits::default();
        let set = hades_source::manifest::read_bytes("a.yaml", text.as_bytes(), &limits).unwrap();
        assert!(set.errors.is_empty(), "{:?}", set.errors);
        let repository: ConfigRepository = serde_json::from_value(json!({
            "metadata": {"name": "config", "namespace": SYSTEM_NAMESPACE},
            "spec": {"url": "https://git.example.com/fleet"},
        }))
        .unwrap();
        let status = |messages: &[&str]| -> Status {
            let causes: Vec<Value> = messages.iter().map(|m| json!({"message": m})).collect();
            serde_json::from_value(json!({"code": 422, "details": {"causes": causes}})).unwrap()
        };
        let [project, shop, blog] = &set.documents[..] else { panic!("{:?}", set.documents) };
        let waits = |documents: &[Document], refused: &Document, messages: &[&str]| {
            brings_rules(documents, refused, &repository, &status(messages))
        };
        let denied = "Forbidden: policy of project shop doesn't allow x (spec.policy.privileged)";
        assert!(waits(&set.documents, shop, &[denied, denied]));
        assert!(!waits(&set.documents, shop, &[denied, "Required value"]));
        assert!(!waits(&set.documents, shop, &[]));
        assert!(!waits(&set.documents, blog, &[denied]), "its project is elsewhere");
        assert!(!waits(std::slice::from_ref(shop), shop, &[denied]));
        assert!(waits(std::slice::from_ref(project), shop, &[denied]));
    }

    #[test]
    fn unknown_fields_are_told_apart() {
        let message = "strict decoding error: unknown field \"spec.a\" (did you mean \"b\"?), unknown field \"spec.c\"";
        let expected = [
            ("spec.a", "unknown field \"spec.a\" (did you mean \"b\"?)"),
            ("spec.c", "unknown field \"spec.c\""),
        ];
        assert_eq!(unknown_fields(message), expected);
        assert!(unknown_fields("something else").is_empty());
    }
}
