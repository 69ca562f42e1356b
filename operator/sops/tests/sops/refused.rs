//! Files that must not open, each told as what it is, and no value in any error.

use hades_sops::{
    Format, FormatProblem, Keys, MAX_BYTES, MAX_IDENTITIES, SealOptions, SopsError, new_identity,
    seal,
};

use super::{keys, open, text};

fn key() -> Keys {
    keys(&["3.11.0/key1.txt"])
}

/// What opening a changed `regex.yaml` comes to.
fn changed(change: impl Fn(&str) -> String) -> SopsError {
    let sealed = text("3.11.0/regex.yaml");
    let other = change(&sealed);
    assert_ne!(sealed, other, "nothing was changed");
    let error = open(&other, Format::Yaml, &key()).unwrap_err();
    for value in ["h\"unt", "hunt", "BEGIN KEY", "abc", "app"] {
        assert!(!format!("{error} {error:?}").contains(value), "{error:?}");
    }
    error
}

/// The encrypted value of a key.
fn value_of<'a>(text: &'a str, key: &str) -> &'a str {
    let line =
        text.lines().find(|line| line.trim_start().starts_with(&format!("{key}: "))).unwrap();
    line.split_once(": ").unwrap().1
}

#[test]
fn a_plain_field_that_was_edited() {
    let error = changed(|text| text.replace("name: db", "name: other"));
    assert_eq!(error, SopsError::MacMismatch);
    assert!(error.is_tampered());
    let error = changed(|text| text.replace("kind: Secret", "kind: ConfigMap"));
    assert_eq!(error, SopsError::MacMismatch);
    let error = changed(|text| text.replacen("type: Opaque", "type: Opaque\nadded: x", 1));
    assert_eq!(error, SopsError::MacMismatch);
    let error = changed(|text| format!("{text}---\nkind: Secret\n"));
    assert_eq!(error, SopsError::MacMismatch);
}

#[test]
fn a_plain_field_may_be_edited_where_the_mac_is_only_over_the_encrypted() {
    let sealed = text("3.11.0/maconly.yaml");
    let edited = sealed.replace("name: db", "name: other");
    assert_ne!(sealed, edited);
    assert!(open(&edited, Format::Yaml, &key()).unwrap().contains("name: other"));
    // And the two kinds of MAC are never taken for one another.
    let stripped = sealed.replace("    mac_only_encrypted: true\n", "");
    assert_ne!(sealed, stripped);
    assert_eq!(open(&stripped, Format::Yaml, &key()).unwrap_err(), SopsError::MacMismatch);
}

#[test]
fn a_value_that_was_moved_to_another_key() {
    let error = changed(|text| {
        let (user, password) = (value_of(text, "user"), value_of(text, "password"));
        text.replace(user, "SWAP").replace(password, user).replace("SWAP", password)
    });
    assert!(
        matches!(&error, SopsError::Tampered { path, line } if path == "stringData.user" && *line > 1),
        "{error:?}"
    );
}

#[test]
fn a_value_that_was_replaced() {
    let plain = changed(|text| text.replace(value_of(text, "user"), "root"));
    assert!(matches!(&plain, SopsError::NotEncrypted { path, .. } if path == "stringData.user"));
    let number = changed(|text| text.replace(value_of(text, "user"), "12"));
    assert!(matches!(number, SopsError::NotEncrypted { .. }), "{number:?}");
    let null = changed(|text| text.replace(value_of(text, "user"), "null"));
    assert_eq!(null, SopsError::MacMismatch);
    let empty = changed(|text| text.replace(value_of(text, "user"), "\"\""));
    assert_eq!(empty, SopsError::MacMismatch);
    let bit = changed(|text| {
        let user = value_of(text, "user");
        let flipped = user.replacen("data:", "data:AAAA", 1);
        text.replace(user, &flipped)
    });
    assert!(matches!(bit, SopsError::Tampered { .. }), "{bit:?}");
    let other_type = changed(|text| {
        let user = value_of(text, "user");
        text.replace(user, &user.replace("type:str", "type:int"))
    });
    assert!(matches!(other_type, SopsError::WrongType { .. }), "{other_type:?}");
    let unknown = changed(|text| {
        let user = value_of(text, "user");
        text.replace(user, &user.replace("type:str", "type:object"))
    });
    assert!(matches!(unknown, SopsError::WrongType { .. }), "{unknown:?}");
}

