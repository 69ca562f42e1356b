//! Images of environments: who may pull, what is pulled, what is removed.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use hades_api::{DockerHost, DockerHostStatus, condition};
use hades_provider::DiskUsage;
use hades_provider::fake::CallKind;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use support::{Hades, eventually, is_true};

const IMAGE: &str = "registry.test/shop/api:1";

fn service(image: &str) -> Value {
    json!({"defaults": {"host": "local"}, "services": {"api": {"image": image}}})
}

async fn host_status(hades: &Hades) -> DockerHostStatus {
    let hosts: Api<DockerHost> = Api::all(hades.client.clone());
    hosts.get("local").await.unwrap().status.unwrap_or_default()
}

/// Changes the spec of the host, which probes it at once.
async fn set_host(hades: &Hades, spec: Value) {
    let hosts: Api<DockerHost> = Api::all(hades.client.clone());
    let patch = Patch::Merge(json!({"spec": spec}));
    hosts.patch("local", &PatchParams::default(), &patch).await.unwrap();
}

fn pull_secret(password: &str) -> Value {
    let config = json!({"auths": {"registry.test": {"username": "robot", "password": password}}});
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "pull", "namespace": "shop"},
        "stringData": {".dockerconfigjson": config.to_string()},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_image_is_pulled_as_soon_as_the_right_credentials_are_there() {
    let hades = Hades::start().await;
    hades.host.publish_image(IMAGE, "one");
    hades.host.set_registry_password(Some("open-sesame"));
    hades.apply_environment("prod", service(IMAGE)).await;
    let ready = hades.not_ready("prod", "RegistryUnauthorized").await;
    assert!(ready.message.contains("imagePullSecrets"), "{}", ready.message);

    let mut spec = service(IMAGE);
    spec["defaults"]["imagePullSecrets"] = json!([{"name": "pull"}]);
    hades.apply_environment("prod", spec).await;
    hades.not_ready("prod", "SecretNotFound").await;
    hades.apply(pull_secret("wrong")).await;
    hades.not_ready("prod", "RegistryUnauthorized").await;
    hades.apply(pull_secret("open-sesame")).await;
    let status = hades.ready("prod").await;
    assert_eq!(hades.running(), ["shop_prod_api-1"]);
    let pin = &status.images[0];
    assert_eq!((&pin.image, pin.digest.as_ref()), (&IMAGE.to_owned(), Some(&pin.id)));

    let events = hades.events("shop", "prod").await.join("\n");
    assert!(events.contains("Pulling: pulled image registry.test/shop/api:1 onto local"), "{events}");
    let text = format!("{events} {status:?} {:?}", host_status(&hades).await);
    assert!(!text.contains("open-sesame") && !text.contains("wrong"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_serves_the_projects_that_it_allows() {
    let hades = Hades::start().await;
    hades.add_namespace("hades-system").await;
    hades.host.publish_image(IMAGE, "one");
    hades.host.set_registry_password(Some("open-sesame"));
    hades.apply_environment("prod", service(IMAGE)).await;
    hades.not_ready("prod", "RegistryUnauthorized").await;
    hades
        .apply(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "registry", "namespace": "hades-system"},
            "stringData": {"username": "robot", "password": "open-sesame"},
        }))
        .await;
    let account = |allowed: &str| {
        json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "RegistryAccount",
            "metadata": {"name": "fleet"},
            "spec": {
                "registry": "registry.test/shop", "secretRef": {"name": "registry"},
                "allowedProjects": [allowed],
            },
        })
    };
    hades.apply(account("other")).await;
    hades.not_ready("prod", "RegistryUnauthorized").await;
    assert!(hades.running().is_empty());
    hades.apply(account("shop")).await;
    hades.ready("prod").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_pulled_is_recorded_and_removed_when_nothing_needs_it() {
    let hades = Hades::start().await;
    set_host(&hades, json!({"imageCleanup": {"keep": 1, "after": "0s"}})).await;
    for tag in ["1", "2"] {
        hades.host.publish_image(&format!("registry.test/shop/api:{tag}"), tag);
    }
    hades.host.add_image("registry.test/foreign:1", "theirs");
    hades.apply_environment("prod", service(IMAGE)).await;
    hades.ready("prod").await;
    let probes = std::sync::atomic::AtomicU32::new(0);
    // Each change of the host's spec is a probe.
    let probe = || async {
        let n = probes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        set_host(&hades, json!({"subnetPool": format!("10.{}.0.0/16", 100 + n % 100)})).await;
        host_status(&hades).await
    };
    let status = eventually("the image to be recorded", || async {
        let status = probe().await;
        match status.images.first() {
            Some(image) if !image.services.is_empty() => Ok(status),
            _ => Err(status),
        }
    })
    .await;
    assert_eq!(status.images[0].image, IMAGE);
    assert_eq!(status.images[0].services, ["shop/prod/api"]);

    hades.apply_environment("prod", service("registry.test/shop/api:2")).await;
    hades.ready("prod").await;
    eventually("the old image to go", || async {
        let status = probe().await;
        let images = hades.host.snapshot().images;
        if images.contains_key(IMAGE) { Err(status) } else { Ok(()) }
    })
    .await;
    let images = hades.host.snapshot().images;
    for kept in ["registry.test/shop/api:2", "registry.test/foreign:1", "app:1", "app:2"] {
        assert!(images.contains_key(kept), "{kept}");
    }
    let removed: Vec<_> =
        hades.host.calls().into_iter().filter(|call| call.kind == CallKind::RemoveImage).collect();
    assert!(removed.iter().all(|call| !call.target.contains("foreign")), "{removed:?}");
    let events = hades.events("default", "local").await.join("\n");
    assert!(events.contains("ImagesRemoved: remove image registry.test/shop/api:1"), "{events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_holds_pulls_back_and_lets_the_rest_go_on() {
    let hades = Hades::start().await;
    hades.host.publish_image(IMAGE, "one");
    hades.host.set_disk(Some(DiskUsage { total: 1 << 30, free: 1 << 20 }));
    set_host(&hades, json!({"disk": {"warnPercent": 80}})).await;
    let status = eventually("disk pressure", || async {
        let status = host_status(&hades).await;
        match is_true(&status.conditions, condition::DISK_PRESSURE) {
            true => Ok(status),
            false => Err(status),
        }
    })
    .await;
    assert_eq!(status.disk.map(|disk| disk.total), Some(1 << 30));
    let mut spec = service(IMAGE);
    spec["services"]["web"] = json!({"image": "app:1"});
    hades.apply_environment("prod", spec).await;
    let ready = hades.not_ready("prod", "DiskFull").await;
    assert!(ready.message.contains("99 % full"), "{}", ready.message);
    eventually("what needs no pull to run", || async {
        let running = hades.running();
        if running == ["shop_prod_web-1"] { Ok(()) } else { Err(running) }
    })
    .await;
    assert!(hades.host.calls().iter().all(|call| call.kind != CallKind::PullImage));
    hades.host.set_disk(Some(DiskUsage { total: 1 << 30, free: 1 << 29 }));
    set_host(&hades, json!({"disk": {"warnPercent": 81}})).await;
    hades.ready("prod").await;
}
