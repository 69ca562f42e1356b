//! What registries have said of the images of an environment, and what they are to
//! be asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hades_api::{EnvironmentSpec, ImagePolicy, ImagePullPolicy, PolicyImage, VersionRange};
use hades_plan::reference::{self, familiar};
use hades_plan::{Desired, FoundImages, HostView, Observed};
use hades_registry::ImageName;
use jiff::Timestamp;

use super::credentials::PullKeys;
use super::poll::{Answer, Poller, Query, Want};

/// How often a registry is asked what it was to be asked but once.
const ONCE: Duration = Duration::from_secs(3600);

/// What image policies have led to, by what the status remembers and what
/// registries have said since; and what is to be asked.
pub(crate) fn found(
    poller: &Poller,
    spec: &EnvironmentSpec,
    recorded: &[PolicyImage],
    keys: &PullKeys,
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
            Err(trouble) => {
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