#[test]
fn metadata_that_was_changed() {
    let mac = changed(|text| {
        let mac = value_of(text, "mac").to_owned();
        text.replace(&mac, "\"\"")
    });
    assert_eq!(mac, SopsError::MacMismatch);
    let date = changed(|text| text.replace("lastmodified: \"2026", "lastmodified: \"2027"));
    assert_eq!(date, SopsError::MacMismatch);
    // Values that the new rule no longer covers are taken as they are, which the MAC
    // tells.
    let rule = changed(|text| text.replace("^(data|stringData)$", "^(data)$"));
    assert_eq!(rule, SopsError::MacMismatch);
    let regex = changed(|text| text.replace("^(data|stringData)$", "((((a{99}){99}){99}){99})"));
    assert!(matches!(regex, SopsError::Metadata { field: "encrypted_regex", .. }), "{regex:?}");
    let two = changed(|text| text.replace("    version:", "    encrypted_suffix: x\n    version:"));
    assert!(matches!(two, SopsError::Metadata { .. }), "{two:?}");
    let comments = changed(|text| text.replace("encrypted_regex:", "encrypted_comment_regex:"));
    assert!(comments.to_string().contains("rules on comments"), "{comments}");
    for version in ["4.0.0", "2.0", "x", "3", "\"\""] {
        let error = changed(|text| text.replace("version: 3.11.0", &format!("version: {version}")));
        assert!(matches!(error, SopsError::UnknownVersion { .. }), "{version}: {error:?}");
    }
    let gone = changed(|text| text.replace("    version: 3.11.0\n", ""));
    assert!(matches!(gone, SopsError::Metadata { field: "version", .. }), "{gone:?}");
}

#[test]
fn a_file_that_is_sealed_to_others() {
    let (other, _) = new_identity();
    let other = Keys::parse(secrecy::ExposeSecret::expose_secret(&other)).unwrap();
    let sealed = text("3.11.0/regex.yaml");
    let error = open(&sealed, Format::Yaml, &other).unwrap_err();
    let recipients = keys(&["3.11.0/key1.txt", "3.11.0/key2.txt"]).recipients();
    for recipient in &recipients {
        assert!(error.to_string().contains(recipient.as_str()), "{error}");
    }
    assert!(!error.is_tampered());
    assert!(matches!(open(&sealed, Format::Yaml, &Keys::default()), Err(SopsError::NoKey { .. })));
    // Two groups are needed; a part of one group is not enough.
    let grouped = text("3.11.0/groups.yaml");
    let error = open(&grouped, Format::Yaml, &other).unwrap_err();
    assert!(error.to_string().contains("0 key groups of 2"), "{error}");
    // Parts of another file's data key don't fit.
    let damaged = grouped.replace("shamir_threshold: 2", "shamir_threshold: 9");
    assert!(open(&damaged, Format::Yaml, &key()).is_err());
    // Of one group there are no parts: sops doesn't look at the threshold.
    let one = sealed.replace("    version:", "    shamir_threshold: 9\n    version:");
    assert!(open(&one, Format::Yaml, &key()).is_ok());
    let error = open(&text("3.11.0/regex.yaml").replace("age:", "pgp:"), Format::Yaml, &key());
    assert!(error.unwrap_err().to_string().contains("no age recipient"));
}

