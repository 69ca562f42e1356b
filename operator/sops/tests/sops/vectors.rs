//! Files that real sops wrote.

use hades_sops::{Format, is_sealed};

use super::{keys, open, text, values, vector};

#[test]
fn files_of_older_versions_open() {
    let keys = keys(&["flux/age.txt", "flux/age-global.txt"]);
    for (name, format, expected) in [
        ("flux/3.7.0.yaml", Format::Yaml, "secret: \"my-sops-age-secret\""),
        ("flux/3.7.1.env", Format::Dotenv, "year=2017"),
        ("flux/3.9.0.yaml", Format::Yaml, "key: \"value\""),
        ("flux/3.9.0.env", Format::Dotenv, "key=value"),
        ("flux/3.9.0.bin.json", Format::Binary, "value"),
        ("flux/3.10.2.yaml", Format::Yaml, "key: \"global-value\""),
    ] {
        let sealed = text(name);
        assert!(is_sealed(&sealed, format), "{name}");
        let opened = open(&sealed, format, &keys).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(opened.contains(expected), "{name}: {opened}");
        assert!(!opened.contains("sops_mac") && !opened.contains("sops:"), "{name}: {opened}");
    }
}

#[test]
fn yaml_opens_under_every_rule() {
    let keys = keys(&["3.11.0/key1.txt"]);
    let expected = values(&text("3.11.0/opened.yaml"));
    for name in ["regex", "all", "suffix", "unregex", "maconly"] {
        let sealed = text(&format!("3.11.0/{name}.yaml"));
        let opened = open(&sealed, Format::Yaml, &keys).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(values(&opened), expected, "{name}");
        assert_eq!(opened.lines().count(), sealed.lines().count(), "{name}: lines stay in place");
        for (number, line) in sealed.lines().enumerate() {
            let key = line.split(':').next().unwrap();
            if line.contains(": ENC[") && !key.contains("mac") {
                assert!(opened.lines().nth(number).unwrap().starts_with(key), "{name} {line}");
            }
        }
    }
}

#[test]
fn any_recipient_opens_a_file() {
    let sealed = text("3.11.0/regex.yaml");
    for key in ["3.11.0/key1.txt", "3.11.0/key2.txt"] {
        assert!(open(&sealed, Format::Yaml, &keys(&[key])).is_ok(), "{key}");
    }
}

#[test]
fn key_groups_take_as_many_keys_as_they_say() {
    let sealed = text("3.11.0/groups.yaml");
    // The first key opens the first and the third group, two of three.
    let expected = values(&text("3.11.0/opened.yaml"));
    for key in ["3.11.0/key1.txt", "3.11.0/key2.txt"] {
        let opened = open(&sealed, Format::Yaml, &keys(&[key])).unwrap();
        assert_eq!(values(&opened), expected, "{key}");
    }
    let both = keys(&["3.11.0/key1.txt", "3.11.0/key2.txt"]);
    assert_eq!(values(&open(&sealed, Format::Yaml, &both).unwrap()), expected);
    let dotenv = open(&text("3.11.0/groups.env"), Format::Dotenv, &both).unwrap();
    assert!(dotenv.contains("USER=app\n"), "{dotenv}");
}

#[test]
fn json_dotenv_and_binary_open() {
    let keys = keys(&["3.11.0/key1.txt"]);
    let expected = values(&text("3.11.0/opened.json"));
    for name in ["all", "regex"] {
        let sealed = text(&format!("3.11.0/{name}.json"));
        let opened = open(&sealed, Format::Json, &keys).unwrap();
        let value: serde_json::Value = serde_json::from_str(&opened).unwrap();
        assert_eq!(vec![value], expected, "{name}");
        assert_eq!(opened.lines().count(), sealed.lines().count(), "{name}: lines stay in place");
    }
    let dotenv = open(&text("3.11.0/all.env"), Format::Dotenv, &keys).unwrap();
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(lines(&dotenv), lines(&text("3.11.0/plain.env")));
    let binary = vector("3.11.0/all.bin.json");
    let opened = hades_sops::open(&binary, Format::Binary, &keys).unwrap();
    assert_eq!(opened.bytes.as_slice(), vector("3.11.0/plain.bin"));
}

#[test]
fn values_that_a_formatter_broke_into_lines_open_and_keep_them() {
    let keys = keys(&["3.11.0/key1.txt"]);
    let sealed = text("3.11.0/regex.yaml");
    let whole = values(&open(&sealed, Format::Yaml, &keys).unwrap());
    let line = sealed.lines().find(|line| line.starts_with("    user: ENC[")).unwrap();
    let value = line.trim_start().strip_prefix("user: ").unwrap();
    let (head, tail) = value.split_at(value.find(",iv:").unwrap() + 1);
    for written in [
        format!("    user:\n        {value}"),
        format!("    user: >-\n        {value}"),
        format!("    user: >-\n        {value}\n\n  \n"),
        format!("    user: |-   # a comment\n        {value}"),
        format!("    user: \"{head}\\\n        {tail}\" # a comment"),
        format!("    user: \"{head}\\\r\n        {tail}\"\r"),
        format!("    ? user\n    : !!str '{value}'"),
    ] {
        let changed = sealed.replace(line, &written);
        let opened =
            open(&changed, Format::Yaml, &keys).unwrap_or_else(|e| panic!("{e}\n{written}"));
        assert_eq!(values(&opened), whole, "{written}\n{opened}");
        assert_eq!(opened.lines().count(), changed.lines().count(), "{written}\n{opened}");
        let place = |text: &str| text.lines().position(|line| line.starts_with("    empty:"));
        assert_eq!(place(&opened), place(&changed), "{written}\n{opened}");
    }
}

#[test]
fn it_is_known_which_values_were_encrypted() {
    let sealed = text("3.11.0/regex.yaml");
    let opened =
        hades_sops::open(sealed.as_bytes(), Format::Yaml, &keys(&["3.11.0/key1.txt"])).unwrap();
    let expected: Vec<usize> = sealed
        .lines()
        .zip(1..)
        .filter(|(line, _)| line.contains("ENC[") && !line.contains('#') && !line.contains("mac:"))
        .map(|(_, number)| number)
        .collect();
    let text = std::str::from_utf8(&opened.bytes).unwrap();
    let lines: Vec<usize> =
        opened.encrypted.iter().map(|place| text[..place.start].lines().count()).collect();
    assert_eq!(lines, expected);
    assert!(opened.encrypted.iter().all(|place| !text[place.clone()].contains('\n')));
}
