//! What a delivery is taken for, by samples that forges publish.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

use super::payload::{Followed, Forge, Meaning, meaning};
use super::signature::Check;

const SECRET: &str = "It's a Secret to Everybody";
const DECOY: [u8; 32] = [7; 32];

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(key: &[u8], text: &[u8]) -> String {
    hmac(key, text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn genuine(headers: &HeaderMap, body: &[u8], secret: Option<&str>) -> bool {
    let mut check = Check::begin(headers, secret, &DECOY);
    for part in body.chunks(5) {
        check.update(part);
    }
    check.end()
}

fn main() -> Followed {
    Followed::Branch("main".to_owned())
}

fn signed(name: &str, value: &str) -> HeaderMap {
    headers(&[(name, value)])
}

#[test]
fn github_as_its_documentation_has_it() {
    // The example of "Validating webhook deliveries" in GitHub's documentation.
    let value = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let header = signed("X-Hub-Signature-256", value);
    assert!(genuine(&header, b"Hello, World!", Some(SECRET)));
    assert!(!genuine(&header, b"Hello, World?", Some(SECRET)));
    assert!(!genuine(&header, b"Hello, World!", Some("another")));
    assert!(!genuine(&header, b"Hello, World!", None));
}

#[test]
fn what_is_no_signature_opens_nothing() {
    let good = hex(SECRET.as_bytes(), b"{}");
    for bad in ["", "sha256=", "sha1=00", &good[..62], &format!("{good}00"), &"z".repeat(64)] {
        assert!(!genuine(&signed("X-Hub-Signature-256", bad), b"{}", Some(SECRET)), "{bad}");
    }
    assert!(!genuine(&HeaderMap::new(), b"{}", Some(SECRET)));
    // A secret that is absent or empty is one that everybody could guess.
    for (key, secret) in [(b"".as_slice(), Some("")), (b"", None), (&DECOY, None)] {
        let header = signed("X-Hub-Signature-256", &hex(key, b"{}"));
        assert!(!genuine(&header, b"{}", secret));
        assert!(!genuine(&signed("X-Gitlab-Token", ""), b"{}", secret));
    }
    // The first header decides: a wrong one isn't made good by another.
    let both = headers(&[("X-Hub-Signature-256", &"0".repeat(64)), ("X-Gitea-Signature", &good)]);
    assert!(!genuine(&both, b"{}", Some(SECRET)));
}

#[test]
fn gitea_forgejo_and_bitbucket_sign_the_body() {
    let good = hex(SECRET.as_bytes(), b"{}");
    for name in ["X-Gitea-Signature", "X-Forgejo-Signature"] {
        assert!(genuine(&signed(name, &good), b"{}", Some(SECRET)), "{name}");
        assert!(!genuine(&signed(name, &good), b"{ }", Some(SECRET)), "{name}");
    }
    let bitbucket = signed("X-Hub-Signature", &format!("sha256={good}"));
    assert!(genuine(&bitbucket, b"{}", Some(SECRET)));
}

#[test]
fn gitlab_shows_the_token_or_signs() {
    assert!(genuine(&signed("X-Gitlab-Token", SECRET), b"{}", Some(SECRET)));
    for wrong in ["It's a Secret", "It's a Secret to Everybody!", "x"] {
        assert!(!genuine(&signed("X-Gitlab-Token", wrong), b"{}", Some(SECRET)));
    }
    // A signing token: https://www.standardwebhooks.com
    let key = [9; 32];
    let secret = format!("whsec_{}", STANDARD.encode(key));
    let signature = STANDARD.encode(hmac(&key, b"msg-1.1700000000.{}"));
    let with = |signature: &str| {
        headers(&[
            ("webhook-id", "msg-1"),
            ("webhook-timestamp", "1700000000"),
            ("webhook-signature", signature),
            ("X-Gitlab-Token", &secret),
        ])
    };
    assert!(genuine(&with(&format!("v1,{signature}")), b"{}", Some(&secret)));
    // While a key is changed there are two; other versions are skipped.
    let old = STANDARD.encode([0; 32]);
    assert!(genuine(&with(&format!("v1a,x v1,{old} v1,{signature}")), b"{}", Some(&secret)));
    // The token beside a wrong signature doesn't help.
    assert!(!genuine(&with(&format!("v1,{old}")), b"{}", Some(&secret)));
    assert!(!genuine(&with(&format!("v1,{signature}")), b"{ }", Some(&secret)));
}

#[test]
fn pushes_of_each_forge_concern_their_branch_only() {
    let github = r#"{"ref": "refs/heads/main", "before": "0", "after": "1", "deleted": false}"#;
    let gitlab = r#"{"object_kind": "push", "event_name": "push", "ref": "refs/heads/main",
        "checkout_sha": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7", "project": {"id": 15}}"#;
    let cloud = r#"{"push": {"changes": [{"new": {"type": "branch", "name": "main",
        "target": {"hash": "1"}}, "old": null, "created": true, "closed": false}]}}"#;
    let center = r#"{"eventKey": "repo:refs_changed", "changes": [{"ref": {"id": "refs/heads/main",
        "displayId": "main", "type": "BRANCH"}, "fromHash": "0", "toHash": "1", "type": "UPDATE"}]}"#;
    let main = main();
    for (header, event, body) in [
        ("X-GitHub-Event", "push", github),
        ("X-Gitea-Event", "push", github),
        ("X-Forgejo-Event", "push", github),
        ("X-Gitlab-Event", "Push Hook", gitlab),
        ("X-Gitlab-Event", "System Hook", gitlab),
        ("X-Event-Key", "repo:push", cloud),
        ("X-Event-Key", "repo:refs_changed", center),
    ] {
        let header = headers(&[(header, event)]);
        let of =
            |body: &str, followed: &Followed| meaning(&header, Some(body.as_bytes()), followed);
        assert_eq!(of(body, &main), Meaning::Concerns, "{event}");
        let elsewhere = Followed::Branch("maintenance".to_owned());
        for other in [&elsewhere, &Followed::Tags, &Followed::Commit] {
            assert!(matches!(of(body, other), Meaning::Elsewhere(_)), "{event} {other:?}");
        }
        // `main` of a folder, and a tag of that name, are something else.
        let folder = body.replace("refs/heads/main", "refs/heads/feature/main");
        let folder = folder.replace("\"name\": \"main\"", "\"name\": \"feature/main\"");
        assert!(matches!(of(&folder, &main), Meaning::Elsewhere(_)), "{event}");
        let tag =
            body.replace("refs/heads/main", "refs/tags/main").replace("\"branch\"", "\"tag\"");
        assert!(matches!(of(&tag, &main), Meaning::Elsewhere(_)), "{event}");
        assert_eq!(of(&tag, &Followed::Tags), Meaning::Concerns, "{event}");
    }
}

