//! Tells whoever writes a value that is too short to be hidden.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hades_apiserver::{Admission, Cause, Validator};
use hades_redact::{MIN_CHARACTERS, is_too_short};
use serde_json::Value;

use super::registry_login;

/// Warns of values that are too short to be hidden in logs and messages.
pub(crate) struct ShortValues;

impl Validator for ShortValues {
    fn validate(&self, _admission: &Admission<'_>) -> Vec<Cause> {
        Vec::new()
    }

    fn warnings(&self, admission: &Admission<'_>) -> Vec<String> {
        let kind = admission.kind;
        if !kind.group.is_empty() || kind.kind != "Secret" {
            return Vec::new();
        }
        let old = |key: &str| admission.old.and_then(|old| old["data"].get(key));
        let data = admission.object["data"].as_object().into_iter().flatten();
        data.filter(|(key, value)| old(key) != Some(*value))
            .filter_map(|(key, value)| Some(warning(key, short_part(key, value)?)))
            .collect()
    }
}

fn warning(key: &str, part: &str) -> String {
    format!(
        "data[{key}]: {part} has fewer than {MIN_CHARACTERS} characters, so it is not hidden \
         where it turns up in logs, events and messages"
    )
}

/// What of a value is looked for and too short, in words.
fn short_part(key: &str, value: &Value) -> Option<&'static str> {
    let bytes = STANDARD.decode(value.as_str()?).ok()?;
    if is_too_short(&bytes) {
        return Some("the value");
    }
    let in_login = key == registry_login::KEY
        && registry_login::secrets(&bytes).iter().any(|secret| is_too_short(secret));
    in_login.then_some("a password in it")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use axum::http::{Request, header};
    use hades_apiserver::{ApiServer, Identity, ServerConfig};
    use hades_controllers::SecretValues;
    use serde_json::json;
    use tower::ServiceExt;

    use super::*;
    use crate::secrets::SecretIndex;

    const PATH: &str = "/api/v1/namespaces/default/secrets";

    async fn send(server: &ApiServer, method: &str, path: &str, body: &Value) -> Vec<String> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        request.extensions_mut().insert(Identity::administrator("tester"));
        let response = server.router().oneshot(request).await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        let warnings = response.headers().get_all(header::WARNING).iter();
        warnings.map(|warning| warning.to_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn what_is_stored_is_hidden_at_once_and_whoever_stores_too_short_a_value_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = ServerConfig::new(directory.path(), Vec::new());
        config.validators = vec![Arc::new(ShortValues)];
        let server = ApiServer::open(config).await.unwrap();
        let index = Arc::new(SecretIndex::default());
        server.observe(Arc::<SecretIndex>::clone(&index)).unwrap();
        let secret = |data: Value| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
                "stringData": data,
            })
        };
        let first = secret(json!({"pin": "1234", "password": "hunter22", "none": ""}));
        let warnings = send(&server, "POST", PATH, &first).await;
        assert!(warnings.len() == 1 && warnings[0].contains("data[pin]"), "{warnings:?}");
        assert!(!warnings[0].contains("1234"), "{warnings:?}");
        let shown = |text| index.redactor("default").text(text).into_owned();
        assert_eq!(shown("1234 hunter22 hunter23"), "1234 *** hunter23");
        // Only of what is new.
        let path = format!("{PATH}/db");
        let second = secret(json!({"pin": "1234", "password": "hunter23"}));
        assert!(send(&server, "PUT", &path, &second).await.is_empty());
        assert_eq!(shown("1234 hunter22 hunter23"), "1234 *** ***");
        let login = r#"{"auths":{"registry.example.com":{"auth":"YW5uYToxMjM0"}}}"#;
        let third = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": login},
        });
        let warnings = send(&server, "POST", PATH, &third).await;
        let expected = "data[.dockerconfigjson]: a password in it has fewer";
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{warnings:?}");
        // Known anew after a start.
        let again = SecretIndex::default();
        let again = Arc::new(again);
        server.observe(Arc::<SecretIndex>::clone(&again)).unwrap();
        assert_eq!(again.redactor("default").text("hunter22 hunter23"), "hunter22 ***");
    }
}
