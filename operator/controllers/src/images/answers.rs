//! What registries have said of the images of an environment, and what they are to
//! be asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hades_api::{
    DockerHostSpec, EnvironmentSpec, ImagePolicy, ImagePullPolicy, PolicyImage, ServiceSpec,
    VersionRange,
};
use hades_plan::reference::{self, familiar};
use hades_plan::{Desired, FoundImages, HostView, Observed, needs};
use hades_registry::ImageName;
use jiff::Timestamp;

use super::credentials::PullKeys;
use super::poll::{Answer, Poller, Query, Want};
use crate::redaction::{redact, used};

/// How often a registry is asked what it was to be asked but once.
const ONCE: Duration = Duration::from_secs(3600);

/// The hosts that there are.
#[derive(Clone, Copy)]
pub(crate) struct Machines<'a> {
    /// By name.
    pub(crate) specs: &'a BTreeMap<String, DockerHostSpec>,
    /// Labels by name.
    pub(crate) labels: &'a BTreeMap<String, BTreeMap<String, String>>,
}

impl Machines<'_> {
    /// Whether a host is another machine than the one that this runs on, by what
    /// `localhost` means there.
    fn is_elsewhere(&self, host: &str) -> bool {
        self.specs.get(host).is_some_and(|spec| !spec.endpoint.starts_with("unix://"))
    }

    /// A host that a service may be put on and that is elsewhere.
    fn elsewhere_of(&self, spec: &EnvironmentSpec, service: &ServiceSpec) -> Option<String> {
        let names_its_own = service.host.is_some() || service.placement.is_some();
        let alone = EnvironmentSpec {
            defaults: spec.defaults.clone().filter(|_| !names_its_own),
            services: BTreeMap::from([("it".to_owned(), service.clone())]),
            ..EnvironmentSpec::default()
        };
        needs(&alone, self.labels).hosts.into_iter().find(|host| self.is_elsewhere(host))
    }
}

/// What image policies have led to, by what the status remembers and what
/// registries have said since; and what is to be asked.
pub(crate) fn found(
    poller: &Poller,
    spec: &EnvironmentSpec,
    recorded: &[PolicyImage],
    keys: &PullKeys,
    machines: Machines<'_>,
    now: Timestamp,
) -> (FoundImages, Vec<Want>) {
    let (mut found, mut wants) = (FoundImages::default(), Vec::new());
    for (service, of_service) in &spec.services {
        let (Some(policy), Some(image)) = (&of_service.image_policy, &of_service.image) else {
            continue;
        };
        let Ok(name) = ImageName::parse(image) else {
            continue;
        };
        let query = policy.query();
        let known = recorded.iter().find(|known| {
            known.service == *service && known.image == *image && known.policy == query
        });
        if name.is_on_this_machine()
            && let Some(host) = machines.elsewhere_of(spec, of_service)
        {
            let registry = &name.registry;
            found.troubles.insert(
                service.clone(),
                format!(
                    "{registry} is another machine for Hades than for host {host}; name the \
                     registry by an address that means the same on both"
                ),
            );
            found.policies.extend(known.cloned());
            continue;
        }
        let ask = |wants: &mut Vec<Want>, query| {
            let want = Want::new(&name, query, keys.find(image), policy.interval());
            let answer = poller.answer(&want);
            wants.push(want);
            answer
        };
        let (tag, digest) = match judged(policy, &name, known, |query| ask(&mut wants, query)) {
            Ok(Some(chosen)) => chosen,
            Ok(None) => {
                found.policies.extend(known.cloned());
                continue;
            }
            Err(mut trouble) => {
                if let Some(credentials) = keys.find(image) {
                    redact(&used::of_registry(credentials), &mut trouble);
                }
                found.troubles.insert(service.clone(), trouble);
                found.policies.extend(known.cloned());
                continue;
            }
        };
        let same = known.filter(|known| known.tag == tag && known.digest == digest);
        found.policies.push(PolicyImage {
            service: service.clone(),
            image: image.clone(),
            policy: query,
            tag,
            digest,
            time: same.map_or(now, |same| same.time),
        });
    }
    (found, wants)
}

/// Tag and digest that a policy leads to; none while an answer is awaited.
fn judged(
    policy: &ImagePolicy,
    image: &ImageName,
    known: Option<&PolicyImage>,
    mut ask: impl FnMut(Query) -> Option<Answer>,
) -> Result<Option<(String, String)>, String> {
    let digest_of = |answer: Option<Answer>, tag: &str| match answer {
        None => Ok(None),
        Some(Err(error)) => Err(error.to_string()),
        Some(Ok(digests)) => Ok(digests.first().map(|digest| (tag.to_owned(), digest.clone()))),
    };
    let Some(semver) = &policy.semver else {
        return digest_of(ask(Query::Digest(image.tag().to_owned())), image.tag());
    };
    // A range that isn't one is said where the spec is resolved.
    let Ok(range) = VersionRange::parse(&semver.range) else { return Ok(None) };
    let tags = match ask(Query::Tags) {
        None => return Ok(None),
        Some(answer) => answer.map_err(|error| error.to_string())?,
    };
    let Some(tag) = range.newest(tags.iter().map(String::as_str)) else {
        return Err(format!(
            "none of the {} tags of {} is in the range {}",
            tags.len(),
            image.full_repository(),
            semver.range
        ));
    };
    // The digest of a version is that which it had when it was chosen.
    if let Some(known) = known.filter(|known| known.tag == tag) {
        return Ok(Some((known.tag.clone(), known.digest.clone())));
    }
    digest_of(ask(Query::Digest(tag.to_owned())), tag)
}

