//! `hadesctl secret seal`: anyone may write secrets into git, and only Hades reads them
//! there. What comes out is a file of sops.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use hades_client::nearest::suggestion;
use hades_client::{Session, catalog, object};
use hades_sops::{Format, MAX_BYTES, Recipient, SealOptions, SopsError, seal};
use hades_source::manifest::{
    Document, Limits, ManifestError, ManifestSet, STDIN_NAME, read_bytes,
};
use secrecy::zeroize::Zeroizing;
use serde_json::Value;

use super::values::check_key;
use crate::context::Context;
use crate::error::Error;

/// What is encrypted of a Secret: its values, and nothing that names it.
const ENCRYPTED_REGEX: &str = "^(data|stringData)$";
/// What a Secret may have at its root.
const FIELDS: [&str; 7] =
    ["apiVersion", "kind", "metadata", "type", "immutable", "data", "stringData"];
/// What the server shows in place of a value begins so.
const FINGERPRINT: &str = "hades:fp:";
/// Where `kubectl apply` keeps a copy of what was applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Encrypt Secrets, so that they can be committed to git
///
/// Takes manifests of Secrets and encrypts their values to the project: its
/// ConfigRepositories open them, nobody else does, not even whoever sealed them. `sops` shows
/// and edits such files for whoever holds a key of one of the --recipient.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Manifest of one or more Secrets, as YAML or JSON; `-` for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,

    /// Seal for this ConfigRepository of the project alone; with `-p hades-system` for one of the
    /// whole fleet
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,

    /// Seal to this age recipient too (age1…); may be repeated. Without -p and --repository to
    /// these alone, and no server is asked
    #[arg(long = "recipient", value_name = "AGE")]
    recipients: Vec<String>,

    /// Put what was sealed in the place of FILE; to standard output otherwise
    #[arg(long, short = 'i')]
    in_place: bool,
}

/// Does it.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let Arguments { file, repository, recipients, in_place } = arguments;
    if *in_place && file.as_os_str() == "-" {
        return Err(Error::usage(
            "standard input can't be replaced",
            "name a FILE, or leave --in-place away",
        ));
    }
    let (name, bytes) = read(file)?;
    let offline =
        !recipients.is_empty() && repository.is_none() && context.project_flag().is_none();
    let project = if offline { None } else { Some(project(context).await?) };
    let set = read_bytes(&name, &bytes, &Limits::default()).map_err(Error::Read)?;
    check(set, project.as_deref())?;
    let named: Result<Vec<Recipient>, _> = recipients.iter().map(|text| text.parse()).collect();
    let named = named.map_err(|error| unsealable("--recipient", &error))?;
    let mut to = Vec::new();
    if let Some(project) = &project {
        let session = context.session().await?;
        to.push(recipient(session, project, repository.as_deref()).await?);
    }
    for recipient in named {
        // Named twice it would be there twice.
        if !to.contains(&recipient) {
            to.push(recipient);
        }
    }
    let mut options = SealOptions::to(to.clone(), context.now());
    options.rule = Some(("encrypted_regex", ENCRYPTED_REGEX.to_owned()));
    let format = match Format::of_name(&name) {
        Format::Json => Format::Json,
        _ => Format::Yaml,
    };
    let sealed = seal(&bytes, format, &options).map_err(|error| unsealable(&name, &error))?;
    let names: Vec<&str> = to.iter().map(Recipient::as_str).collect();
    match in_place {
        true => {
            replace(file, &sealed)?;
            context.terminal.note(&format!("{name} is sealed to {}", names.join(", ")));
            Ok(())
        }
        false => {
            context.terminal.note(&format!("sealed to {}", names.join(", ")));
            context.terminal.print(&sealed)
        }
    }
}

async fn project(context: &Context) -> Result<String, Error> {
    context.project().await?.ok_or_else(|| {
        Error::usage("nothing says which project to seal for", "add -p PROJECT, or --recipient AGE")
    })
}

fn read(file: &Path) -> Result<(String, Zeroizing<Vec<u8>>), Error> {
    let failed = |source| Error::File { verb: "read", path: file.to_owned(), source };
    let (name, input): (_, Box<dyn Read>) = match file.as_os_str() == "-" {
        true => (STDIN_NAME.to_owned(), Box::new(std::io::stdin().lock())),
        false => {
            let opened = std::fs::File::open(file).map_err(failed)?;
            (file.display().to_string(), Box::new(opened))
        }
    };
    let mut bytes = Zeroizing::new(Vec::new());
    // One byte more, so that whoever reads it next says that it is too large.
    input.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok((name, bytes))
}

/// Only what is worth sealing is sealed, and only what its values don't stand beside in
/// the clear.
fn check(set: ManifestSet, project: Option<&str>) -> Result<(), Error> {
    let ManifestSet { documents, mut errors, .. } = set;
    if errors.is_empty() && documents.is_empty() {
        return Err(Error::usage(
            "there is no Secret to seal",
            "`kubectl create secret generic NAME --from-file=KEY=FILE --dry-run=client -o yaml` \
             makes one",
        ));
    }
    for document in &documents {
        errors.extend(problems(document, project));
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::Manifests(errors)) }
}

