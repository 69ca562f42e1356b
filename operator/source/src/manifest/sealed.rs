//! Files that sops sealed: opened in memory, before anything else reads them.

use std::ops::Range;

use hades_sops::{Format, Keys, Opened, SopsError};
use secrecy::zeroize::Zeroizing;

use super::{Fault, ManifestError, Position};

/// Which values of a file were encrypted.
pub(super) enum Encrypted {
    /// None: the file isn't sealed.
    Nothing,
    /// Those that stand here, once opened.
    Values(Vec<Range<usize>>),
}

impl Encrypted {
    /// Whether a value between these bytes was encrypted. Bytes and not lines, as parsers
    /// don't agree about what ends a line.
    pub(super) fn within(&self, part: Range<usize>) -> bool {
        match self {
            Self::Nothing => false,
            Self::Values(found) => {
                found.iter().any(|value| value.start < part.end && part.start < value.end)
            }
        }
    }
}

/// A file that was opened. No `Debug`: it holds what was sealed.
pub(super) struct Unsealed {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) encrypted: Encrypted,
}

/// Opens a file if it is sealed. None if it isn't.
pub(super) fn open(path: &str, text: &str, keys: &Keys) -> Result<Option<Unsealed>, ManifestError> {
    let format = format_of(path, text);
    if !hades_sops::is_sealed(text, format) {
        return Ok(None);
    }
    match hades_sops::open(text.as_bytes(), format, keys) {
        Ok(Opened { bytes, encrypted }) => {
            Ok(Some(Unsealed { bytes, encrypted: Encrypted::Values(encrypted) }))
        }
        Err(SopsError::NotSealed) => Ok(None),
        Err(error) => Err(told(path, &error, keys)),
    }
}

/// A file that is sealed as a whole has one value and the metadata, which no manifest
/// has alone.
fn format_of(path: &str, text: &str) -> Format {
    type Fields = std::collections::BTreeMap<String, serde::de::IgnoredAny>;
    let whole = serde_json::from_str::<Fields>(text)
        .is_ok_and(|fields| fields.keys().map(String::as_str).eq(["data", "sops"]));
    match (whole, path.to_ascii_lowercase().ends_with(".json")) {
        (true, _) => Format::Binary,
        (false, true) => Format::Json,
        (false, false) => Format::Yaml,
    }
}

/// Whether a file is sealed as a whole, so that nothing shows what is in it.
pub(super) fn is_whole(path: &str, text: &str) -> bool {
    format_of(path, text) == Format::Binary && hades_sops::is_sealed(text, Format::Binary)
}

fn told(path: &str, error: &SopsError, keys: &Keys) -> ManifestError {
    let recipients: Vec<String> = keys.recipients().iter().map(ToString::to_string).collect();
    let message = match error {
        SopsError::NoKey { .. } if !recipients.is_empty() => {
            format!("{error}; the keys here are of {}", recipients.join(", "))
        }
        _ => error.to_string(),
    };
    ManifestError {
        position: error.line().map(|line| Position { line, column: 1 }),
        fault: if error.is_tampered() { Fault::Tampered } else { Fault::Sealed },
        ..ManifestError::of_file(path, message)
    }
}

#[cfg(test)]
mod tests {
    use hades_sops::{Recipient, SealOptions, new_identity, seal};
    use secrecy::ExposeSecret;

    use super::*;
    use crate::manifest::set::SetBuilder;
    use crate::manifest::{Limits, ManifestSet, read_bytes};

    const SECRET: &str = "# of the shop\napiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n\
                          stringData:\n  password: |\n    hunter2\n    twice\n  empty: \"\"\n";

    fn keys() -> (Keys, Recipient) {
        let (secret, recipient) = new_identity();
        (Keys::parse(secret.expose_secret()).unwrap(), recipient)
    }