/// Sees to it that hosts that are to fetch one tag all fetch the same image: the
/// registry is asked for its digest first, as the tag may move in between. Where it
/// can't be asked from here, each host fetches the tag.
pub(crate) fn agree(
    poller: &Poller,
    desired: &mut Desired,
    observed: &Observed,
    keys: &PullKeys,
    machines: Machines<'_>,
) -> Vec<Want> {
    let mut hosts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in &desired.containers {
        let is_open = container.pinned_digest.is_none()
            && container.image_unresolved.is_none()
            && container.spec.image_pull_policy == ImagePullPolicy::IfNotPresent
            && reference::digest(&container.spec.image).is_none();
        if is_open {
            hosts.entry(&container.spec.image).or_default().insert(&container.host);
        }
    }
    let is_present = |host: &str, image: &str| match observed.hosts.get(host) {
        Some(HostView::Snapshot(snapshot)) => snapshot.images.contains_key(&familiar(image)),
        // Nothing is done there.
        Some(HostView::Unreachable { .. }) | None => true,
    };
    let mut wants = Vec::new();
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (image, hosts) in hosts {
        let has = hosts.iter().filter(|host| is_present(host, image)).count();
        // What one host has decides for the others.
        if hosts.len() < 2 || has > 0 {
            continue;
        }
        let Ok(name) = ImageName::parse(image) else { continue };
        // Another registry on each.
        if name.is_on_this_machine() && hosts.iter().any(|host| machines.is_elsewhere(host)) {
            continue;
        }
        let query = Query::Digest(name.tag().to_owned());
        let want = Want::new(&name, query, keys.find(image), ONCE);
        match poller.answer(&want) {
            None => drop(known.insert(image.to_owned(), None)),
            Some(Ok(digests)) => drop(known.insert(image.to_owned(), digests.first().cloned())),
            Some(Err(_)) => {}
        }
        wants.push(want);
    }
    for container in &mut desired.containers {
        match known.get(&container.spec.image) {
            Some(Some(digest)) => container.pinned_digest = Some(digest.clone()),
            Some(None) => {
                let why =
                    "the registry is being asked for its digest, so that all hosts run the same";
                container.image_unresolved = Some(why.to_owned());
            }
            None => {}
        }
    }
    wants
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn labels() -> BTreeMap<String, BTreeMap<String, String>> {
        let label = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
        BTreeMap::from([("here".to_owned(), BTreeMap::new()), ("web-2".to_owned(), label)])
    }

    fn specs() -> BTreeMap<String, DockerHostSpec> {
        let spec = |endpoint: &str| DockerHostSpec {
            endpoint: endpoint.to_owned(),
            ..DockerHostSpec::default()
        };
        BTreeMap::from([
            ("here".to_owned(), spec("unix:///var/run/docker.sock")),
            ("web-2".to_owned(), spec("ssh://root@web-2")),
        ])
    }

    /// What is wrong, and how much is asked.
    fn judge(service: Value) -> (Option<String>, usize) {
        let spec = json!({"defaults": {"host": "here"}, "services": {"api": service}});
        let spec: EnvironmentSpec = serde_json::from_value(spec).unwrap();
        let (specs, labels) = (specs(), labels());
        let machines = Machines { specs: &specs, labels: &labels };
        let (poller, keys) = (Poller::default(), PullKeys::default());
        let (mut found, wants) = found(&poller, &spec, &[], &keys, machines, Timestamp::UNIX_EPOCH);
        (found.troubles.remove("api"), wants.len())
    }

    #[test]
    fn a_registry_on_this_machine_is_not_asked_for_hosts_that_have_another() {
        let service = |image: &str, place: Value| {
            let mut service = json!({"image": image, "imagePolicy": {"digest": {}}});
            service.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
            service
        };
        for place in [
            json!({"host": "web-2"}),
            json!({"placement": {"hosts": ["here", "web-2"]}}),
            json!({"placement": {"selector": {"matchLabels": {"disk": "ssd"}}}}),
        ] {
            let (trouble, asked) = judge(service("localhost:5000/api:1", place.clone()));
            let trouble = trouble.unwrap();
            assert!(trouble.contains("localhost:5000") && trouble.contains("web-2"), "{trouble}");
            assert_eq!(asked, 0, "{place}");
            assert_eq!(judge(service("registry.example.com/api:1", place)), (None, 1));
        }
        for place in [json!({}), json!({"host": "here"}), json!({"placement": {"hosts": ["here"]}})]
        {
            assert_eq!(judge(service("localhost:5000/api:1", place)), (None, 1));
        }
    }
}
