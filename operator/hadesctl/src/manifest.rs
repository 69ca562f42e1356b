//! Manifests on disk or standard input: reading, and all checks that need no
//! server.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use hades_api::name::{check_label, is_reserved};
use hades_api::{
    API_VERSION, ConfigRepository, DockerHost, Environment, EnvironmentTemplate, GROUP, GitAccount,
    HadesProject, RegistryAccount, User,
};
use hades_client::Catalog;
use hades_client::nearest::nearest;
use hades_source::manifest::{
    Document, Limits, ManifestError, ManifestSet, STDIN_NAME, read_bytes, read_path,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path as FieldPath, Segment};

use crate::error::Error;

/// Problems told per document: one mistake may break a field in many places.
const MAX_PROBLEMS: usize = 25;

/// Fields of every manifest.
const TOP_FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// Fields of `metadata` that a person may write.
const METADATA_FIELDS: [&str; 7] =
    ["annotations", "finalizers", "generateName", "labels", "name", "namespace", "ownerReferences"];

/// Which project manifests are in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Project<'a> {
    /// Named on the command line: manifests must agree.
    pub flag: Option<&'a str>,
    /// For manifests that name none.
    pub fallback: Option<&'a str>,
}

/// Reads files, folders and standard input (`-`), and checks everything.
///
/// # Errors
/// [`Error::Manifests`] with all that is wrong, [`Error::Read`] when a path
/// can't be read, and [`Error::Usage`] when there is nothing in them.
pub fn load(paths: &[PathBuf], project: Project<'_>) -> Result<Vec<Document>, Error> {
    let mut set: Option<ManifestSet> = None;
    for path in paths {
        let next = read(path)?;
        match &mut set {
            None => set = Some(next),
            Some(set) => set.extend(next),
        }
    }
    let Some(mut set) = set else {
        return Ok(vec![]);
    };
    for document in &mut set.documents {
        set.errors.extend(check(document));
        settle_project(document, project, &mut set.errors);
    }
    if !set.errors.is_empty() {
        set.errors.sort();
        return Err(Error::Manifests(set.errors));
    }
    if set.documents.is_empty() {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Error::usage(
            format!("there is no manifest in {}", names.join(", ")),
            "manifests are .yaml, .yml and .json files; `hadesctl init DIR` makes a start",
        ));
    }
    Ok(set.documents)
}

fn read(path: &Path) -> Result<ManifestSet, Error> {
    let limits = Limits::default();
    if path.as_os_str() != "-" {
        return read_path(path, &limits).map_err(Error::Read);
    }
    let mut bytes = vec![];
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(|source| Error::File {
        verb: "read",
        path: STDIN_NAME.into(),
        source,
    })?;
    read_bytes(STDIN_NAME, &bytes, &limits).map_err(Error::Read)
}

/// Gives a document the project that it is in, in its value too.
fn settle_project(document: &mut Document, project: Project<'_>, errors: &mut Vec<ManifestError>) {
    // Kinds that aren't built in are the server's to judge.
    let catalog = Catalog::built_in();
    let Some(kind) = catalog.of_manifest(&document.api_version, &document.kind) else {
        return;
    };
    if !kind.namespaced {
        if document.namespace.is_some() {
            errors.push(document.error_at(
                "metadata.namespace",
                format!("a {} is in no project: remove this line", document.kind),
            ));
        }
        return;
    }
    match (&document.namespace, project.flag) {
        (Some(written), Some(project)) if written != project => {
            errors.push(document.error_at(
                "metadata.namespace",
                format!(
                    "the manifest is of project {written}, and -p says {project}: leave one away"
                ),
            ));
        }
        (Some(_), _) => {}
        (None, flag) => match flag.or(project.fallback) {
            Some(project) => {
                document.namespace = Some(project.to_owned());
                document.value["metadata"]["namespace"] = Value::String(project.to_owned());
            }
            None => errors.push(document.error_at(
                "metadata",
                format!(
                    "nothing says which project the {} is in: add `namespace: PROJECT`, or pass -p",
                    document.kind
                ),
            )),
        },
    }
}

