//! Round trips with the real program.

use std::path::Path;
use std::process::Command;

use hades_sops::{Format, Keys, Recipient, SealOptions, new_identity, seal};
use secrecy::ExposeSecret;

use super::{open, sops, text, values, vector};

struct Testbed {
    folder: tempfile::TempDir,
    program: std::path::PathBuf,
    keys: Keys,
    recipient: Recipient,
}

impl Testbed {
    fn new() -> Option<Self> {
        let program = sops()?;
        let folder = tempfile::tempdir().unwrap();
        let (secret, recipient) = new_identity();
        std::fs::write(folder.path().join("key.txt"), secret.expose_secret()).unwrap();
        let keys = Keys::parse(secret.expose_secret()).unwrap();
        Some(Self { folder, program, keys, recipient })
    }

    fn run(&self, arguments: &[&str]) -> Result<Vec<u8>, String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("SOPS_AGE_KEY_FILE", "key.txt")
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    /// What real sops opens a file of ours to.
    fn opened(&self, sealed: &str, kind: &str) -> Result<Vec<u8>, String> {
        self.write("sealed", sealed.as_bytes());
        self.run(&["decrypt", "--input-type", kind, "--output-type", kind, "sealed"])
    }

    fn options(&self) -> SealOptions {
        SealOptions::to(vec![self.recipient.clone()], "2026-11-23T12:00:00Z".parse().unwrap())
    }
}

/// Text that only the first reading of sops changes: without aliases, octal numbers
/// and dates, which come out in another form.
const PLAIN: &str = r#"# what this is
apiVersion: v1
kind: Secret
metadata:
  name: db   # its name
  annotations: {note: "a # b", port: "0o17"}
stringData:   # all of it secret
  # the user
  user: app # hunter1
  password: "h\"unt\\er2\nline two\ttab é 😀 \x07"
  plain: it's #1: yes
  multi: one
    two
  empty: ""
  nothing:
  literal: |
    -----BEGIN KEY-----
    # no comment

    abc
    -----END KEY-----
  # hunter3
  folded: >-
    one
    two
  kept: |+
    text

  tagged: !!str 123
  # hunter4
type: Opaque
data:
  list: [1, 2.5, true, "x", 0x1F, ~, {deep: -0.5}]
  block:
  - a
  -  - b
     - c: d
---
{apiVersion: v1, kind: Secret, metadata: {name: two}, stringData: {a: b}}
---
apiVersion: v1
kind: Secret
metadata:
  name: three
stringData:
  last: |
    no line break at the end"#;

const DATA: (&str, &str) = ("encrypted_regex", "^(data|stringData)$");

#[test]
fn real_sops_opens_our_yaml() {
    let Some(testbed) = Testbed::new() else { return };
    let expected = {
        testbed.write("plain.yaml", PLAIN.as_bytes());
        let recipient = testbed.recipient.as_str();
        let sealed = testbed.run(&["encrypt", "--age", recipient, "plain.yaml"]).unwrap();
        let opened = testbed.opened(std::str::from_utf8(&sealed).unwrap(), "yaml").unwrap();
        values(std::str::from_utf8(&opened).unwrap())
    };
    for (rule, only_encrypted) in [
        (Some(DATA), false),
        (Some(DATA), true),
        (None, false),
        (Some(("unencrypted_regex", "^(metadata|kind|apiVersion)$")), false),
        (Some(("encrypted_suffix", "Data")), false),
        (Some(("unencrypted_suffix", "name")), true),
    ] {
        let mut options = testbed.options();
        options.rule = rule.map(|(field, text)| (field, text.to_owned()));
        options.mac_only_encrypted = only_encrypted;
        let sealed = seal(PLAIN.as_bytes(), Format::Yaml, &options).unwrap();
        for secret in ["h\\\"unt", "BEGIN KEY", "hunter1", "hunter3"] {
            assert!(!sealed.contains(secret), "{rule:?} {secret}: {sealed}");
        }
        let opened = testbed.opened(&sealed, "yaml").unwrap_or_else(|e| panic!("{e}\n{sealed}"));
        let opened = String::from_utf8(opened).unwrap();
        assert_eq!(values(&opened), expected, "{rule:?}\n{sealed}");
        if rule == Some(DATA) {
            for comment in ["# what this is", "# its name", "# the user", "# hunter1", "# hunter3"]
            {
                assert!(opened.contains(comment), "{comment}: {opened}");
            }
        }
        let ours = open(&sealed, Format::Yaml, &testbed.keys).unwrap();
        assert_eq!(values(&ours), expected, "{rule:?}");
    }
}

