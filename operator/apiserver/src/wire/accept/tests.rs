use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn the_first_form_that_can_be_answered_wins() {
    let cases = [
        (None, ResponseForm::Json),
        (Some(""), ResponseForm::Json),
        (Some("*/*"), ResponseForm::Json),
        (Some("application/json"), ResponseForm::Json),
        (Some("application/vnd.kubernetes.protobuf,application/json"), ResponseForm::Json),
        (Some("application/yaml"), ResponseForm::Yaml),
        (
            Some(
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            ),
            ResponseForm::Table(MetaVersion::V1),
        ),
        (
            Some("application/json;as=Table;v=v9;g=meta.k8s.io, application/json"),
            ResponseForm::Json,
        ),
        (
            Some(
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
            ),
            ResponseForm::PartialObjectMetadata(MetaVersion::V1),
        ),
        (
            Some("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
            ResponseForm::PartialObjectMetadataList(MetaVersion::V1),
        ),
        (
            Some("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"),
            ResponseForm::Table(MetaVersion::V1Beta1),
        ),
        (
            Some("application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io"),
            ResponseForm::PartialObjectMetadata(MetaVersion::V1Beta1),
        ),
        (Some("application/json;as=Table;v=v1;g=other.example,*/*"), ResponseForm::Json),
        (Some("text/html, application/json;q=0, */*;q=0.8"), ResponseForm::Json),
    ];
    for (accept, expected) in cases {
        assert_eq!(negotiate(accept), Ok(expected), "{accept:?}");
    }
    for accept in [
        "text/html",
        "application/vnd.kubernetes.protobuf",
        "application/json;q=0",
        "application/json;as=Table;v=v9",
    ] {
        assert_eq!(negotiate(Some(accept)).unwrap_err().code(), 406, "{accept}");
    }
}

#[test]
fn aggregated_discovery_is_answered_where_preferred() {
    let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                   application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
                   application/json";
    assert_eq!(aggregated_discovery(Some(kubectl)), Some(AggregatedVersion::V2));
    let older = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    assert_eq!(aggregated_discovery(Some(older)), Some(AggregatedVersion::V2Beta1));
    for plain in [None, Some("application/json"), Some("*/*")] {
        assert_eq!(aggregated_discovery(plain), None);
    }
}

#[test]
fn bodies_and_patches_have_a_form() {
    assert_eq!(body_form(None), Ok(BodyForm::Json));
    assert_eq!(body_form(Some("application/json; charset=utf-8")), Ok(BodyForm::Json));
    assert_eq!(body_form(Some("application/yaml")), Ok(BodyForm::Yaml));
    assert_eq!(body_form(Some("application/vnd.kubernetes.protobuf")), Ok(BodyForm::Protobuf));
    assert_eq!(body_form(Some("text/plain")).unwrap_err().code(), 415);
    assert_eq!(patch_form(Some("application/merge-patch+json")), Ok(PatchForm::Merge));
    assert_eq!(patch_form(Some("application/json-patch+json")), Ok(PatchForm::Json));
    assert_eq!(
        patch_form(Some("application/strategic-merge-patch+json")),
        Ok(PatchForm::Strategic)
    );
    assert_eq!(patch_form(Some("application/apply-patch+yaml")), Ok(PatchForm::Apply));
    assert_eq!(patch_form(Some("application/json")).unwrap_err().code(), 415);
    assert_eq!(patch_form(None).unwrap_err().code(), 415);
}

#[test]
fn json_and_yaml_bodies_are_read() {
    let yaml =
        b"apiVersion: v1\nkind: Thing\nspec:\n  on: true\n  ports: [80, \"90\"]\n  none: ~\n";
    assert_eq!(
        decode_body(BodyForm::Yaml, yaml).unwrap(),
        json!({
            "apiVersion": "v1",
            "kind": "Thing",
            "spec": {"on": true, "ports": [80, "90"], "none": null},
        })
    );
    assert_eq!(decode_body(BodyForm::Yaml, br#" {"a": 1}"#).unwrap(), json!({"a": 1}));
    assert_eq!(decode_body(BodyForm::Json, b"").unwrap(), json!(null));
    assert_eq!(decode_body(BodyForm::Yaml, b"  \n").unwrap(), json!(null));
    for (form, body) in [
        (BodyForm::Json, "{\"a\": 1} x"),
        (BodyForm::Json, "{"),
        (BodyForm::Yaml, "a: [1"),
        (BodyForm::Yaml, "a: 1\na: 2\n"),
        (BodyForm::Protobuf, "{}"),
    ] {
        assert_eq!(decode_body(form, body.as_bytes()).unwrap_err().code(), 400, "{body}");
    }
    let error = decode_body(BodyForm::Json, b"{\n  \"a\": }").unwrap_err();
    assert!(error.message().contains("line 2 column 8"), "{error}");
}

#[test]
fn duplicate_keys_are_reported_with_their_path() {
    let body = br#"{"spec": {"image": "a", "list": [{"x": 1, "x": 2}], "image": "b"}, "n": 1.5}"#;
    let decoded = decode_body_strict(BodyForm::Json, body).unwrap();
    assert_eq!(decoded.duplicates, ["spec.list[0].x", "spec.image"]);
    assert_eq!(decoded.value, json!({"spec": {"image": "b", "list": [{"x": 2}]}, "n": 1.5}));
}

#[test]
fn bodies_of_too_many_values_are_refused() {
    let many = format!("[{}0]", "0,".repeat(200_000));
    let deep = format!("{}[{}0]{}", "[".repeat(90), "0,".repeat(40_000), "]".repeat(90));
    for body in [&many, &deep] {
        for form in [BodyForm::Json, BodyForm::Yaml] {
            let error = decode_body(form, body.as_bytes()).unwrap_err();
            assert!(matches!(error.code(), 400 | 413), "{form:?}: {error}");
            assert!(error.message().len() < 2000);
        }
        assert_eq!(decode_body(BodyForm::Json, body.as_bytes()).unwrap_err().code(), 413);
    }
    // As much as Kubernetes tells of them.
    let twice = format!("{{{}\"a\":0}}", "\"a\":0,".repeat(5000));
    let decoded = decode_body_strict(BodyForm::Json, twice.as_bytes()).unwrap();
    assert_eq!(decoded.duplicates.len(), 100);
    // A long key stands in the path of all that is below it.
    let below = "\"a\":[0,0,0],\"a\":0,".repeat(200);
    let long = format!("{{\"{}\":{{{below}\"b\":0}}}}", "x".repeat(1 << 20));
    let decoded = decode_body_strict(BodyForm::Json, long.as_bytes()).unwrap();
    assert!(decoded.duplicates.iter().all(|path| path.len() < 1000));
}

#[test]
fn aliases_make_no_more_of_a_yaml_body_than_it_could_hold() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let list = vec![before; 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    let text = format!("a: &a {}\nb: [{}*a]\n", "x".repeat(100_000), "*a, ".repeat(99));
    for body in [laughs, text] {
        let error = decode_body(BodyForm::Yaml, body.as_bytes()).unwrap_err();
        assert!(matches!(error.code(), 400 | 413), "{error}");
    }
    let few = b"a: &a [1, 2]\nb: *a\n";
    assert_eq!(decode_body(BodyForm::Yaml, few).unwrap(), json!({"a": [1, 2], "b": [1, 2]}));
}

proptest! {
    #[test]
    fn every_json_value_is_read_as_it_is(value in crate::admission::schema::tests::any_json()) {
        let body = value.to_string();
        prop_assert_eq!(decode_body(BodyForm::Json, body.as_bytes()).unwrap(), value);
    }

    #[test]
    fn random_headers_and_bodies_never_panic(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = negotiate(Some(&text));
        let _ = aggregated_discovery(Some(&text));
        let _ = body_form(Some(&text));
        let _ = patch_form(Some(&text));
        for form in [BodyForm::Json, BodyForm::Yaml, BodyForm::Protobuf] {
            let _ = decode_body(form, &bytes);
            let _ = decode_body(form, text.as_bytes());
        }
    }
}
