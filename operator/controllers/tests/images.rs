//! Images of environments: who may pull, what is pulled, what is removed.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hades_api::{DockerHost, DockerHostStatus, annotation, condition};
use hades_provider::fake::{CallKind, Fault, FaultPlan};
use hades_provider::{DiskUsage, ErrorClass};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

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
    assert!(
        events.contains("Pulling: pulled image registry.test/shop/api:1 onto local"),
        "{events}"
    );
    let text = format!("{events} {status:?} {:?}", host_status(&hades).await);
    assert!(!text.contains("open-sesame") && !text.contains("wrong"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_serves_the_projects_that_it_allows() {
    let hades = Hades::start().await;
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
    let policy = |names: Value| {
        json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject",
            "metadata": {"name": "shop"},
            "spec": {"policy": {"accounts": {"registry": names}}},
        })
    };
    hades.apply(policy(json!(["another"]))).await;
    hades.apply(account("shop")).await;
    hades.apply_environment("late", service(IMAGE)).await;
    hades.not_ready("late", "RegistryUnauthorized").await;
    assert!(hades.running().is_empty(), "the policy of the project doesn't allow the account");
    hades.apply(policy(json!(["fleet"]))).await;
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
    let probes = AtomicUsize::new(0);
    // Each change of the host's spec is a probe.
    let probe = || async {
        let n = probes.fetch_add(1, Ordering::Relaxed);
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
    // It is told behind its removal.
    eventually("the removal to be told", || async {
        let events = hades.events("default", "local").await.join("\n");
        let told = events.contains("ImagesRemoved: remove image registry.test/shop/api:1");
        told.then_some(()).ok_or(events)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_that_fails_does_not_forget_that_of_another() {
    let hades = Hades::start().await;
    hades.host.publish_image(IMAGE, "one");
    hades.host.set_faults(
        FaultPlan::new()
            .next(CallKind::PullImage, Fault::Delay(Duration::from_millis(800)))
            .next(CallKind::PullImage, Fault::Fail(ErrorClass::Retry)),
    );
    let pulls = async |many: usize| {
        eventually("pulls", || async {
            let calls = hades.host.calls();
            let found = calls.iter().filter(|call| call.kind == CallKind::PullImage).count();
            if found >= many { Ok(()) } else { Err(found) }
        })
        .await;
    };
    hades.apply_environment("prod", service(IMAGE)).await;
    pulls(1).await;
    hades.apply_environment("test", service(IMAGE)).await;
    pulls(2).await;
    hades.ready("prod").await;
    hades.ready("test").await;
    set_host(&hades, json!({"subnetPool": "10.99.0.0/16"})).await;
    eventually("the image to be recorded", || async {
        let images = host_status(&hades).await.images;
        if images.len() == 1 && images[0].id.is_some() { Ok(()) } else { Err(images) }
    })
    .await;
}

/// Puts images onto the host that Hades has pulled and that nothing has used for long.
async fn add_unused(hades: &Hades, count: usize) {
    let records: Vec<Value> = (0..count)
        .map(|n| {
            let image = format!("registry.test/old/api:{n}");
            let id = hades.host.add_image(&image, &n.to_string());
            json!({
                "image": image, "id": id,
                "pulledAt": "2020-01-01T00:00:00Z", "unusedSince": "2020-01-01T00:00:00Z",
            })
        })
        .collect();
    let hosts: Api<DockerHost> = Api::all(hades.client.clone());
    let patch = Patch::Merge(json!({"status": {"images": records}}));
    hosts.patch_status("local", &PatchParams::default(), &patch).await.unwrap();
}

fn removals(hades: &Hades) -> usize {
    hades.host.calls().iter().filter(|call| call.kind == CallKind::RemoveImage).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_unused_images_go_a_few_at_a_time() {
    let hades = Hades::start().await;
    add_unused(&hades, 6).await;
    let mut probes = 0;
    eventually("all to go", || {
        probes += 1;
        let spec = json!({"subnetPool": format!("10.{}.0.0/16", 100 + probes % 100)});
        let hades = &hades;
        async move {
            set_host(hades, spec).await;
            let left = host_status(hades).await.images;
            if left.is_empty() { Ok(()) } else { Err(left) }
        }
    })
    .await;
    let told = hades.events("default", "local").await;
    let told: Vec<usize> = told
        .iter()
        .filter(|event| event.starts_with("ImagesRemoved"))
        .map(|event| event.lines().count())
        .collect();
    assert_eq!(told, [4, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_told_of_before_its_images_are_tended() {
    let mut hades = Hades::prepare().await;
    let day = Duration::from_secs(86_400);
    hades.host.set_faults(FaultPlan::new().next(CallKind::RemoveImage, Fault::Delay(day)));
    add_unused(&hades, 1).await;
    hades.run_controllers();
    eventually("the image to be on its way out", || async {
        if removals(&hades) > 0 { Ok(()) } else { Err(()) }
    })
    .await;
    let hosts: Api<DockerHost> = Api::all(hades.client.clone());
    let host = hosts.get("local").await.unwrap();
    assert_eq!(host.status.unwrap().observed_generation, host.metadata.generation);
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

/// A registry with the one repository `shop/api`: digests by tag, to be changed at
/// any time.
struct Tags {
    address: String,
    digests: Arc<Mutex<BTreeMap<String, String>>>,
    logins: Arc<AtomicUsize>,
}

impl Tags {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let digests: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let (known, logins) = (digests.clone(), Arc::<AtomicUsize>::default());
        let counted = logins.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
                    if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                let request = String::from_utf8_lossy(&bytes).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let tag = path.rsplit('/').next().unwrap_or_default();
                let digest = known.lock().unwrap().get(tag).cloned();
                let tags: Vec<String> = known.lock().unwrap().keys().cloned().collect();
                let reply = match digest {
                    _ if path == "/v2/" => {
                        counted.fetch_add(1, Ordering::SeqCst);
                        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()
                    }
                    _ if path.contains("/tags/list") => {
                        let body = json!({"name": "shop/api", "tags": tags}).to_string();
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                    }
                    Some(digest) => {
                        format!("HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\n\r\n")
                    }
                    None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                };
                let _ = stream.write_all(reply.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { address, digests, logins }
    }

    fn image(&self) -> String {
        format!("{}/shop/api", self.address)
    }

    /// Pushes a tag, for hosts to pull too.
    fn push(&self, hades: &Hades, tag: &str, content: &str) -> String {
        let id = hades.host.publish_image(&format!("{}:{tag}", self.image()), content);
        self.digests.lock().unwrap().insert(tag.to_owned(), id.clone());
        id
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_logs_in_again_for_other_credentials_alone() {
    let hades = Hades::start().await;
    let registry = Tags::start().await;
    let secret = async |name: &str, password: &str| {
        hades
            .apply(json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": name, "namespace": "hades-system"},
                "stringData": {"username": "robot", "password": password},
            }))
            .await;
    };
    secret("registry", "one").await;
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "RegistryAccount",
            "metadata": {"name": "fleet"},
            "spec": {"registry": registry.address, "secretRef": {"name": "registry"}},
        }))
        .await;
    let logins = async |many: usize| {
        eventually("logins", || async {
            let found = registry.logins.load(Ordering::SeqCst);
            if found == many { Ok(()) } else { Err(found) }
        })
        .await;
    };
    logins(1).await;
    let passes =
        || hades.counted("hades_reconcile_passes_total{kind=\"RegistryAccount\",outcome=\"ok\"}");
    // Others come and go.
    for n in 0..3 {
        let before = passes();
        secret("other", &n.to_string()).await;
        eventually("a pass", || async { if passes() > before { Ok(()) } else { Err(()) } }).await;
    }
    logins(1).await;
    secret("registry", "two").await;
    logins(2).await;
}

/// Asks for a pass, and with it registries, now.
async fn sync(hades: &Hades, when: &str) {
    let request = json!({"metadata": {"annotations": {annotation::RECONCILE_REQUESTED_AT: when}}});
    let patch = Patch::Merge(request);
    hades.environments().patch("prod", &PatchParams::default(), &patch).await.unwrap();
}

async fn runs(hades: &Hades, id: &str) {
    eventually(&format!("{id} to run"), || async {
        let running: Vec<String> =
            hades.host.snapshot().containers.into_iter().map(|c| c.image_id).collect();
        if running == [id] { Ok(()) } else { Err(running) }
    })
    .await;
    hades.ready("prod").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_policy_follows_new_tags_of_its_range() {
    let hades = Hades::start().await;
    let registry = Tags::start().await;
    let first = registry.push(&hades, "1.2.0", "a");
    registry.push(&hades, "2.0.0", "b");
    let mut spec = service(&registry.image());
    spec["services"]["api"]["imagePolicy"] = json!({"semver": {"range": ">=1.2 <2"}});
    hades.apply_environment("prod", spec).await;
    runs(&hades, &first).await;
    let second = registry.push(&hades, "1.2.1", "c");
    sync(&hades, "2026-01-01T00:00:00Z").await;
    runs(&hades, &second).await;
    let status = hades.status("prod").await;
    assert_eq!(status.image_policies[0].tag, "1.2.1");
    let events = hades.events("shop", "prod").await.join("\n");
    assert!(events.contains("image policy: 1.2.0 → 1.2.1"), "{events}");
    assert!(events.contains("ImageUpdated: service api"), "{events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_policy_follows_its_tag_and_waits_where_there_is_none() {
    let hades = Hades::start().await;
    let registry = Tags::start().await;
    let mut spec = service(&format!("{}:edge", registry.image()));
    spec["services"]["api"]["imagePolicy"] = json!({"digest": {}});
    hades.apply_environment("prod", spec).await;
    let ready = hades.not_ready("prod", "ImagePolicyUnresolved").await;
    assert!(ready.message.contains("edge"), "{}", ready.message);
    for (content, when) in [("a", "2026-01-01T00:00:00Z"), ("b", "2026-01-02T00:00:00Z")] {
        let id = registry.push(&hades, "edge", content);
        sync(&hades, when).await;
        runs(&hades, &id).await;
    }
}