    fn options(recipient: &Recipient) -> SealOptions {
        SealOptions::to(vec![recipient.clone()], "2026-11-23T12:00:00Z".parse().unwrap())
    }

    fn sealed(plain: &str, format: Format, recipient: &Recipient) -> String {
        let mut options = options(recipient);
        if format != Format::Binary {
            let regex = "^(data|stringData|env)$".to_owned();
            options.rule = Some(("encrypted_regex", regex));
        }
        seal(plain.as_bytes(), format, &options).unwrap()
    }

    fn read(name: &str, text: &str, keys: &Keys) -> ManifestSet {
        let mut builder = SetBuilder::new(Limits::default(), String::new());
        builder.open_with(Some(keys));
        builder.add(name, "id", text.as_bytes()).unwrap();
        builder.finish()
    }

    #[test]
    fn sealed_manifests_are_opened_with_their_lines_kept() {
        let (keys, recipient) = keys();
        let two = format!("{SECRET}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: a}}\n");
        let text = sealed(&two, Format::Yaml, &recipient);
        let set = read("db.yaml", &text, &keys);
        assert_eq!(set.errors, []);
        assert_eq!(set.documents.len(), 2, "a plain object beside it is none of its business");
        let secret = &set.documents[0];
        assert_eq!(secret.value["stringData"]["password"], "hunter2\ntwice\n");
        assert_eq!(secret.value.get("sops"), None);
        assert!(!secret.sealed && !format!("{secret:?}").contains("hunter2"));
        assert_eq!(secret.locate("metadata.name").unwrap().line, 5);
        let namespace = text.lines().position(|line| line == "kind: Namespace").unwrap() + 1;
        assert_eq!(set.documents[1].locate("kind").unwrap().line as usize, namespace);
        let error = secret.error_at("stringData.password", "bad");
        assert!(!error.render().contains("hunter2"), "{}", error.render());
    }

