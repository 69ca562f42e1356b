//! Passwords within a `.dockerconfigjson`, which programs print without the rest.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The key of a Secret that has it.
pub(super) const KEY: &str = ".dockerconfigjson";

/// The fields of an entry that are secret.
const FIELDS: [&str; 4] = ["auth", "identitytoken", "password", "registrytoken"];

/// The secrets within such a file; none where it can't be read.
pub(super) fn secrets(file: &[u8]) -> Vec<Vec<u8>> {
    let Ok(file) = serde_json::from_slice::<Value>(file) else { return Vec::new() };
    let entries = file["auths"].as_object().into_iter().flat_map(|entries| entries.values());
    let texts = entries.flat_map(|entry| FIELDS.iter().filter_map(|field| entry[*field].as_str()));
    let mut found = Vec::new();
    for text in texts {
        // USER:PASSWORD in base64.
        if let Ok(pair) = STANDARD.decode(text)
            && let Some(colon) = pair.iter().position(|byte| *byte == b':')
        {
            found.push(pair[colon + 1..].to_vec());
        }
        found.push(text.as_bytes().to_vec());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_found_in_both_ways_of_writing() {
        let auth = STANDARD.encode("anna:first-password");
        let file =
            format!(r#"{{"auths":{{"a":{{"auth":"{auth}"}},"b":{{"password":"second"}},"c":3}}}}"#);
        let found = secrets(file.as_bytes());
        for expected in ["first-password", &auth, "second"] {
            assert!(found.iter().any(|value| value == expected.as_bytes()), "{expected}");
        }
        assert!(secrets(b"no JSON").is_empty() && secrets(b"[]").is_empty());
    }
}
