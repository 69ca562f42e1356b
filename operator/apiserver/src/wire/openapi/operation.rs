//! What an operation takes and answers.

use serde_json::{Map, Value, json};

use super::{DELETE_OPTIONS, PATCH, STATUS, reference};

/// The media types of answers.
const ANSWERS: [&str; 2] = ["application/json", "application/yaml"];

const TEXT: &str = "string";
const NUMBER: &str = "integer";
const SWITCH: &str = "boolean";

/// Which objects a list, watch or deletion is about, and since when.
const SELECTION: [(&str, &str); 8] = [
    ("continue", TEXT),
    ("fieldSelector", TEXT),
    ("labelSelector", TEXT),
    ("limit", NUMBER),
    ("resourceVersion", TEXT),
    ("resourceVersionMatch", TEXT),
    ("sendInitialEvents", SWITCH),
    ("timeoutSeconds", NUMBER),
];

const WATCH: [(&str, &str); 2] = [("allowWatchBookmarks", SWITCH), ("watch", SWITCH)];

const WRITE: [(&str, &str); 3] =
    [("dryRun", TEXT), ("fieldManager", TEXT), ("fieldValidation", TEXT)];

const DELETE: [(&str, &str); 4] = [
    ("dryRun", TEXT),
    ("gracePeriodSeconds", NUMBER),
    ("orphanDependents", SWITCH),
    ("propagationPolicy", TEXT),
];

/// The parameter of every operation.
pub(super) fn pretty() -> Value {
    parameter("pretty", TEXT)
}

fn parameter(name: &str, kind: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
}

/// The query parameters of an action; kubectl looks for those of `patch`.
pub(super) fn query_parameters(action: &str) -> Vec<Value> {
    let groups: &[&[(&str, &str)]] = match action {
        "list" => &[&SELECTION, &WATCH],
        "deletecollection" => &[&SELECTION, &DELETE],
        "delete" => &[&DELETE],
        "post" | "put" => &[&WRITE],
        "patch" => &[&WRITE, &[("force", SWITCH)]],
        _ => &[],
    };
    groups.iter().copied().flatten().map(|(name, kind)| parameter(name, kind)).collect()
}

/// The answers of an action: what was asked for, the refusal of somebody who is
/// not logged in, and a Status for everything else.
pub(super) fn responses(action: &str, schema: &str) -> Value {
    let answer = match action {
        "list" => reference(&format!("{schema}List")),
        // Who waits for something is shown, who is gone is only named.
        "delete" => json!({"anyOf": [reference(STATUS), reference(schema)]}),
        "deletecollection" => {
            json!({"anyOf": [reference(STATUS), reference(&format!("{schema}List"))]})
        }
        _ => reference(schema),
    };
    let codes: &[(&str, &str)] = match action {
        "post" => &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
        "put" | "patch" => &[("200", "OK"), ("201", "Created")],
        "delete" => &[("200", "OK"), ("202", "Accepted")],
        _ => &[("200", "OK")],
    };
    let response = |text: &str, schema: &Value| json!({"description": text, "content": content(&ANSWERS, schema)});
    let status = reference(STATUS);
    let failure = |text: &str| json!({"description": text, "content": {"application/json": {"schema": status}}});
    let mut responses: Map<String, Value> =
        codes.iter().map(|(code, text)| ((*code).to_owned(), response(text, &answer))).collect();
    responses.insert("401".to_owned(), failure("Unauthorized"));
    responses.insert("default".to_owned(), failure("What went wrong"));
    Value::Object(responses)
}

fn content(media_types: &[&str], schema: &Value) -> Value {
    media_types
        .iter()
        .map(|media_type| ((*media_type).to_owned(), json!({"schema": schema})))
        .collect::<Map<_, _>>()
        .into()
}

/// The body of an operation. As on Kubernetes, custom resources have no
/// strategic merge patch in their documents, so that kubectl makes merge patches
/// of them.
pub(super) fn request_body(schema: &str, action: &str, builtin: bool) -> Option<Value> {
    match action {
        "post" | "put" => {
            Some(json!({"content": content(&ANSWERS, &reference(schema)), "required": true}))
        }
        "patch" => {
            let patch = reference(PATCH);
            let mut forms =
                content(&["application/apply-patch+yaml", "application/merge-patch+json"], &patch);
            forms["application/json-patch+json"] = json!({"schema": json_patch()});
            if builtin {
                forms["application/strategic-merge-patch+json"] = json!({"schema": patch});
            }
            Some(json!({"content": forms, "required": true}))
        }
        "delete" | "deletecollection" => {
            Some(json!({"content": content(&ANSWERS, &reference(DELETE_OPTIONS))}))
        }
        _ => None,
    }
}

/// RFC 6902.
fn json_patch() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["op", "path"],
            "properties": {
                "op": {
                    "type": "string",
                    "enum": ["add", "copy", "move", "remove", "replace", "test"],
                },
                "path": {"type": "string"},
                "from": {"type": "string"},
                "value": {},
            },
        },
    })
}
