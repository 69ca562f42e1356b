//! Images go when nothing needs them, and none that anything may need.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hades_api::PulledImage;
use hades_plan::cleanup::{CleanupSettings, NeededImages, is_due, removals, survey};
use hades_plan::{HostSnapshot, ObservedContainer, Operation};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

const DAY: Duration = Duration::from_secs(86_400);
const SETTINGS: CleanupSettings = CleanupSettings { keep: 3, after: DAY };

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn hours_ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

/// Image `NAME` with id `sha256:NAME`, unused for so many hours.
fn pulled(name: &str, unused_hours: i64, services: &[&str]) -> PulledImage {
    PulledImage {
        image: name.to_owned(),
        id: Some(format!("sha256:{name}")),
        pulled_at: hours_ago(unused_hours + 1),
        unused_since: Some(hours_ago(unused_hours)),
        services: services.iter().map(|service| (*service).to_owned()).collect(),
    }
}

fn host(names: &[&str]) -> HostSnapshot {
    let mut images = BTreeMap::new();
    for name in names {
        images.insert((*name).to_owned(), format!("sha256:{name}"));
        images.insert(format!("sha256:{name}"), format!("sha256:{name}"));
    }
    HostSnapshot { images, ..HostSnapshot::default() }
}

fn container(id: &str, service: Option<&str>) -> ObservedContainer {
    let labels = service.map(|service| {
        BTreeMap::from([
            ("hades.dev/installation".to_owned(), "i".to_owned()),
            ("hades.dev/project".to_owned(), "shop".to_owned()),
            ("hades.dev/environment".to_owned(), "prod".to_owned()),
            ("hades.dev/service".to_owned(), service.to_owned()),
        ])
    });
    ObservedContainer {
        image_id: format!("sha256:{id}"),
        labels: labels.unwrap_or_default(),
        ..ObservedContainer::default()
    }
}

fn needed(images: &[&str], services: &[&str]) -> NeededImages {
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    NeededImages { images: set(images), services: set(services) }
}

fn removed(images: &[PulledImage], snapshot: &HostSnapshot, needed: &NeededImages) -> Vec<String> {
    removals("local", images, snapshot, needed, SETTINGS, now())
        .into_iter()
        .map(|action| action.target.name)
        .collect()
}

#[test]
fn what_nothing_needs_goes_after_its_time() {
    let images = [pulled("old:1", 25, &[]), pulled("new:1", 23, &[])];
    let snapshot = host(&["old:1", "new:1", "foreign:1"]);
    assert_eq!(removed(&images, &snapshot, &needed(&[], &[])), ["old:1"]);
    assert!(is_due(&images, DAY, now()) && !is_due(&images[1..], DAY, now()));
    let action = &removals("local", &images, &snapshot, &needed(&[], &[]), SETTINGS, now())[0];
    let expected =
        Operation::RemoveImage { id: "sha256:old:1".into(), names: vec!["old:1".into()] };
    assert_eq!(action.operation, expected);
    assert!(hades_plan::render::line(action).contains("nothing has used it since 2026-05-30"));
}

#[test]
fn what_any_container_has_stays_whoever_made_it() {
    let images = [pulled("a:1", 99, &[])];
    let mut snapshot = host(&["a:1"]);
    snapshot.containers.push(container("a:1", None));
    assert_eq!(removed(&images, &snapshot, &needed(&[], &[])), [""; 0]);
}

#[test]
fn what_an_environment_names_stays() {
    let images = [pulled("a:1", 99, &[])];
    let snapshot = host(&["a:1"]);
    for reference in ["a:1", "docker.io/library/a:1", "sha256:a:1"] {
        assert_eq!(removed(&images, &snapshot, &needed(&[reference], &[])), [""; 0], "{reference}");
    }
}

#[test]
fn the_last_versions_of_a_described_service_stay() {
    let service = "shop/prod/web";
    let images: Vec<_> =
        (1..=5).map(|n| pulled(&format!("web:{n}"), 200 - n * 10, &[service])).collect();
    let snapshot = host(&["web:1", "web:2", "web:3", "web:4", "web:5"]);
    assert_eq!(removed(&images, &snapshot, &needed(&[], &[service])), ["web:1", "web:2"]);
    let all = removed(&images, &snapshot, &needed(&[], &["shop/prod/other"]));
    assert_eq!(all.len(), 5, "the service is no longer described");
}

#[test]
fn what_somebody_named_anew_stays() {
    let images = [pulled("a:1", 99, &[])];
    let mut snapshot = host(&["a:1"]);
    snapshot.images.insert("mine:keep".into(), "sha256:a:1".into());
    assert_eq!(removed(&images, &snapshot, &needed(&[], &[])), [""; 0]);
}

#[test]
fn an_image_whose_tag_moved_on_goes_by_its_id() {
    let mut old = pulled("a:1", 99, &[]);
    old.id = Some("sha256:before".into());
    let mut snapshot = host(&["a:1"]);
    snapshot.images.insert("sha256:before".into(), "sha256:before".into());
    let images = [old, pulled("a:1", 1, &[])];
    let actions = removals("local", &images, &snapshot, &needed(&["a:1"], &[]), SETTINGS, now());
    let expected = Operation::RemoveImage { id: "sha256:before".into(), names: vec![] };
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0].operation, expected);
}