#[test]
fn what_is_no_sealed_file() {
    for (plain, format) in [
        ("a: b\n", Format::Yaml),
        ("services: {sops: {mac: x}}\n", Format::Yaml),
        ("a: &x b\nc: *x\nd: {sops: 1, mac: 2}\n", Format::Yaml),
        ("a: [", Format::Yaml),
        ("{\"a\": 1}", Format::Json),
        ("A=b\n", Format::Dotenv),
        ("", Format::Yaml),
    ] {
        assert_eq!(open(plain, format, &key()), Err(SopsError::NotSealed), "{plain}");
    }
    // Documents before the first that is sealed would escape the MAC.
    let error = changed(|text| format!("kind: Secret\n---\n{text}"));
    assert!(
        matches!(error, SopsError::Format { problem: FormatProblem::LateMetadata, .. }),
        "{error:?}"
    );
}

#[test]
fn huge_deep_and_recursive_files() {
    let tail = "\nsops:\n    mac: x\n    version: 3.11.0\n";
    let huge = "a".repeat(MAX_BYTES + 1);
    assert!(matches!(open(&huge, Format::Yaml, &key()), Err(SopsError::TooLarge { .. })));
    let deep = format!("a: {}{}{tail}", "[".repeat(2000), "]".repeat(2000));
    assert!(open(&deep, Format::Yaml, &key()).is_err());
    let nested = format!("a: {}1{}{tail}", "[".repeat(66), "]".repeat(66));
    let error = open(&nested, Format::Yaml, &key()).unwrap_err();
    assert!(
        matches!(error, SopsError::Format { problem: FormatProblem::Depth(_), .. }),
        "{error:?}"
    );
    let nested = format!("{{\"a\": {}1{}, \"sops\": {{}}}}", "[".repeat(90), "]".repeat(90));
    let error = open(&nested, Format::Json, &key()).unwrap_err();
    assert!(
        matches!(error, SopsError::Format { problem: FormatProblem::Depth(_), .. }),
        "{error:?}"
    );
    let many = format!("a: [{}]{tail}", "1,".repeat(300_000));
    let error = open(&many, Format::Yaml, &key()).unwrap_err();
    assert!(
        matches!(error, SopsError::Format { problem: FormatProblem::Values(_), .. }),
        "{error:?}"
    );
    for alias in ["a: &x [*x]", "a: &x b\nc: *x"] {
        let error = open(&format!("{alias}{tail}"), Format::Yaml, &key()).unwrap_err();
        assert!(
            matches!(error, SopsError::Format { problem: FormatProblem::Alias, .. }),
            "{error:?}"
        );
    }
}

#[test]
fn long_keys() {
    let long = "a".repeat(513);
    let fits = "a".repeat(512);
    for (text, format, line) in [
        ("sops:\n  mac: x\n  version: 3.11.0\nb:\n  - KEY: 1\n", Format::Yaml, 5),
        ("{\"sops\": {\"mac\": \"x\", \"version\": \"3.11.0\"},\n\"KEY\": 1}", Format::Json, 2),
        ("sops_mac=x\nsops_version=3.11.0\nKEY=1\n", Format::Dotenv, 3),
    ] {
        let error = open(&text.replace("KEY", &long), format, &key()).unwrap_err();
        let problem = FormatProblem::LongKey(512);
        assert_eq!(error, SopsError::Format { line: Some(line), problem }, "{text}");
        let error = open(&text.replace("KEY", &fits), format, &key()).unwrap_err();
        assert!(!matches!(error, SopsError::Format { .. }), "{error:?}");
    }
}

