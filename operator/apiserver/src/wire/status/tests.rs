use axum::body::to_bytes;
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use super::{StatusError, success};
use crate::admission::{Cause, CauseReason};

#[test]
fn errors_are_worded_as_kubernetes_words_them() {
    let cases = [
        (
            StatusError::not_found("hades.dev", "environments", "shop"),
            404,
            "NotFound",
            r#"environments.hades.dev "shop" not found"#,
        ),
        (
            StatusError::not_found("", "namespaces", "shop"),
            404,
            "NotFound",
            r#"namespaces "shop" not found"#,
        ),
        (
            StatusError::already_exists("", "namespaces", "shop"),
            409,
            "AlreadyExists",
            r#"namespaces "shop" already exists"#,
        ),
        (
            StatusError::conflict(
                "hades.dev",
                "environments",
                "shop",
                "the object has been modified",
            ),
            409,
            "Conflict",
            r#"Operation cannot be fulfilled on environments.hades.dev "shop": the object has been modified"#,
        ),
        (
            StatusError::forbidden("hades.dev", "environments", "shop", "no"),
            403,
            "Forbidden",
            r#"environments.hades.dev "shop" is forbidden: no"#,
        ),
        (
            StatusError::forbidden("", "secrets", "", "no"),
            403,
            "Forbidden",
            "secrets is forbidden: no",
        ),
        (
            StatusError::method_not_allowed("", "bindings", "list"),
            405,
            "MethodNotAllowed",
            r#"list is not supported on resources of kind "bindings""#,
        ),
        (
            StatusError::strict_decoding(&[
                r#"unknown field "spec.x""#.to_owned(),
                r#"unknown field "y""#.to_owned(),
            ]),
            400,
            "BadRequest",
            r#"strict decoding error: unknown field "spec.x", unknown field "y""#,
        ),
        (
            StatusError::internal("disk full"),
            500,
            "InternalError",
            "Internal error occurred: disk full",
        ),
    ];
    for (error, code, reason, message) in cases {
        assert_eq!(error.code(), code);
        assert_eq!(error.reason(), reason);
        assert_eq!(error.to_string(), message);
        let value = error.to_value();
        assert_eq!(value["kind"], "Status");
        assert_eq!(value["apiVersion"], "v1");
        assert_eq!(value["status"], "Failure");
        assert_eq!(value["code"], code);
    }
}

#[test]
fn what_is_wrong_with_a_whole_object_has_a_path_of_its_own() {
    let whole = Cause::new("", CauseReason::FieldValueInvalid, "Invalid value: null: not checked");
    let error = StatusError::invalid("example.org", "Thing", "x", vec![whole]);
    assert_eq!(
        error.message(),
        "Thing.example.org \"x\" is invalid: <nil>: Invalid value: null: not checked"
    );
    let status = error.to_value();
    assert_eq!(status["details"]["causes"][0]["field"], "<nil>");
    let inside = StatusError::internal("the disk is gone").to_value();
    assert_eq!(inside["details"]["causes"], json!([{"message": "the disk is gone"}]));
}

#[test]
fn invalid_lists_every_cause() {
    let one = Cause::new("spec.a", CauseReason::FieldValueRequired, "Required value");
    let two = Cause::new("spec.b", CauseReason::FieldValueInvalid, "Invalid value: 1: too small");
    let error = StatusError::invalid("hades.dev", "Environment", "shop", vec![one.clone()]);
    assert_eq!(
        error.message(),
        r#"Environment.hades.dev "shop" is invalid: spec.a: Required value"#
    );
    let error = StatusError::invalid("hades.dev", "Environment", "shop", vec![one, two]);
    assert_eq!(
        error.message(),
        r#"Environment.hades.dev "shop" is invalid: [spec.a: Required value, spec.b: Invalid value: 1: too small]"#
    );
    assert_eq!(
        error.to_value()["details"],
        json!({
            "name": "shop",
            "group": "hades.dev",
            "kind": "Environment",
            "causes": [
                {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.a"},
                {"reason": "FieldValueInvalid", "message": "Invalid value: 1: too small", "field": "spec.b"},
            ],
        })
    );
}

#[tokio::test]
async fn responses_carry_code_type_and_retry() {
    let response = StatusError::too_many_requests("slow down", 3).into_response();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["retry-after"], "3");
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    let value: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(value["details"]["retryAfterSeconds"], 3);
}

#[test]
fn a_success_names_what_was_deleted() {
    assert_eq!(
        success("hades.dev", "environments", "shop", "u1")["details"],
        json!({"name": "shop", "group": "hades.dev", "kind": "environments", "uid": "u1"})
    );
}
