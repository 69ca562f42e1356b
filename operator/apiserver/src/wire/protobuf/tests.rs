use proptest::prelude::*;
use serde_json::{Value, json};

use super::decode;

/// A tiny encoder, so that the cases read as the messages they are.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn message(fields: &[Vec<u8>]) -> Vec<u8> {
    fields.concat()
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = message(&[bytes(1, api_version), bytes(2, kind)]);
    let unknown = message(&[bytes(1, type_meta), bytes(2, raw), bytes(3, ""), bytes(4, "")]);
    [b"k8s\0".to_vec(), unknown].concat()
}

/// ObjectMeta as Go writes it: empty texts, zero generation and time included.
fn metadata(name: &str) -> Vec<u8> {
    bytes(
        1,
        message(&[
            bytes(1, name),
            bytes(2, ""),
            bytes(3, ""),
            bytes(5, ""),
            number(7, 0),
            bytes(8, ""),
        ]),
    )
}

/// Bodies that kubectl 1.37 sent, each with its command line before and what it
/// means behind.
const CAPTURED: &str = include_str!("captured.txt");

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn bodies_that_kubectl_sent() {
    let captured: Vec<&str> = CAPTURED.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(captured.len(), 3 * 13);
    for lines in captured.chunks(3) {
        let [command, body, expected] = lines else { unreachable!() };
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(decode(&unhex(body)).unwrap(), expected, "{command}");
    }
}

#[test]
fn questions_with_lists_inside_maps() {
    let extra = message(&[bytes(1, "scopes"), bytes(2, [bytes(1, "a"), bytes(1, "b")].concat())]);
    let requirement = message(&[bytes(1, "app"), bytes(2, "In"), bytes(3, "web")]);
    let attributes = message(&[bytes(2, "list"), bytes(9, bytes(2, requirement))]);
    let spec =
        message(&[bytes(1, attributes), bytes(3, "joe"), bytes(4, "farmers"), bytes(5, extra)]);
    for kind in ["SubjectAccessReview", "LocalSubjectAccessReview"] {
        let raw = message(&[metadata(""), bytes(2, &spec)]);
        let review = decode(&envelope("authorization.k8s.io/v1", kind, &raw)).unwrap();
        assert_eq!(
            review["spec"],
            json!({
                "resourceAttributes": {
                    "verb": "list",
                    "labelSelector": {
                        "requirements": [{"key": "app", "operator": "In", "values": ["web"]}],
                    },
                },
                "user": "joe",
                "groups": ["farmers"],
                "extra": {"scopes": ["a", "b"]},
            })
        );
    }
    let raw = message(&[metadata(""), bytes(2, message(&[bytes(1, "secret"), bytes(2, "api")]))]);
    let review = decode(&envelope("authentication.k8s.io/v1", "TokenReview", &raw)).unwrap();
    assert_eq!(review["spec"], json!({"token": "secret", "audiences": ["api"]}));
}

#[test]
fn kubectl_create_namespace() {
    let raw = message(&[metadata("shop"), bytes(2, ""), bytes(3, bytes(1, ""))]);
    assert_eq!(
        decode(&envelope("v1", "Namespace", &raw)).unwrap(),
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "shop"},
            "spec": {},
            "status": {},
        })
    );
}

#[test]
fn kubectl_create_secret_and_configmap() {
    let entry = |key: &str, value: &[u8]| bytes(2, message(&[bytes(1, key), bytes(2, value)]));
    let raw = message(&[
        bytes(
            1,
            message(&[
                bytes(1, "db"),
                bytes(11, message(&[bytes(1, "app"), bytes(2, "web")])),
                bytes(14, "a/b"),
                bytes(14, "c/d"),
            ]),
        ),
        entry("password", b"\xff\x00"),
        entry("empty", b""),
        bytes(3, "Opaque"),
        bytes(4, message(&[bytes(1, "plain"), bytes(2, "text")])),
        number(5, 0),
    ]);
    assert_eq!(
        decode(&envelope("v1", "Secret", &raw)).unwrap(),
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "db", "labels": {"app": "web"}, "finalizers": ["a/b", "c/d"]},
            "data": {"password": "/wA=", "empty": ""},
            "type": "Opaque",
            "stringData": {"plain": "text"},
            "immutable": false,
        })
    );
    let raw = message(&[metadata("cm"), entry("k", "v".as_bytes())]);
    let map = decode(&envelope("v1", "ConfigMap", &raw)).unwrap();
    assert_eq!(map["data"], json!({"k": "v"}));
}

#[test]
fn kubectl_auth_can_i() {
    let attributes = message(&[
        bytes(1, "shop"),
        bytes(2, "get"),
        bytes(3, "hades.dev"),
        bytes(4, "*"),
        bytes(5, "environments"),
        bytes(6, ""),
        bytes(7, ""),
    ]);
    let raw = message(&[metadata(""), bytes(2, bytes(1, attributes)), bytes(3, number(1, 0))]);
    let review =
        decode(&envelope("authorization.k8s.io/v1", "SelfSubjectAccessReview", &raw)).unwrap();
    assert_eq!(
        review["spec"]["resourceAttributes"],
        json!({
            "namespace": "shop",
            "verb": "get",
            "group": "hades.dev",
            "version": "*",
            "resource": "environments",
        })
    );
}

