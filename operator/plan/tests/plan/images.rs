//! Which bytes run: digests across hosts, image policies, full disks.

use hades_api::{PinnedImage, PolicyImage};
use hades_plan::{FoundImages, Operation, Plan, plan};

use crate::fixture::{Fixture, desired, shown};
use crate::simulator::Simulator;

const ON_BOTH: &str = "
services:
  a: {image: 'registry.example.com/shop/api:1', host: local}
  b: {image: 'registry.example.com/shop/api:1', host: other}
";
const ONE: &str = "
defaults: {host: local}
services: {web: {image: 'registry.example.com/web:1.2.0', imagePolicy: {semver: {range: '>=1.2 <2'}}}}
";

fn pulls(plan: &Plan) -> Vec<(&str, &str)> {
    plan.actions
        .iter()
        .filter(|action| matches!(action.operation, Operation::PullImage))
        .map(|action| (action.target.host.as_str(), action.target.name.as_str()))
        .collect()
}

fn pin(host: &str, digest: Option<&str>) -> PinnedImage {
    PinnedImage {
        host: host.into(),
        image: "registry.example.com/shop/api:1".into(),
        id: "sha256:one".into(),
        digest: digest.map(str::to_owned),
    }
}

fn policy_found(tag: &str, digest: &str, policy: &str) -> PolicyImage {
    PolicyImage {
        service: "web".into(),
        image: "registry.example.com/web:1.2.0".into(),
        policy: policy.into(),
        tag: tag.into(),
        digest: digest.into(),
        time: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

#[test]
fn another_host_pulls_by_the_digest_that_was_pinned() {
    let fixture = Fixture { pins: vec![pin("local", Some("sha256:d1"))], ..Fixture::default() };
    let simulator = Simulator::new(&["local", "other"]);
    let plan = plan(&fixture.resolve(ON_BOTH).unwrap(), &simulator.observe());
    let by_digest = "registry.example.com/shop/api@sha256:d1";
    assert_eq!(pulls(&plan), [("local", by_digest), ("other", by_digest)]);
}

#[test]
fn another_host_pulls_what_the_first_has_even_before_a_pin() {
    let mut simulator = Simulator::new(&["local", "other"]);
    let images = &mut simulator.host("local").images;
    for name in
        ["registry.example.com/shop/api:1", "registry.example.com/shop/api@sha256:d7", "sha256:i"]
    {
        images.insert(name.to_owned(), "sha256:i".to_owned());
    }
    let plan = plan(&desired(ON_BOTH), &simulator.observe());
    assert_eq!(pulls(&plan), [("other", "registry.example.com/shop/api@sha256:d7")]);
    simulator.apply(&plan);
}

#[test]
fn a_moved_tag_on_another_host_is_not_run_there() {
    let fixture = Fixture { pins: vec![pin("local", Some("sha256:d1"))], ..Fixture::default() };
    let mut simulator = Simulator::new(&["local", "other"]);
    simulator.host("local").images.insert("sha256:one".into(), "sha256:one".into());
    let moved = &mut simulator.host("other").images;
    moved.insert("registry.example.com/shop/api:1".into(), "sha256:two".into());
    moved.insert("registry.example.com/shop/api@sha256:d2".into(), "sha256:two".into());
    let plan = plan(&fixture.resolve(ON_BOTH).unwrap(), &simulator.observe());
    assert_eq!(pulls(&plan), [("other", "registry.example.com/shop/api@sha256:d1")]);
}

#[test]
fn images_without_a_digest_stay_what_each_host_has() {
    let fixture = Fixture { pins: vec![pin("local", None)], ..Fixture::default() };
    let mut simulator = Simulator::new(&["local", "other"]);
    for host in ["local", "other"] {
        let name = "registry.example.com/shop/api:1";
        simulator.host(host).images.insert(name.into(), format!("sha256:{host}"));
    }
    let plan = plan(&fixture.resolve(ON_BOTH).unwrap(), &simulator.observe());
    assert_eq!(pulls(&plan), []);
}

#[test]
fn a_policy_says_which_image_runs_and_why_it_changes() {
    let mut simulator = Simulator::new(&["local"]);
    let found = |tag: &str| Fixture {
        found: FoundImages {
            policies: vec![policy_found(tag, &format!("sha256:{tag}"), "semver >=1.2 <2")],
            ..FoundImages::default()
        },
        ..Fixture::default()
    };
    let first = plan(&found("1.2.3").resolve(ONE).unwrap(), &simulator.observe());
    assert_eq!(pulls(&first), [("local", "registry.example.com/web@sha256:1.2.3")]);
    simulator.apply(&first);
    let next = plan(&found("1.2.4").resolve(ONE).unwrap(), &simulator.observe());
    assert!(shown(&next).contains("image policy: 1.2.3 → 1.2.4"), "{}", shown(&next));
}

#[test]
fn a_digest_policy_rolls_when_the_tag_moves() {
    let yaml = ONE.replace("{semver: {range: '>=1.2 <2'}}", "{digest: {}}");
    let mut simulator = Simulator::new(&["local"]);
    let found = |digest: &str| Fixture {
        found: FoundImages {
            policies: vec![policy_found("1.2.0", digest, "digest")],
            ..FoundImages::default()
        },
        ..Fixture::default()
    };
    let first = plan(&found("sha256:aaaa").resolve(&yaml).unwrap(), &simulator.observe());
    simulator.apply(&first);
    let next = plan(&found("sha256:bbbb").resolve(&yaml).unwrap(), &simulator.observe());
    let lines = shown(&next);
    assert!(lines.contains("image policy: 1.2.0@aaaa → 1.2.0@bbbb"), "{lines}");
    let moved = found("sha256:bbbb").resolve(&yaml).unwrap();
    simulator.converge(&moved);
    assert!(plan(&moved, &simulator.observe()).is_empty());
    assert_eq!(simulator.host("local").containers.len(), 1);
}

#[test]
fn what_a_policy_found_for_something_else_does_not_count() {
    let simulator = Simulator::new(&["local"]);
    let fixture = Fixture {
        found: FoundImages {
            policies: vec![policy_found("3.0.0", "sha256:x", "semver >=3")],
            troubles: [("web".to_owned(), "no tag matches".to_owned())].into(),
        },
        ..Fixture::default()
    };
    let plan = plan(&fixture.resolve(ONE).unwrap(), &simulator.observe());
    let lines = shown(&plan);
    assert!(pulls(&plan).is_empty() && lines.contains("no tag matches"), "{lines}");
}

#[test]
fn nothing_is_pulled_onto_a_full_disk() {
    let mut simulator = Simulator::new(&["local"]);
    let yaml = "{defaults: {host: local}, services: {a: {image: 'web:1'}, b: {image: 'new:1'}}}";
    let mut observed = simulator.observe();
    observed.full_disks.insert("local".into(), "97 % in use".into());
    let held = plan(&desired(yaml), &observed);
    let lines = shown(&held);
    assert!(pulls(&held).is_empty() && lines.contains("97 % in use"), "{lines}");
    assert!(lines.contains("create container shop_production_a-1"), "what is there runs: {lines}");
    simulator.apply(&held);
}

#[test]
fn what_is_wrong_with_a_policy_is_said_with_its_field() {
    for (service, field, says) in [
        (
            "image: 'a:1', imagePolicy: {semver: {range: soon}}",
            "imagePolicy.semver.range",
            "write it like",
        ),
        ("image: 'a:1', imagePolicy: {digest: {}, interval: 5s}", "imagePolicy.interval", "30s"),
        (
            "image: 'a:1', imagePolicy: {digest: {}, semver: {range: ^1}}",
            "imagePolicy",
            "exactly one",
        ),
        (
            "image: 'a:1', imagePullPolicy: Never, imagePolicy: {digest: {}}",
            "imagePullPolicy",
            "contradicts",
        ),
        (
            "image: 'a@sha256:0123456789abcdef0123456789abcdef', imagePolicy: {digest: {}}",
            "image",
            "leave out",
        ),
        (
            "image: 'a:1', imagePullSecrets: [{name: gone}]",
            "imagePullSecrets[0].name",
            "docker-registry",
        ),
        (
            "image: 'a:1', imagePullSecrets: [{name: db}]",
            "imagePullSecrets[0].name",
            ".dockerconfigjson",
        ),
    ] {
        let yaml = format!("{{defaults: {{host: local}}, services: {{web: {{{service}}}}}}}");
        let errors = Fixture::default().resolve(&yaml).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].field, format!("spec.services.web.{field}"));
        assert!(errors[0].message.contains(says), "{}", errors[0].message);
    }
}
