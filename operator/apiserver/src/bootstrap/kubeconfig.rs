//! The administrator's kubeconfig.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// Name of the context, the cluster and, with `-admin`, the user.
pub const CONTEXT: &str = "hades";

/// The text of a kubeconfig that trusts `ca` and shows `token`.
pub(super) fn write(url: &str, ca: &str, token: &str) -> String {
    let user = format!("{CONTEXT}-admin");
    // JSON is YAML that no quoting can break.
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{
            "name": CONTEXT,
            "cluster": {"server": url, "certificate-authority-data": BASE64.encode(ca)},
        }],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{
            "name": CONTEXT,
            "context": {"cluster": CONTEXT, "user": user, "namespace": "default"},
        }],
    });
    format!("{config:#}\n")
}

/// The token inside a kubeconfig that [`write`] made, whatever people changed
/// around it.
pub(super) fn token(text: &str) -> Option<String> {
    let config: Value = serde_saphyr::from_str(text).ok()?;
    config["users"].as_array()?.iter().find_map(|user| {
        let named = user["name"].as_str() == Some(&format!("{CONTEXT}-admin"));
        user["user"]["token"].as_str().filter(|_| named).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_again() {
        let text = write("https://127.0.0.1:7443", "PEM", "secret-token");
        assert_eq!(token(&text).as_deref(), Some("secret-token"));
        assert_eq!(token("users: []"), None);
        assert_eq!(token(": no yaml ["), None);
    }
}