#[test]
fn delete_options_keep_a_grace_period_of_zero() {
    let raw = message(&[
        number(1, 0),
        bytes(2, message(&[bytes(1, "uid-1")])),
        bytes(4, "Background"),
        bytes(5, "All"),
    ]);
    assert_eq!(
        decode(&envelope("meta.k8s.io/v1", "DeleteOptions", &raw)).unwrap(),
        json!({
            "apiVersion": "meta.k8s.io/v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": "uid-1"},
            "propagationPolicy": "Background",
            "dryRun": ["All"],
        })
    );
}

#[test]
fn times_and_managed_fields() {
    let time = |seconds: u64, nanos: u64| message(&[number(1, seconds), number(2, nanos)]);
    let managed = message(&[
        bytes(1, "kubectl"),
        bytes(2, "Update"),
        bytes(4, time(1_767_225_600, 0)),
        bytes(6, "FieldsV1"),
        bytes(7, bytes(1, r#"{"f:spec":{}}"#)),
    ]);
    let spec = message(&[
        bytes(1, "me"),
        number(2, 15),
        bytes(3, time(1_767_225_600, 123_456_000)),
        number(5, 0),
    ]);
    let raw = message(&[bytes(1, message(&[bytes(1, "l"), bytes(17, managed)])), bytes(2, spec)]);
    let lease = decode(&envelope("coordination.k8s.io/v1", "Lease", &raw)).unwrap();
    assert_eq!(
        lease["spec"],
        json!({
            "holderIdentity": "me",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:00.123456Z",
            "leaseTransitions": 0,
        })
    );
    let entry = &lease["metadata"]["managedFields"][0];
    assert_eq!(entry["time"], "2026-01-01T00:00:00Z");
    assert_eq!(entry["fieldsV1"], json!({"f:spec": {}}));
}

#[test]
fn unknown_fields_are_skipped() {
    let raw = message(&[
        metadata("x"),
        number(99, 7),
        bytes(98, "zzz"),
        [varint(97 << 3 | 1), vec![0; 8]].concat(),
        [varint(96 << 3 | 5), vec![0; 4]].concat(),
    ]);
    let object = decode(&envelope("v1", "ServiceAccount", &raw)).unwrap();
    assert_eq!(object["metadata"]["name"], "x");
}

#[test]
fn broken_bodies_are_refused() {
    let good = envelope("v1", "Namespace", &metadata("shop"));
    assert_eq!(decode(b"{}").unwrap_err().code(), 400);
    assert_eq!(decode(b"").unwrap_err().code(), 400);
    for length in 5..good.len() {
        // Cut anywhere: an error, or an object without what was cut off; no panic.
        let _ = decode(&good[..length]);
    }
    let wrong_type = envelope("v1", "Namespace", &number(1, 5));
    assert_eq!(decode(&wrong_type).unwrap_err().code(), 400);
    let endless = [b"k8s\0".as_slice(), &[0xff; 16]].concat();
    assert_eq!(decode(&endless).unwrap_err().code(), 400);
    let huge = [b"k8s\0".as_slice(), &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]].concat();
    assert_eq!(decode(&huge).unwrap_err().code(), 400);
    let text = envelope("v1", "Namespace", &bytes(1, bytes(1, [0xff, 0xfe])));
    assert_eq!(decode(&text).unwrap_err().code(), 400);
    let unknown = decode(&envelope("apps/v1", "Deployment", b"")).unwrap_err();
    assert_eq!(unknown.code(), 415);
    assert!(unknown.message().contains("apps/v1 Deployment"), "{unknown}");
}

/// Kinds with a table, for random bodies.
const KINDS: &[(&str, &str)] = &[
    ("v1", "Namespace"),
    ("v1", "Secret"),
    ("v1", "Event"),
    ("coordination.k8s.io/v1", "Lease"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("authorization.k8s.io/v1", "SubjectAccessReview"),
    ("authentication.k8s.io/v1", "TokenRequest"),
    ("meta.k8s.io/v1", "PartialObjectMetadata"),
];

proptest! {
    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), kind in prop::sample::select(KINDS)) {
        let _ = decode(&body);
        let _ = decode(&[b"k8s\0".as_slice(), &body].concat());
        if let Ok(object) = decode(&envelope(kind.0, kind.1, &body)) {
            prop_assert!(matches!(object, Value::Object(_)));
        }
    }

    #[test]
    fn a_flipped_byte_never_panics(at in 0..80usize, value in any::<u8>()) {
        let raw = message(&[metadata("shop"), bytes(2, bytes(1, "kubernetes")), bytes(3, bytes(1, "Active"))]);
        let mut body = envelope("v1", "Namespace", &raw);
        let at = at % body.len();
        body[at] = value;
        let _ = decode(&body);
    }
}