    #[test]
    fn a_manifest_sealed_as_a_whole_is_opened_whatever_its_name() {
        let (keys, recipient) = keys();
        let text = sealed(SECRET, Format::Binary, &recipient);
        let set = read("db.yaml", &text, &keys);
        assert_eq!(set.errors, []);
        assert_eq!(set.documents[0].value["stringData"]["password"], "hunter2\ntwice\n");
        let json = serde_json::json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "db"}, "stringData": {"password": "hunter2"}});
        for format in [Format::Json, Format::Binary] {
            let text = sealed(&json.to_string(), format, &recipient);
            let set = read("db.json", &text, &keys);
            assert_eq!(set.errors, []);
            assert_eq!(set.documents[0].value, json);
        }
    }

    #[test]
    fn only_secrets_may_have_encrypted_values() {
        let (keys, recipient) = keys();
        let plain = "apiVersion: hades.dev/v1alpha1\nkind: Environment\nmetadata: {name: a}\n\
                     spec: {env: {TOKEN: hunter2}}\n";
        for format in [Format::Yaml, Format::Binary] {
            let set = read("a.yaml", &sealed(plain, format, &recipient), &keys);
            assert_eq!(set.documents.len(), 0);
            assert!(set.errors[0].message.contains("only a Secret"), "{:?}", set.errors);
            assert!(!format!("{:?}", set.errors).contains("hunter2"));
        }
        let list = format!(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  \
             metadata: {{name: a}}\n  data: {{token: hunter2}}\n---\n{SECRET}"
        );
        let set = read("a.yaml", &sealed(&list, Format::Yaml, &recipient), &keys);
        assert_eq!((set.documents.len(), set.errors.len()), (1, 1), "{:?}", set.errors);
    }

    /// Who can write to a repository, but holds no key, turns a Secret into something that
    /// he may read. Lines shift as broken values are joined, and parsers count them
    /// differently: neither hides which document had an encrypted value.
    #[test]
    fn no_layout_hides_encrypted_values() {
        let (keys, recipient) = keys();
        let object = |kind: &str, key: &str| {
            format!(
                "apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {key}\ndata:\n  {key}: hunter2\n"
            )
        };
        let plain = format!("{}---\n{}", object("Secret", "long"), object("Secret", "token"));
        let mut options = options(&recipient);
        options.mac_only_encrypted = true;
        options.rule = Some(("encrypted_regex", "^data$".to_owned()));
        let text = seal(plain.as_bytes(), Format::Yaml, &options).unwrap();
        assert_eq!(read("a.yaml", &text, &keys).errors, []);
        let (first, second) = text.split_once("\n---\n").unwrap();
        let second = second.replace("kind: Secret", "kind: ConfigMap");
        let broken = first.replacen(",iv:", &format!(",{}iv:", "\\\n    ".repeat(40)), 1);
        let broken = broken.replacen("long: ENC", "long: \"ENC", 1).replacen("str]", "str]\"", 1);
        for first in [
            broken,
            first.replacen("\ndata:", "\n#\r#\r#\r#\r#\r#\r#\r#\r#\r#\r#\r#\ndata:", 1),
            first.replacen("\ndata:", "\n# \u{85}\u{2028}\u{2029}\u{85}\u{2028}\ndata:", 1),
            first.replacen("\ndata:", "\n# \u{b}\u{c}\ndata:", 1),
            format!("\u{feff}{first}"),
        ] {
            let set = read("a.yaml", &format!("{first}\n---\n{second}"), &keys);
            assert!(!set.errors.is_empty(), "{first:?}");
            let mut maps = set.documents.iter().filter(|found| found.kind == "ConfigMap");
            assert!(maps.all(|map| map.value["data"]["token"] != "hunter2"), "{first:?}");
            let shown = format!("{:?}", set.errors);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn what_cannot_be_opened_is_told_as_what_it_is() {
        let (own, recipient) = keys();
        let (other, other_recipient) = keys();
        let text = sealed(SECRET, Format::Yaml, &recipient);
        let set = read("db.yaml", &text, &other);
        let [error] = &set.errors[..] else { panic!("{:?}", set.errors) };
        assert_eq!(error.fault, Fault::Sealed);
        assert!(error.message.contains(recipient.as_str()), "{error}");
        assert!(error.message.contains(other_recipient.as_str()), "{error}");
        let set = read("db.yaml", &text.replace("name: db", "name: dc"), &own);
        assert_eq!(set.errors[0].fault, Fault::Tampered);
        assert_eq!(set.documents.len(), 0);
        // Metadata that only one of two parsers sees must not let the rest through.
        let set = read("db.yaml", &text.replace("sops:", "\"so\\x70s\":"), &own);
        assert_eq!(set.errors.len(), 1, "{:?}", set.errors);
        assert_eq!(set.errors[0].fault, Fault::Sealed);
    }

    #[test]
    fn without_keys_it_stays_sealed_and_says_so() {
        let (_, recipient) = keys();
        let text = sealed(SECRET, Format::Yaml, &recipient);
        let set = read_bytes("db.yaml", text.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(set.errors, []);
        assert!(set.documents[0].sealed);
        assert_eq!(set.documents[0].value.get("sops"), None);
        let plain = read_bytes("db.yaml", SECRET.as_bytes(), &Limits::default()).unwrap();
        assert!(!plain.documents[0].sealed);
        // Advice to leave it out would have it pruned.
        let whole = sealed(SECRET, Format::Binary, &recipient);
        for name in ["db.yaml", "db.json"] {
            let set = read_bytes(name, whole.as_bytes(), &Limits::default()).unwrap();
            let [error] = &set.errors[..] else { panic!("{:?}", set.errors) };
            assert_eq!(error.fault, Fault::Sealed);
            assert!(error.message.contains("sealed as a whole: commit it"), "{error}");
            assert!(!error.message.contains(".hadesignore"), "{error}");
        }
    }
}