/// Errors are stored, and a store takes only so much.
#[test]
fn errors_stay_short_whatever_the_file_holds() {
    let (identity, recipient) = new_identity();
    let keys = Keys::parse(secrecy::ExposeSecret::expose_secret(&identity)).unwrap();
    let options = SealOptions::to(vec![recipient], jiff::Timestamp::UNIX_EPOCH);
    let path: String =
        (0..40).map(|at| format!("{}\"{}\":\n", " ".repeat(at), "ä".repeat(250))).collect();
    let sealed = seal(format!("{path}{}b: c\n", " ".repeat(40)).as_bytes(), Format::Yaml, &options);
    let sealed = sealed.unwrap();
    for (from, to) in
        [("type:str", "type:odd"), ("b: ENC[AES256_GCM,", "b: x"), ("tag:", "tag:AAAA")]
    {
        let error = open(&sealed.replacen(from, to, 1), Format::Yaml, &keys).unwrap_err();
        assert!(error.is_tampered(), "{error:?}");
        assert!(error.to_string().chars().count() < 450, "{error}");
    }
    let tail = "\nsops:\n    mac: x\n    version: 3.11.0\n";
    let long = "a".repeat(500);
    for head in
        [format!("{long}: 1\n{long}: 2"), format!("a: !{long} 1"), format!("a: !{long} {{}}")]
    {
        let error = open(&format!("{head}{tail}"), Format::Yaml, &keys).unwrap_err();
        let is_it = matches!(
            error,
            SopsError::Format { problem: FormatProblem::Duplicate(_) | FormatProblem::Tag(_), .. }
        );
        assert!(is_it && error.to_string().len() < 100, "{error:?}");
    }
}

#[test]
fn odd_yaml() {
    let tail = "\nsops:\n    mac: x\n    version: 3.11.0\n";
    for (head, line, problem) in [
        ("a: 1\na: 2", 2, FormatProblem::Duplicate("a".to_owned())),
        ("1: a", 1, FormatProblem::Key),
        ("? [a]\n: b", 1, FormatProblem::Key),
        ("a: !!float 1", 1, FormatProblem::Tag("!!float".to_owned())),
        ("a: 18446744073709551615", 1, FormatProblem::Number),
    ] {
        let error = open(&format!("{head}{tail}"), Format::Yaml, &key()).unwrap_err();
        assert_eq!(error, SopsError::Format { line: Some(line), problem }, "{head}");
    }
}

/// Each attempt to open a data key costs.
#[test]
fn only_keys_for_a_recipient_that_is_named_are_tried() {
    let sealed = text("3.11.0/regex.yaml");
    let own = key().recipients()[0].to_string();
    let (_, other) = new_identity();
    let renamed = sealed.replace(&own, other.as_str());
    assert!(matches!(open(&renamed, Format::Yaml, &key()), Err(SopsError::NoKey { .. })));
    // One key with more than one recipient takes more bytes than it may.
    let begin = "            -----BEGIN AGE";
    let padded = sealed.replace(begin, &format!("{}{begin}", "            \n".repeat(2000)));
    assert_ne!(padded, sealed);
    let opened = open(&padded, Format::Yaml, &key());
    assert!(matches!(opened, Err(SopsError::NoKey { .. })), "{opened:?}");
}

#[test]
fn more_identities_than_are_tried() {
    let identities = |count: usize| -> String {
        let one = |_| format!("{}\n", secrecy::ExposeSecret::expose_secret(&new_identity().0));
        (0..count).map(one).collect()
    };
    assert_eq!(Keys::parse(&identities(MAX_IDENTITIES)).unwrap().len(), MAX_IDENTITIES);
    let error = Keys::parse(&identities(MAX_IDENTITIES + 1)).unwrap_err();
    assert_eq!(error, SopsError::TooManyIdentities { limit: MAX_IDENTITIES });
    assert!(error.to_string().contains("more than 32 age identities; take out old ones"));
}

#[test]
fn keys_that_are_none() {
    let (secret, recipient) = new_identity();
    let secret = secrecy::ExposeSecret::expose_secret(&secret).to_owned();
    assert!(Keys::parse(&format!("# made today\n\n{secret}\n")).is_ok());
    let error = Keys::parse(&format!("# x\n{}", &secret[..40])).unwrap_err();
    assert_eq!(error, SopsError::Identity { line: 2 });
    assert!(recipient.as_str().parse::<hades_sops::Recipient>().is_ok());
    let error = secret.parse::<hades_sops::Recipient>().unwrap_err();
    assert!(!error.to_string().contains("AGE-SECRET"), "{error}");
    assert!(!format!("{:?}", Keys::parse(&secret).unwrap()).contains("SECRET"));
}