fn problems(document: &Document, project: Option<&str>) -> Vec<ManifestError> {
    if document.sealed {
        let message = "it is sealed already; `sops edit` changes it, or seal the plain file anew";
        return vec![document.error_at("", message)];
    }
    if (document.api_version.as_str(), document.kind.as_str()) != ("v1", "Secret") {
        let message = format!(
            "only Secrets can be sealed, and this is a {}: keep it in a file of its own",
            document.kind
        );
        return vec![document.error_at("kind", message)];
    }
    let mut errors = Vec::new();
    if let (Some(written), Some(project)) = (&document.namespace, project)
        && written != project
        && project != hades_api::SYSTEM_NAMESPACE
    {
        let message = format!(
            "the Secret is of project {written}, and it would be sealed for {project}, whose \
             repositories may not write there"
        );
        errors.push(document.error_at("metadata.namespace", message));
    }
    let copy = format!("/metadata/annotations/{}", LAST_APPLIED.replace('/', "~1"));
    if document.value.pointer(&copy).is_some() {
        let message =
            format!("the annotation {LAST_APPLIED} holds the values in the clear: remove it");
        errors.push(document.error_at("metadata.annotations", message));
    }
    let fields = document.value.as_object().into_iter().flatten();
    for (field, _) in fields.filter(|(field, _)| !FIELDS.contains(&field.as_str())) {
        let message = format!(
            "a Secret has no field {field}, and what is in it would stay in the clear: values go \
             under stringData"
        );
        errors.push(document.error_at(&pointer(&[field]), message));
    }
    for field in ["data", "stringData"] {
        match document.value.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::Object(entries)) => {
                let bad = |(key, value): (&String, &Value)| {
                    let problem = key_problem(key).or_else(|| problem(field, value))?;
                    let message = format!("{field}.{key} {problem}");
                    Some(document.error_at(&pointer(&[field, key]), message))
                };
                errors.extend(entries.iter().filter_map(bad));
            }
            Some(_) => {
                let message = format!("{field} must be a mapping of keys to values");
                errors.push(document.error_at(field, message));
            }
        }
    }
    errors
}

/// The JSON pointer to a field.
fn pointer(steps: &[&str]) -> String {
    steps.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

fn key_problem(key: &str) -> Option<&'static str> {
    check_key(key).is_err().then_some(
        "can't be a key of a Secret: it has letters, digits, '-', '_' and '.', 253 of them at most",
    )
}

/// What is wrong with a value. Once it is sealed nobody sees it any more.
fn problem(field: &str, value: &Value) -> Option<&'static str> {
    let Some(text) = value.as_str() else { return Some("must be text: quote it") };
    if is_fingerprint(text) {
        return Some(
            "is what the server shows in place of a value, not the value; write that, or take the \
             key out",
        );
    }
    // YAML breaks long values into lines, and servers skip those.
    let joined: String = text.split(['\r', '\n']).collect();
    let is_plain = field == "data" && BASE64.decode(Zeroizing::new(joined).as_str()).is_err();
    is_plain.then_some("must be base64; plain text goes under stringData")
}

/// Whether a value is a fingerprint, plain or as base64 writes its beginning.
fn is_fingerprint(value: &str) -> bool {
    // Nine bytes, so that base64 has no rest.
    const ENCODED: &str = "aGFkZXM6ZnA6";
    value.starts_with(FINGERPRINT) || value.starts_with(ENCODED)
}

/// Whom to seal to.
async fn recipient(
    session: &Session,
    project: &str,
    repository: Option<&str>,
) -> Result<Recipient, Error> {
    let (kind, namespace, name) = match repository {
        Some(name) => (catalog::config_repository(), Some(project), name),
        None if project == hades_api::SYSTEM_NAMESPACE => {
            return Err(Error::usage(
                format!("{project} is no project, and has no recipient of its own"),
                "say which repository: --repository NAME",
            ));
        }
        None => (catalog::project(), None, project),
    };
    let what = match repository {
        Some(name) => format!("config repository {name:?} of {project}"),
        None => format!("project {project:?}"),
    };
    let Some(found) = object::get(session, &kind, namespace, name).await? else {
        let names = object::names(session, &kind, namespace).await.unwrap_or_default();
        let names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
        return Err(Error::NotFound {
            what: format!("{what} not found"),
            hint: suggestion(name, &kind.resource.plural, &names),
        });
    };
    let text = found.data.pointer("/status/sopsRecipient").and_then(Value::as_str);
    let Some(text) = text else {
        return Err(Error::incomplete(format!(
            "{what} has no key to seal to yet: its status has no sopsRecipient; `hadesctl describe` \
             shows why"
        )));
    };
    text.parse().map_err(|error| unsealable(&what, &error))
}