/// Everything that is wrong with a document as far as can be told offline.
pub fn check(document: &Document) -> Vec<ManifestError> {
    if document.group() != GROUP {
        return vec![];
    }
    if document.api_version != API_VERSION {
        let message = format!("{} is not served: write {API_VERSION}", document.api_version);
        return vec![document.error_at("apiVersion", message)];
    }
    let problems = match document.kind.as_str() {
        "ConfigRepository" => typed::<ConfigRepository>(&document.value),
        "DockerHost" => typed::<DockerHost>(&document.value),
        "GitAccount" => typed::<GitAccount>(&document.value),
        "Environment" => typed::<Environment>(&document.value),
        "EnvironmentTemplate" => typed::<EnvironmentTemplate>(&document.value),
        "HadesProject" => typed::<HadesProject>(&document.value),
        "RegistryAccount" => typed::<RegistryAccount>(&document.value),
        "User" => typed::<User>(&document.value),
        other => {
            let catalog = Catalog::built_in();
            let known: Vec<&str> =
                catalog.category("hades").iter().map(|k| k.resource.kind.as_str()).collect();
            let hint = match nearest(other, known.iter().copied()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("kinds: {}", known.join(", ")),
            };
            let message = format!("{GROUP} has no kind {other:?}: {hint}");
            return vec![document.error_at("kind", message)];
        }
    };
    let mut errors: Vec<ManifestError> = outer_problems(document)
        .into_iter()
        .chain(problems)
        .map(|Problem { field, message }| {
            let message = if field.is_empty() { message } else { format!("{field}: {message}") };
            (field, message)
        })
        .map(|(field, message)| document.error_at(&field, message))
        .collect();
    errors.extend(name_problem(document));
    errors
}

fn name_problem(document: &Document) -> Option<ManifestError> {
    let name = &document.name;
    if document.kind == "HadesProject" && is_reserved(name) {
        let message =
            format!("a project can't be called {name}: default, kube-* and hades-* are reserved");
        return Some(document.error_at("metadata.name", message));
    }
    // Names of users may have dots, as mail addresses do; the server knows.
    if document.kind == "User" {
        return None;
    }
    let error = check_label(name).err()?;
    Some(document.error_at("metadata.name", format!("metadata.name: {error}")))
}

/// Something wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    field: String,
    message: String,
}

/// The frame that all kinds share, which their types don't check.
fn outer_problems(document: &Document) -> Vec<Problem> {
    let mut problems = vec![];
    let mut check = |object: Option<&Value>, prefix: &str, known: &[&str]| {
        let Some(fields) = object.and_then(Value::as_object) else {
            return;
        };
        for field in fields.keys().filter(|field| !known.contains(&field.as_str())) {
            problems.push(Problem {
                field: format!("{prefix}{field}"),
                message: unknown_field(field, known),
            });
        }
    };
    check(Some(&document.value), "", &TOP_FIELDS);
    check(document.value.get("metadata"), "metadata.", &METADATA_FIELDS);
    problems
}

/// Reads `value` as its type, again and again without what is wrong, so that
/// all problems are told at once.
fn typed<T: DeserializeOwned>(value: &Value) -> Vec<Problem> {
    let mut value = value.clone();
    let mut problems = vec![];
    // Status is the server's, whatever a manifest says.
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    let mut removed = BTreeSet::new();
    while problems.len() < MAX_PROBLEMS {
        let Err(error) = serde_path_to_error::deserialize::<_, T>(value.clone()) else {
            break;
        };
        let path = error.path().clone();
        let field = field_path(&path, &removed);
        let message = in_our_words(&error.into_inner().to_string());
        if field.ends_with(']') {
            removed.insert(field.clone());
        }
        problems.push(Problem { field, message });
        if !remove(&mut value, &path) {
            break;
        }
    }
    problems
}

