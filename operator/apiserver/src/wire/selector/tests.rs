use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::{FieldSelector, LabelSelector};

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn label_selectors_match_as_in_kubernetes() {
    let web = labels(&[
        ("app", "web"),
        ("tier", "front"),
        ("example.org/zone", "a"),
        ("weight", "5"),
        ("empty", ""),
    ]);
    let cases = [
        ("", true),
        ("app=web", true),
        ("app==web", true),
        ("app = web , tier = front", true),
        ("app=db", false),
        ("app!=db", true),
        ("app!=web", false),
        ("missing!=x", true),
        ("app in (db, web)", true),
        ("app in (db)", false),
        ("missing in (x)", false),
        ("app notin (db,cache)", true),
        ("app notin (web)", false),
        ("missing notin (x)", true),
        ("tier", true),
        ("missing", false),
        ("!missing", true),
        ("! tier", false),
        ("example.org/zone=a", true),
        ("weight>4", true),
        ("weight>5", false),
        ("weight<6,weight>4", true),
        ("app<6", false),
        ("empty=", true),
        ("missing=", false),
        ("app in (web),tier notin (back),!missing,tier", true),
        ("in", false),
        ("in in (in)", false),
    ];
    for (text, expected) in cases {
        let selector = LabelSelector::parse(text).unwrap();
        assert_eq!(selector.matches(&web), expected, "{text}");
        let object = json!({"metadata": {"labels": web}});
        assert_eq!(selector.matches_object(&object), expected, "{text}");
        let bytes = serde_json::to_vec(&object).unwrap();
        assert_eq!(selector.matches_bytes(&bytes), expected, "{text}");
    }
    assert!(LabelSelector::parse(" ").unwrap().is_empty());
    assert!(LabelSelector::parse("!a").unwrap().matches_object(&json!({})));
    assert!(LabelSelector::parse("!a").unwrap().matches_bytes(b"{}"));
    assert!(!LabelSelector::parse("a").unwrap().matches_bytes(b"{}"));
}

#[test]
fn broken_label_selectors_say_where() {
    for text in [
        "a=b,", ",a", "a in", "a in (", "a in (b", "a b", "a=b c", "-a", "a=-b", "a>x", "a=(b)",
        "!", "a//b", "ü=1",
    ] {
        let error = LabelSelector::parse(text).unwrap_err();
        assert_eq!(error.code(), 400, "{text}");
        assert!(error.message().contains("unable to parse label selector"), "{error}");
    }
}

#[test]
fn field_selectors_match_dotted_paths() {
    let pod = json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 2, "on": true, "text": "a,b=c\\d"},
        "involvedObject": {"name": "x"},
    });
    let cases = [
        ("", true),
        ("metadata.name=web", true),
        ("metadata.name==web", true),
        ("metadata.name!=web", false),
        ("metadata.name!=db", true),
        ("metadata.name=web,metadata.namespace=other", false),
        ("spec.replicas=2", true),
        ("spec.on=true", true),
        ("involvedObject.namespace=", true),
        ("involvedObject.name=", false),
        ("status.phase!=Running", true),
        ("status.phase!=", false),
        (r"spec.text=a\,b\=c\\d", true),
    ];
    for (text, expected) in cases {
        assert_eq!(FieldSelector::parse(text).unwrap().matches(&pod), expected, "{text}");
    }
    for text in ["metadata.name", "=x", "a=b=c", r"a=\x", r"a=\"] {
        assert_eq!(FieldSelector::parse(text).unwrap_err().code(), 400, "{text}");
    }
    let selector = FieldSelector::parse("metadata.name=web,metadata.namespace!=x").unwrap();
    assert_eq!(selector.exact("metadata.name"), Some("web"));
    assert_eq!(selector.exact("metadata.namespace"), None);
}

proptest! {
    #[test]
    fn parsing_never_panics(text in any::<String>(), odd in "[a-c=!,()<> \\\\]{0,20}|(a|in|notin|[(),=!]| ){0,12}") {
        for text in [text, odd] {
            if let Ok(selector) = LabelSelector::parse(&text) {
                let _ = selector.matches(&BTreeMap::new());
            }
            if let Ok(selector) = FieldSelector::parse(&text) {
                let _ = selector.matches(&serde_json::json!({}));
            }
        }
    }

    #[test]
    fn in_and_notin_are_opposites(key in "[a-c]", values in prop::collection::vec("[a-c]{1,2}", 1..4), have in prop::collection::btree_map("[a-c]", "[a-c]{0,2}", 0..3)) {
        let list = values.join(",");
        let within = LabelSelector::parse(&format!("{key} in ({list})")).unwrap();
        let without = LabelSelector::parse(&format!("{key} notin ({list})")).unwrap();
        prop_assert_ne!(within.matches(&have), without.matches(&have));
    }
}
