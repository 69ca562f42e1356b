//! What is sealed opens again, whatever it is; nothing makes the reader fail badly.

use hades_sops::{Format, Keys, SealOptions, new_identity, seal};
use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{open, text};

fn sealer() -> (Keys, SealOptions) {
    let (secret, recipient) = new_identity();
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    (Keys::parse(secret.expose_secret()).unwrap(), SealOptions::to(vec![recipient], now))
}

/// Any JSON object that sops can hold.
fn object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(Value::Null),
    ];
    let value = leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[^s].*", value, 0..6).prop_map(|map| {
        let mut map: serde_json::Map<String, Value> = map.into_iter().collect();
        map.insert("secret".to_owned(), Value::from("x"));
        Value::Object(map)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn objects_open_as_they_were(object in object(), spaces in any::<bool>()) {
        let (keys, options) = sealer();
        let plain = if spaces { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
        let plain = plain.unwrap();
        let sealed = seal(plain.as_bytes(), Format::Json, &options).unwrap();
        let opened = open(&sealed, Format::Json, &keys).unwrap_or_else(|error| panic!("{error}\n{sealed}"));
        prop_assert_eq!(serde_json::from_str::<Value>(&opened).unwrap(), object);
    }

    #[test]
    fn texts_open_as_they_were_in_yaml(value in any::<String>(), key in "[a-zA-Z][a-zA-Z0-9_.-]{0,20}") {
        let (keys, options) = sealer();
        let plain = format!("{key}: {}\nsecret: x\n", serde_json::to_string(&value).unwrap().escape_default().to_string().replace("\\\"", "\"").replace("\\\\", "\\"));
        prop_assume!(key != "sops" && key != "secret");
        prop_assume!(serde_saphyr::from_str::<Value>(&plain).is_ok_and(|read| read[&key].is_string()));
        let expected: Value = serde_saphyr::from_str(&plain).unwrap();
        let sealed = seal(plain.as_bytes(), Format::Yaml, &options).unwrap();
        let opened = open(&sealed, Format::Yaml, &keys).unwrap();
        prop_assert_eq!(serde_saphyr::from_str::<Value>(&opened).unwrap(), expected);
    }

    /// Whatever the bytes are, reading them comes to an end, and shows nothing of them.
    #[test]
    fn any_text_is_read_or_refused(head in "[ -~\n\t]{0,80}", sops in any::<bool>()) {
        let (keys, options) = sealer();
        let tail = if sops { "\nsops:\n  mac: x\n  version: 3.11.0\n" } else { "" };
        let text = format!("{head}{tail}");
        for format in [Format::Yaml, Format::Json, Format::Dotenv, Format::Binary] {
            let _ = open(&text, format, &keys);
            if let Ok(sealed) = seal(text.as_bytes(), format, &options) {
                let opened = open(&sealed, format, &keys);
                prop_assert!(opened.is_ok(), "{format:?} {text:?} {opened:?}\n{sealed}");
            }
        }
    }

    #[test]
    fn bytes_open_as_they_were(value in prop::collection::vec(any::<u8>(), 1..200)) {
        let (keys, options) = sealer();
        let sealed = seal(&value, Format::Binary, &options).unwrap();
        let opened = hades_sops::open(sealed.as_bytes(), Format::Binary, &keys).unwrap();
        prop_assert_eq!(opened.bytes.to_vec(), value);
    }

    /// A file of which one place was overwritten opens to what it was, or not at all.
    #[test]
    fn a_damaged_file_is_never_taken_for_another(at in any::<prop::sample::Index>(), with in "[ -~]{1,3}") {
        let sealed = text("3.11.0/regex.yaml");
        let at = at.index(sealed.len() - 3);
        let damaged = format!("{}{with}{}", &sealed[..at], &sealed[at + with.len()..]);
        let keys = super::keys(&["3.11.0/key1.txt"]);
        if let Ok(opened) = open(&damaged, Format::Yaml, &keys) {
            let values = |text: &str| super::values(text);
            let whole = open(&sealed, Format::Yaml, &keys).unwrap();
            // The MAC isn't over keys, by which values are in order here, nor over comments.
            let mut left = leaves(&values(&opened));
            let mut right = leaves(&values(&whole));
            left.retain(|value| !value.is_null());
            right.retain(|value| !value.is_null());
            left.sort_by_key(Value::to_string);
            right.sort_by_key(Value::to_string);
            prop_assert_eq!(left, right);
        }
    }
}

fn leaves(values: &[Value]) -> Vec<Value> {
    let mut out = Vec::new();
    for value in values {
        match value {
            Value::Array(items) => out.extend(leaves(items)),
            Value::Object(map) => out.extend(leaves(&map.values().cloned().collect::<Vec<_>>())),
            leaf => {
                out.push(Value::from(leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned)))
            }
        }
    }
    out
}

#[test]
fn a_tab_behind_a_colon_stays() {
    let (keys, options) = sealer();
    for plain in ["A:\t(", "\tA:\t(", "A: \tb\nC:\t \"d\"\n", "A:\t!!str 1\n"] {
        if let Ok(sealed) = seal(plain.as_bytes(), Format::Yaml, &options) {
            open(&sealed, Format::Yaml, &keys)
                .unwrap_or_else(|e| panic!("{plain:?} {e}\n{sealed}"));
        }
    }
}

#[test]
fn blanks_at_the_end_of_a_value_are_part_of_it() {
    let (keys, options) = sealer();
    let sealed = seal(b"A=b \t\n=\t", Format::Dotenv, &options).unwrap();
    assert!(sealed.contains("type:str]\n"), "{sealed}");
    assert_eq!(open(&sealed, Format::Dotenv, &keys).unwrap(), "A=b \t\n=\t\n");
}