#[test]
fn a_branch_that_was_deleted_concerns_those_who_follow_it() {
    let deleted = r#"{"push": {"changes": [{"new": null, "closed": true,
        "old": {"type": "branch", "name": "main", "target": {"hash": "1"}}}]}}"#;
    let header = headers(&[("X-Event-Key", "repo:push")]);
    assert_eq!(meaning(&header, Some(deleted.as_bytes()), &main()), Meaning::Concerns);
    let other = deleted.replace("main", "old-feature");
    assert!(matches!(meaning(&header, Some(other.as_bytes()), &main()), Meaning::Elsewhere(_)));
    let github = r#"{"ref": "refs/heads/main", "after": "0000000000000000000000000000000000000000", "deleted": true}"#;
    let header = headers(&[("X-GitHub-Event", "push")]);
    assert_eq!(meaning(&header, Some(github.as_bytes()), &main()), Meaning::Concerns);
}

#[test]
fn what_is_no_push_or_no_sense() {
    let of = |event: &str, body: &[u8]| {
        meaning(&headers(&[("X-GitHub-Event", event)]), Some(body), &main())
    };
    assert_eq!(of("ping", b"whatever"), Meaning::Ping);
    assert!(matches!(of("issues", b"{}"), Meaning::Elsewhere(_)));
    for bad in [b"".as_slice(), b"{", b"[]", b"\xff\xfe", b"{}", br#"{"ref": 7}"#, &[b'['; 4096]] {
        assert!(matches!(of("push", bad), Meaning::Unreadable(_)), "{bad:?}");
    }
    let nameless = meaning(&HeaderMap::new(), Some(b"{}"), &main());
    assert!(matches!(nameless, Meaning::Unreadable(_)));
    let system = headers(&[("X-Gitlab-Event", "System Hook")]);
    for no_push in [
        r#"{"event_name": "project_create", "name": "x"}"#,
        r#"{"object_kind": "merge_request", "changes": {"title": {"previous": "a"}}}"#,
        r#"{"event_name": "repository_update", "refs": ["refs/heads/main"],
            "changes": [{"before": "0", "after": "1", "ref": "refs/heads/main"}]}"#,
    ] {
        let meaning = meaning(&system, Some(no_push.as_bytes()), &main());
        assert!(matches!(meaning, Meaning::Elsewhere(_)), "{no_push}: {meaning:?}");
    }
    assert!(matches!(meaning(&system, Some(b"{"), &main()), Meaning::Unreadable(_)));
    // Too long to have been kept: better a fetch too many.
    let push = headers(&[("X-GitHub-Event", "push")]);
    assert_eq!(meaning(&push, None, &main()), Meaning::Concerns);
}

