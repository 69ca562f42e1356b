//! Which keys a repository gets, against a real API server.

use std::collections::BTreeSet;
use std::sync::Arc;

use hades_api::{ConfigRepositorySpec, Decryption, SecretRef};
use hades_apiserver::{ApiServer, Identity, ServerConfig};
use hades_provider::fake::FakeConnect;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;

use super::*;
use crate::Settings;

async fn context(dir: &tempfile::TempDir) -> Arc<Context> {
    let config = ServerConfig::new(dir.path().join("data"), hades_api::schema::crds());
    let server = ApiServer::open(config).await.unwrap();
    let client = server.client(Identity::controller("controllers"));
    for name in ["shop", "farm"] {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    }
    Context::new(Settings {
        client,
        connect: Arc::new(FakeConnect::new()),
        installation: "test".to_owned(),
        fingerprint: Arc::new(|_, value| value.to_owned()),
        secret_values: Arc::new(crate::NoValues),
        cache_dir: dir.path().join("repositories"),
        clock: Arc::new(Timestamp::now),
    })
}

fn repository(namespace: &str, name: &str) -> ConfigRepository {
    let spec = ConfigRepositorySpec::new("https://git.example.com/config");
    let mut repository = ConfigRepository::new(name, spec);
    repository.metadata.namespace = Some(namespace.to_owned());
    repository
}

async fn recipients(context: &Context, repository: &ConfigRepository) -> Vec<String> {
    let mut status = ConfigRepositoryStatus::default();
    let keys = gather(context, repository, &mut status).await.unwrap().unwrap();
    let recipients: Vec<String> = keys.recipients().iter().map(ToString::to_string).collect();
    assert_eq!(status.sops_recipient.as_ref(), recipients.first());
    recipients
}

#[tokio::test]
async fn a_repository_opens_what_is_for_it_and_for_its_project() {
    let dir = tempfile::tempdir().unwrap();
    let context = context(&dir).await;
    let project = |namespace: &'static str| {
        let context = context.clone();
        async move {
            let kept = sops_keys::keep(&context, namespace, sops_keys::of_project()).await;
            kept.unwrap().ok().unwrap().recipients()[0].to_string()
        }
    };
    let first = repository("shop", "config");
    assert_eq!(recipients(&context, &first).await.len(), 1, "there is no project's key yet");
    let (shop, farm) = (project("shop").await, project("farm").await);
    assert_eq!(project("shop").await, shop, "made once");
    let keys = recipients(&context, &first).await;
    assert_eq!(keys[1..], *std::slice::from_ref(&shop));
    let second = recipients(&context, &repository("shop", "other")).await;
    assert_eq!(second[1..], *std::slice::from_ref(&shop));
    assert_ne!(second[0], keys[0], "each has its own");
    let elsewhere = recipients(&context, &repository("farm", "config")).await;
    assert_eq!(elsewhere[1..], [farm]);
    let fleet = recipients(&context, &repository(SYSTEM_NAMESPACE, "config")).await;
    assert_eq!(fleet.len(), 1, "a fleet repository has its own key only");
    assert!(!elsewhere.contains(&keys[0]) && !fleet.contains(&keys[0]));
}

#[tokio::test]
async fn keys_that_hades_made_are_lent_to_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let context = context(&dir).await;
    recipients(&context, &repository("shop", "config")).await;
    let mut thief = repository("shop", "thief");
    let secret_ref = SecretRef { name: sops_keys::of_repository("config") };
    thief.spec.decryption = Some(Decryption { secret_ref });
    let mut status = ConfigRepositoryStatus::default();
    let problem = gather(&context, &thief, &mut status).await.unwrap().unwrap_err();
    assert_eq!(problem.reason, reason::INVALID_SECRET);
    let names = BTreeSet::from([sops_keys::of_repository("config")]);
    let lent = crate::environment::secrets(&context, "shop", &names).await.unwrap();
    assert!(lent.is_empty(), "a container could show it");
}