/// The path as the person sees it: items that were taken out of lists before
/// (`removed`) count.
fn field_path(path: &FieldPath, removed: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => {
                let mut seen = *index;
                let mut original = 0;
                loop {
                    if !removed.contains(&format!("{text}[{original}]")) {
                        if seen == 0 {
                            break;
                        }
                        seen -= 1;
                    }
                    original += 1;
                }
                text.push_str(&format!("[{original}]"));
            }
            Segment::Map { key } => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

/// Takes out what the path leads to, so that the next problem shows. Says
/// whether there was anything to take out.
fn remove(value: &mut Value, path: &FieldPath) -> bool {
    let steps: Vec<&Segment> = path
        .iter()
        .filter(|segment| matches!(segment, Segment::Seq { .. } | Segment::Map { .. }))
        .collect();
    let Some((last, above)) = steps.split_last() else {
        return false;
    };
    let mut here = value;
    for step in above {
        let next = match step {
            Segment::Seq { index } => here.get_mut(index),
            Segment::Map { key } => here.get_mut(key),
            _ => None,
        };
        let Some(next) = next else { return false };
        here = next;
    }
    match (last, here) {
        (Segment::Seq { index }, Value::Array(items)) if *index < items.len() => {
            items.remove(*index);
            true
        }
        // A required mapping stays, as an empty one.
        (Segment::Map { key }, Value::Object(fields)) if key == "spec" => {
            fields.remove(key).is_some_and(|spec| spec != Value::Object(serde_json::Map::new()))
                && fields.insert(key.clone(), Value::Object(serde_json::Map::new())).is_none()
        }
        (Segment::Map { key }, Value::Object(fields)) => fields.remove(key).is_some(),
        _ => false,
    }
}

/// Messages of serde, in the words of people who write YAML.
fn in_our_words(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("unknown field `")
        && let Some((field, expected)) = rest.split_once("`, ")
    {
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        return unknown_field(field, &known);
    }
    if let Some(rest) = message.strip_prefix("unknown variant `")
        && let Some((variant, expected)) = rest.split_once("`, ")
    {
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        return format!("{variant:?} is none of {}", known.join(", "));
    }
    if let Some(field) = message.strip_prefix("missing field `") {
        return format!("{} is missing", field.trim_end_matches('`'));
    }
    if let Some(rest) = message.strip_prefix("invalid type: ")
        && let Some((found, expected)) = rest.split_once(", expected ")
    {
        return format!("expected {}, found {}", plain(expected), plain(found));
    }
    message.to_owned()
}

/// Types, in the words of YAML rather than of Rust.
fn plain(words: &str) -> String {
    match words {
        "a sequence" | "sequence" => "a list".to_owned(),
        "a map" | "map" => "a mapping".to_owned(),
        "unit value" | "null" => "nothing".to_owned(),
        "a string" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "u8" | "u16" | "u32" | "u64" => "a whole number of 0 or more".to_owned(),
        "i32" | "i64" => "a whole number".to_owned(),
        struct_ if struct_.starts_with("struct ") => "a mapping".to_owned(),
        other => other
            .replace("string ", "the text ")
            .replace("integer ", "the number ")
            .replace("floating point ", "the number ")
            .replace("boolean ", ""),
    }
}

fn unknown_field(field: &str, known: &[&str]) -> String {
    match nearest(field, known.iter().copied()) {
        Some(name) => format!("there is no such field, did you mean {name}?"),
        None if known.is_empty() => "there is no such field".to_owned(),
        None => format!("there is no such field; there are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let set = read_bytes("a.yaml", text.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(set.errors, []);
        let mut errors: Vec<_> = set.documents.iter().flat_map(check).collect();
        errors.sort();
        errors.iter().map(ToString::to_string).collect()
    }

    const HEAD: &str = "apiVersion: hades.dev/v1alpha1\nkind: Environment\nmetadata:\n  name: a\n";

    #[test]
    fn all_problems_of_a_document_at_once() {
        let found = errors(&format!(
            "{HEAD}spec:\n  services:\n    web:\n      imag: nginx\n      replicas: two\n      \
             ports: [\"99999\", \"80\", x]\n      restart: sometimes\n    api: []\n"
        ));
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn fields_outside_of_the_spec() {
        let found = errors(
            "apiVersion: hades.dev/v1alpha1\nkind: HadesProject\nmetadata:\n  name: hades-x\n  \
             label: {}\nspecs: {}\n",
        );
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn kinds_and_versions() {
        let found =
            errors("apiVersion: hades.dev/v1alpha1\nkind: Environement\nmetadata: {name: a}\n");
        insta::assert_snapshot!(found.join("\n"));
        let found = errors("apiVersion: hades.dev/v1\nkind: Environment\nmetadata: {name: a}\n");
        insta::assert_snapshot!(found.join("\n"));
        assert_eq!(errors("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"), [""; 0]);
    }

    #[test]
    fn projects() {
        let settle = |text: &str, flag: Option<&str>| {
            let mut set = read_bytes("a.yaml", text.as_bytes(), &Limits::default()).unwrap();
            let mut errors = vec![];
            let project = Project { flag, fallback: None };
            settle_project(&mut set.documents[0], project, &mut errors);
            (
                set.documents[0].namespace.clone(),
                errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            )
        };
        let environment = format!("{HEAD}spec: {{}}\n");
        assert_eq!(settle(&environment, Some("shop")).0.as_deref(), Some("shop"));
        insta::assert_snapshot!(settle(&environment, None).1[0]);
        let named = environment.replace("name: a", "name: a\n  namespace: blog");
        assert_eq!(settle(&named, None).0.as_deref(), Some("blog"));
        insta::assert_snapshot!(settle(&named, Some("shop")).1[0]);
        let host = "apiVersion: hades.dev/v1alpha1\nkind: DockerHost\nmetadata:\n  name: a\n  namespace: b\nspec: {endpoint: x}\n";
        insta::assert_snapshot!(settle(host, None).1[0]);
    }
}