#[test]
fn a_form_holds_its_payload_in_a_field() {
    let header = headers(&[
        ("X-GitHub-Event", "push"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ]);
    let form = b"payload=%7B%22ref%22%3A+%22refs%2Fheads%2Fmain%22%7D";
    assert_eq!(meaning(&header, Some(form), &main()), Meaning::Concerns);
    let other = b"a=b&payload=%7B%22ref%22%3A%22refs%2Fheads%2Fx%22%7D&c=d";
    assert!(matches!(meaning(&header, Some(other), &main()), Meaning::Elsewhere(_)));
    assert!(matches!(meaning(&header, Some(b"a=b"), &main()), Meaning::Unreadable(_)));
}

#[test]
fn forges_are_told_apart() {
    let of = |names: &[&str]| {
        let pairs: Vec<(&str, &str)> = names.iter().map(|&name| (name, "push")).collect();
        Forge::of(&headers(&pairs)).name()
    };
    assert_eq!(of(&["X-GitHub-Event"]), "github");
    assert_eq!(of(&["X-Gitea-Event", "X-GitHub-Event", "X-Gogs-Event"]), "gitea");
    assert_eq!(of(&["X-Forgejo-Event", "X-Gitea-Event", "X-GitHub-Event"]), "gitea");
    assert_eq!(of(&["X-Gitlab-Event"]), "gitlab");
    assert_eq!(of(&["X-Event-Key"]), "bitbucket");
    assert_eq!(of(&["User-Agent"]), "unknown");
}

/// Every example of every event that GitHub publishes, signed as GitHub signs.
#[test]
fn githubs_published_examples() {
    let Some(folder) = std::env::var_os("HADES_WEBHOOK_EXAMPLES") else {
        return println!("skipped: HADES_WEBHOOK_EXAMPLES isn't set; hack/test.sh sets it");
    };
    let path = std::path::Path::new(&folder).join("api.github.com/index.json");
    let text = std::fs::read_to_string(path).unwrap();
    let events: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut seen = std::collections::BTreeMap::new();
    for event in &events {
        let name = event["name"].as_str().unwrap();
        for example in event["examples"].as_array().unwrap() {
            let body = serde_json::to_vec(example).unwrap();
            let signature = format!("sha256={}", hex(SECRET.as_bytes(), &body));
            let header = headers(&[("X-GitHub-Event", name), ("X-Hub-Signature-256", &signature)]);
            assert!(genuine(&header, &body, Some(SECRET)), "{name}");
            assert!(!genuine(&header, &body[1..], Some(SECRET)), "{name}");
            let meaning = meaning(&header, Some(&body), &Followed::Branch("master".to_owned()));
            let word = match meaning {
                Meaning::Concerns => "concerns",
                Meaning::Ping => "ping",
                Meaning::Elsewhere(_) => "elsewhere",
                Meaning::Unreadable(why) => panic!("{name}: {why}"),
            };
            *seen.entry((name, word)).or_insert(0) += 1;
        }
    }
    assert_eq!(seen[&("push", "concerns")], 2, "the two of refs/heads/master");
    assert_eq!(seen[&("push", "elsewhere")], 5, "those of tags");
    assert_eq!(seen[&("ping", "ping")], 4);
    assert!(
        seen.keys().all(|(name, word)| *word == "elsewhere" || ["push", "ping"].contains(name))
    );
}
