//! Every manifest in `docs/`, `README.md` and `examples/` is one that the server
//! takes.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hades_apiserver::{ApiServer, Identity, ServerConfig};
use hades_source::manifest::{Document, Limits, read_bytes};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::GroupVersionKind;
use kube::discovery::Scope;
use kube::{Api, Client};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(dir: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, endings, found);
        } else if path.extension().is_some_and(|e| endings.iter().any(|wanted| e == *wanted)) {
            found.push(path);
        }
    }
}

/// Texts of the fences marked `yaml`, with the line that each begins on.
fn fences(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match &mut open {
            None if line.trim() == "```yaml" => open = Some((number + 2, String::new(), indent)),
            None => {}
            Some(_) if line.trim() == "```" => {
                let (start, block, _) = open.take().unwrap();
                found.push((start, block));
            }
            Some((_, block, indent)) => {
                block.push_str(line.get(*indent..).unwrap_or_default());
                block.push('\n');
            }
        }
    }
    found
}

fn documents() -> Vec<Document> {
    let mut sources: Vec<(String, String)> = Vec::new();
    let mut paths = vec![root().join("README.md")];
    files(&root().join("docs"), &["md"], &mut paths);
    files(&root().join("examples"), &["yaml", "yml", "json", "md"], &mut paths);
    for path in paths {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if name.ends_with(".md") {
            for (line, block) in fences(&text) {
                sources.push((format!("{name}, line {line}.yaml"), block));
            }
        } else {
            sources.push((name, text));
        }
    }
    let mut documents = Vec::new();
    for (name, text) in sources {
        let set = read_bytes(&name, text.as_bytes(), &Limits::default()).unwrap();
        assert!(set.errors.is_empty(), "{:?}", set.errors);
        documents.extend(set.documents);
    }
    documents
}

async fn namespaces(client: &Client, documents: &[Document]) {
    let api: Api<Namespace> = Api::all(client.clone());
    let names: BTreeSet<&String> =
        documents.iter().filter_map(|document| document.namespace.as_ref()).collect();
    for name in names {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        // Some are there from the start.
        let _ = api.create(&PostParams::default(), &namespace).await;
    }
}

async fn try_apply(client: &Client, document: &Document) -> Result<DynamicObject, String> {
    let (group, version) =
        document.api_version.split_once('/').unwrap_or(("", &document.api_version));
    let gvk = GroupVersionKind::gvk(group, version, &document.kind);
    let (resource, capabilities) =
        kube::discovery::pinned_kind(client, &gvk).await.map_err(|error| error.to_string())?;
    let namespaced = capabilities.scope == Scope::Namespaced;
    let api: Api<DynamicObject> = match (&document.namespace, namespaced) {
        (Some(namespace), true) => Api::namespaced_with(client.clone(), namespace, &resource),
        (None, true) => return Err("has no metadata.namespace".to_owned()),
        (None, false) => Api::all_with(client.clone(), &resource),
        (Some(_), false) => return Err("belongs to no namespace".to_owned()),
    };
    let mut parameters = PatchParams::apply("documents").force().dry_run();
    parameters.field_validation = Some(ValidationDirective::Strict);
    api.patch(&document.name, &parameters, &Patch::Apply(&document.value))
        .await
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn every_manifest_in_documents_and_examples_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let config = ServerConfig::new(dir.path(), hades_api::schema::crds());
    let server = ApiServer::open(config).await.unwrap();
    let client = server.client(Identity::administrator("reader"));
    let documents = documents();
    assert!(documents.len() > 4, "only {} manifests were found", documents.len());
    namespaces(&client, &documents).await;
    let mut refused = Vec::new();
    for document in &documents {
        if let Err(error) = try_apply(&client, document).await {
            refused.push(format!("{}:{}: {document}: {error}", document.file, document.line));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