#[test]
fn a_pull_that_never_ended_claims_nothing_later() {
    let pull = |hours| PulledImage {
        id: None,
        unused_since: None,
        pulled_at: hours_ago(hours),
        ..pulled("a:1", 0, &[])
    };
    // Somebody built an image of that name; a pull of today may have brought it.
    let snapshot = host(&["a:1"]);
    assert_eq!(survey(&[pull(25)], &snapshot, "i", now()), []);
    assert_eq!(survey(&[pull(25)], &host(&[]), "i", now()), []);
    assert_eq!(survey(&[pull(23)], &snapshot, "i", now())[0].id.as_deref(), Some("sha256:a:1"));
    // A clock that went back makes nothing old.
    assert_eq!(survey(&[pull(-48)], &snapshot, "i", now()).len(), 1);
}

#[test]
fn a_survey_follows_what_runs() {
    let mut snapshot = host(&["a:1", "b:1"]);
    snapshot.containers.push(container("a:1", Some("web")));
    snapshot.containers.push(container("a:1", None));
    let arriving = PulledImage { id: None, unused_since: None, ..pulled("b:1", 0, &[]) };
    let coming = PulledImage { id: None, unused_since: None, ..pulled("c:1", 0, &[]) };
    let images = [pulled("a:1", 5, &[]), arriving, coming.clone(), pulled("gone:1", 5, &[])];
    let surveyed = survey(&images, &snapshot, "i", now());
    assert_eq!(surveyed.len(), 3);
    assert_eq!(
        (surveyed[0].unused_since, &*surveyed[0].services),
        (None, &["shop/prod/web".to_owned()][..])
    );
    assert_eq!(surveyed[1].id.as_deref(), Some("sha256:b:1"));
    assert_eq!(surveyed[1].unused_since, Some(now()));
    assert_eq!(surveyed[2], coming);
    assert_eq!(survey(&surveyed, &snapshot, "i", now()), surveyed, "a second one changes nothing");
}

#[test]
fn a_clock_that_goes_back_removes_nothing() {
    let images = [pulled("a:1", 25, &[])];
    let earlier = hours_ago(100);
    assert_eq!(
        removals("local", &images, &host(&["a:1"]), &needed(&[], &[]), SETTINGS, earlier),
        []
    );
}

const NAMES: [&str; 6] = ["a:1", "a:2", "b:1", "c:1", "d:1", "e:1"];
const SERVICES: [&str; 3] = ["shop/prod/web", "shop/prod/api", "shop/prod/job"];

prop_compose! {
    fn records()(
        chosen in prop::collection::btree_map(0..NAMES.len(), (0..60i64, prop::collection::btree_set(0..3usize, 0..3)), 0..6)
    ) -> Vec<PulledImage> {
        chosen.into_iter().map(|(name, (hours, services))| {
            let services: Vec<&str> = services.into_iter().map(|service| SERVICES[service]).collect();
            pulled(NAMES[name], hours, &services)
        }).collect()
    }
}

proptest! {
    #[test]
    fn nothing_that_is_needed_ever_goes(
        images in records(),
        used in prop::collection::btree_set(0..NAMES.len(), 0..4),
        wanted in prop::collection::btree_set(0..NAMES.len(), 0..4),
        described in prop::collection::btree_set(0..3usize, 0..3),
        renamed in prop::collection::btree_set(0..NAMES.len(), 0..2),
        keep in 1..4u32,
    ) {
        let mut snapshot = host(&NAMES);
        for index in &used {
            snapshot.containers.push(container(NAMES[*index], None));
        }
        for index in &renamed {
            snapshot.images.insert(format!("mine:{index}"), format!("sha256:{}", NAMES[*index]));
        }
        let wanted: BTreeSet<&str> = wanted.iter().map(|index| NAMES[*index]).collect();
        let described: Vec<&str> = described.iter().map(|index| SERVICES[*index]).collect();
        let needed = needed(&wanted.iter().copied().collect::<Vec<_>>(), &described);
        let settings = CleanupSettings { keep, after: DAY };
        let surveyed = survey(&images, &snapshot, "i", now());
        let actions = removals("local", &surveyed, &snapshot, &needed, settings, now());
        let gone: BTreeSet<&str> = actions.iter().map(|action| action.target.name.as_str()).collect();
        for name in &gone {
            let index = NAMES.iter().position(|known| known == name).unwrap();
            prop_assert!(images.iter().any(|image| image.image == *name), "{name} was not pulled by Hades");
            prop_assert!(!used.contains(&index), "{name} is in use");
            prop_assert!(!wanted.contains(name), "{name} is named by an environment");
            prop_assert!(!renamed.contains(&index), "{name} has a name of somebody's");
        }
        for service in &described {
            let versions = images.iter().filter(|image| image.services.iter().any(|s| s == service));
            let left = versions.clone().filter(|image| !gone.contains(image.image.as_str())).count();
            prop_assert!(left >= versions.count().min(keep as usize), "{service} lost a version too many");
        }
        // What was removed is not asked for again.
        for name in &gone {
            snapshot.images.retain(|_, id| *id != format!("sha256:{name}"));
        }
        let later = survey(&surveyed, &snapshot, "i", now());
        prop_assert_eq!(removals("local", &later, &snapshot, &needed, settings, now()), vec![]);
    }
}