fn unsealable(what: &str, error: &SopsError) -> Error {
    let place = error.line().map_or_else(String::new, |line| format!(":{line}"));
    Error::incomplete(format!("{what}{place}: {error}"))
}

/// Puts a file in the place of another: whole, or not at all.
fn replace(file: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::File { verb: "write", path: file.to_owned(), source };
    // A link stays one.
    let file = std::fs::canonicalize(file).map_err(failed)?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".sealing");
    let beside = file.with_file_name(name);
    let permissions = std::fs::metadata(&file).map_err(failed)?.permissions();
    // What is there already is somebody else's.
    let mut new = std::fs::File::create_new(&beside).map_err(|source| Error::File {
        verb: "create",
        path: beside.clone(),
        source,
    })?;
    let written = new
        .set_permissions(permissions)
        .and_then(|()| new.write_all(text.as_bytes()))
        .and_then(|()| new.sync_all());
    written.and_then(|()| std::fs::rename(&beside, &file)).map_err(|error| {
        // Half of a file helps nobody.
        let _ = std::fs::remove_file(&beside);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, project: Option<&str>) -> String {
        let set = read_bytes("a.yaml", text.as_bytes(), &Limits::default()).unwrap();
        match check(set, project) {
            Ok(()) => String::new(),
            Err(Error::Manifests(errors)) => {
                errors.iter().map(ManifestError::render).collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
        }
    }

    fn secret(metadata: &str, rest: &str) -> String {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: db{metadata}}}\n{rest}\n")
    }

    #[test]
    fn secrets_that_hold_nothing_in_the_clear_are_sealed() {
        let plain = "stringData: {password: hunter2}";
        assert_eq!(said(&secret("", plain), Some("shop")), "");
        assert_eq!(said(&secret(", namespace: shop", plain), Some("shop")), "");
        assert_eq!(said(&secret(", namespace: shop", plain), Some("hades-system")), "");
        assert_eq!(said(&secret(", namespace: shop", plain), None), "");
        assert_eq!(said(&secret("", "data:\n  a: |\n    aHVu\n    dGVy\n"), None), "");
        let all = "type: Opaque\nimmutable: true\ndata:\nstringData: {tls.key_1-a: hunter2}";
        assert_eq!(said(&secret("", all), None), "");
    }

    #[test]
    fn a_file_is_replaced_whole_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.yaml");
        std::fs::write(&file, "plain").unwrap();
        let beside = folder.path().join("db.yaml.sealing");
        std::fs::write(&beside, "another's").unwrap();
        let error = replace(&file, "sealed").unwrap_err().to_string();
        assert!(error.contains("db.yaml.sealing"), "{error}");
        assert_eq!(std::fs::read_to_string(&beside).unwrap(), "another's");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "plain");
        std::fs::remove_file(&beside).unwrap();
        replace(&file, "sealed").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "sealed");
        assert!(!beside.exists());
    }

    #[test]
    fn no_more_is_read_than_may_be_sealed() {
        let (_, bytes) = read(Path::new("/dev/zero")).unwrap();
        assert_eq!(bytes.len(), MAX_BYTES + 1);
    }

    #[test]
    fn what_is_refused_shows_no_value() {
        let copy = format!(", annotations: {{{LAST_APPLIED}: hunter2}}");
        for (text, expected) in [
            (secret(", namespace: blog", "stringData: {a: hunter2}"), "of project blog"),
            (secret(&copy, "stringData: {a: b}"), "in the clear"),
            (secret("", "stringData: {a: 'hades:fp:0123'}\ndata: {b: YQ==}"), "stringData.a is"),
            (secret("", "data: {a: 'hunter2!'}"), "data.a must be base64"),
            (secret("", "stringData: {a: 1234}"), "stringData.a must be text"),
            (secret("", "data: {a: }"), "data.a must be text"),
            (secret("", "data: {a: aGFkZXM6ZnA6MDEyMw==}"), "data.a is what the server shows"),
            ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n".to_owned(), "only Secrets"),
            (String::new(), "no Secret"),
            (secret("", "sops: {mac: hunter2}"), "sealed already"),
            (secret("", "stringData: hunter2"), "a.yaml:4:1\n"),
            (secret("", "stringData: hunter2"), "stringData must be a mapping"),
            (secret("", "data: [hunter2]"), "data must be a mapping"),
            (secret("", "stringData:\n  a: b\n  a b: hunter2"), "a.yaml:6:3\n"),
            (secret("", "stringData: {a/b: hunter2}"), "stringData.a/b can't be a key"),
            (secret("", "data: {..: aHVudGVyMg==}"), "data... can't be a key"),
            (secret("", "stringdata: {a: hunter2}\ndata: {b: YQ==}"), "no field stringdata"),
        ] {
            let said = said(&text, Some("shop"));
            assert!(said.contains(expected) && !said.contains("hunter2"), "{said}");
        }
    }
}