#[test]
fn real_sops_opens_our_json_dotenv_and_binary() {
    let Some(testbed) = Testbed::new() else { return };
    let options = testbed.options();
    let plain = text("3.11.0/plain.json");
    let sealed = seal(plain.as_bytes(), Format::Json, &options).unwrap();
    let opened = testbed.opened(&sealed, "json").unwrap();
    assert_eq!(values(std::str::from_utf8(&opened).unwrap()), values(&text("3.11.0/opened.json")));
    let ours = open(&sealed, Format::Json, &testbed.keys).unwrap();
    assert_eq!(values(&ours), values(&text("3.11.0/opened.json")));

    let plain = text("3.11.0/plain.env");
    let sealed = seal(plain.as_bytes(), Format::Dotenv, &options).unwrap();
    assert!(!sealed.contains("unt=er2") && !sealed.contains("a comment"), "{sealed}");
    assert_eq!(testbed.opened(&sealed, "dotenv").unwrap(), plain.as_bytes());

    for plain in [vector("3.11.0/plain.bin"), b"text\n".to_vec(), vec![0, 255]] {
        let sealed = seal(&plain, Format::Binary, &options).unwrap();
        assert_eq!(testbed.opened(&sealed, "binary").unwrap(), plain);
        let ours = hades_sops::open(sealed.as_bytes(), Format::Binary, &testbed.keys).unwrap();
        assert_eq!(ours.bytes.as_slice(), plain);
    }
}

#[test]
fn key_groups_of_ours_open_in_real_sops() {
    let Some(testbed) = Testbed::new() else { return };
    let (_, other) = new_identity();
    let mut options = testbed.options();
    let own = testbed.recipient.clone();
    options.groups = vec![vec![own.clone()], vec![other.clone()], vec![other.clone(), own]];
    options.threshold = Some(2);
    for (format, kind) in [(Format::Yaml, "yaml"), (Format::Dotenv, "dotenv")] {
        let plain = if format == Format::Yaml { "a: b\n" } else { "A=b\n" };
        let sealed = seal(plain.as_bytes(), format, &options).unwrap();
        assert_eq!(testbed.opened(&sealed, kind).unwrap(), plain.as_bytes());
        assert!(open(&sealed, format, &testbed.keys).is_ok());
        let mut all = options.clone();
        all.threshold = None;
        let sealed = seal(plain.as_bytes(), format, &all).unwrap();
        assert!(testbed.opened(&sealed, kind).is_err(), "one group of three is missing");
        assert!(open(&sealed, format, &testbed.keys).is_err());
    }
}

#[test]
fn both_refuse_the_same_changes() {
    let Some(testbed) = Testbed::new() else { return };
    let mut options = testbed.options();
    options.rule = Some((DATA.0, DATA.1.to_owned()));
    let sealed = seal(PLAIN.as_bytes(), Format::Yaml, &options).unwrap();
    for (from, to) in [
        ("name: db", "name: dc"),
        ("type: Opaque\n", ""),
        ("kind: Secret", "kind: Other"),
        ("version: \"3.11.0\"", "version: \"3.11.0\"\nmore: 1"),
        ("type:str]", "type:int]"),
    ] {
        let changed = sealed.replacen(from, to, 1);
        assert_ne!(sealed, changed, "{from}");
        assert!(testbed.opened(&changed, "yaml").is_err(), "{from}");
        assert!(open(&changed, Format::Yaml, &testbed.keys).is_err(), "{from}");
    }
}

#[test]
fn a_file_of_ours_can_be_changed_by_real_sops() {
    let Some(testbed) = Testbed::new() else { return };
    let mut options = testbed.options();
    options.rule = Some((DATA.0, DATA.1.to_owned()));
    let plain = "kind: Secret\nstringData:\n  user: app\n";
    testbed.write("db.yaml", seal(plain.as_bytes(), Format::Yaml, &options).unwrap().as_bytes());
    testbed.run(&["set", "db.yaml", "[\"stringData\"][\"user\"]", "\"root\""]).unwrap();
    let changed = std::fs::read_to_string(testbed.folder.path().join("db.yaml")).unwrap();
    let opened = open(&changed, Format::Yaml, &testbed.keys).unwrap();
    assert!(opened.contains("user: \"root\""), "{opened}");
}

#[test]
fn keys_of_age_keygen_are_read_and_ours_by_age() {
    let Some(testbed) = Testbed::new() else { return };
    let path = testbed.folder.path().join("key.txt");
    let public = |path: &Path| {
        let output = Command::new("age-keygen").arg("-y").arg(path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(public(&path), testbed.recipient.as_str());
    let made = testbed.folder.path().join("made.txt");
    assert!(Command::new("age-keygen").arg("-o").arg(&made).output().unwrap().status.success());
    let keys = Keys::parse(&std::fs::read_to_string(&made).unwrap()).unwrap();
    assert_eq!(keys.recipients()[0].as_str(), public(&made));
}
