//! The `sops` entry: whom a file is sealed to, which of its values, and its MAC.

use std::collections::BTreeMap;

use secrecy::zeroize::Zeroizing;
use serde_json::{Value, json};

use crate::cipher::KEY_BYTES;
use crate::keys::Keys;
use crate::rule::Rule;
use crate::tree::{Entry, Leaf, Node, Scalar};
use crate::{SopsError, shamir};

/// Keys that a file may be sealed to, of all groups together.
const MAX_KEYS: usize = 256;
/// Bytes of a text of the metadata that is shown in errors.
const LONGEST_SHOWN: usize = 40;
/// Lists of keys of other kinds than age.
const OTHER_KEYS: [&str; 6] = ["pgp", "kms", "gcp_kms", "azure_kv", "hc_vault", "hckms"];

/// What a file says about itself.
pub(crate) struct Metadata {
    groups: Vec<Group>,
    /// Groups that make the data key together.
    threshold: usize,
    /// When it was sealed, as written: the MAC is bound to it.
    pub(crate) last_modified: String,
    /// The MAC, encrypted.
    pub(crate) mac: String,
    pub(crate) mac_only_encrypted: bool,
    pub(crate) rule: Rule,
}

/// Keys of which any opens the same part of the data key.
#[derive(Default)]
pub(crate) struct Group {
    /// Recipient and encrypted key.
    pub(crate) age: Vec<(String, String)>,
}

impl Metadata {
    /// Reads the entry below `sops`.
    pub(crate) fn read(entries: &[Entry]) -> Result<Self, SopsError> {
        version(entries)?;
        let text = |field: &'static str| {
            let problem = "is missing";
            find(entries, field)
                .and_then(Node::as_text)
                .map(str::to_owned)
                .ok_or(SopsError::Metadata { field, problem })
        };
        let mut rule = None;
        for entry in entries {
            let Some(text) = entry.value.as_text().filter(|text| !text.is_empty()) else {
                continue;
            };
            if let Some(found) = Rule::of(&entry.key, text)
                && rule.replace(found?).is_some()
            {
                let problem = "more than one rule says which values are encrypted";
                return Err(SopsError::Metadata { field: "encrypted_regex", problem });
            }
        }
        let groups = groups(entries)?;
        let threshold = match find(entries, "shamir_threshold").and_then(number) {
            None | Some(0) => groups.len(),
            // Of one group there are no parts, and sops doesn't look at it.
            Some(_) if groups.len() == 1 => 1,
            Some(threshold) if threshold <= groups.len() => threshold,
            Some(_) => {
                let problem = "more than there are key groups";
                return Err(SopsError::Metadata { field: "shamir_threshold", problem });
            }
        };
        Ok(Self {
            groups,
            threshold,
            last_modified: text("lastmodified")?,
            mac: text("mac")?,
            mac_only_encrypted: find(entries, "mac_only_encrypted").is_some_and(is_true),
            rule: rule.unwrap_or_default(),
        })
    }

    /// Opens the key that all values are encrypted with.
    pub(crate) fn data_key(&self, keys: &Keys) -> Result<Zeroizing<Vec<u8>>, SopsError> {
        let mut parts: Vec<_> = self.groups.iter().filter_map(|group| group.open(keys)).collect();
        let needed = self.threshold;
        if parts.len() < needed {
            let recipients = self.groups.iter().flat_map(|group| &group.age);
            let recipients = recipients.map(|(recipient, _)| shortened(recipient)).collect();
            return Err(SopsError::NoKey { recipients, groups: parts.len(), needed });
        }
        let key = match self.groups.len() {
            0 | 1 => parts.pop(),
            _ => shamir::combine(&parts),
        };
        key.filter(|key| key.len() == KEY_BYTES).ok_or(SopsError::DataKey)
    }
}

impl Group {
    fn open(&self, keys: &Keys) -> Option<Zeroizing<Vec<u8>>> {
        self.age.iter().find_map(|(recipient, encrypted)| keys.unwrap(recipient, encrypted))
    }

    fn json(&self) -> Value {
        let key = |(recipient, encrypted): &(String, String)| json!({"recipient": recipient, "enc": encrypted});
        self.age.iter().map(key).collect()
    }
}

/// The metadata of a file that is sealed now, as the entry below `sops`.
pub(crate) struct Written<'a> {
    pub(crate) groups: &'a [Group],
    pub(crate) threshold: Option<usize>,
    pub(crate) last_modified: &'a str,
    pub(crate) mac: &'a str,
    pub(crate) mac_only_encrypted: bool,
    pub(crate) rule: &'a Rule,
    pub(crate) version: &'a str,
}

impl Written<'_> {
    pub(crate) fn json(&self) -> Value {
        let mut value = json!({
            "lastmodified": self.last_modified,
            "mac": self.mac,
            "version": self.version,
        });
        let (rule, text) = self.rule.field();
        value[rule] = json!(text);
        if self.mac_only_encrypted {
            value["mac_only_encrypted"] = json!(true);
        }
        match self.groups {
            [group] => value["age"] = group.json(),
            groups => {
                value["shamir_threshold"] = json!(self.threshold.unwrap_or(groups.len()));
                value["key_groups"] =
                    groups.iter().map(|group| json!({"age": group.json()})).collect();
            }
        }
        value
    }
}

/// Only versions whose format is known are opened.
fn version(entries: &[Entry]) -> Result<(), SopsError> {
    let version = match find(entries, "version") {
        Some(Node::Leaf(leaf)) => leaf.value.bytes(),
        _ => None,
    };
    let Some(version) = version.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()) else {
        return Err(SopsError::Metadata { field: "version", problem: "is missing" });
    };
    match version.split_once('.') {
        Some(("3", rest)) if rest.starts_with(|first: char| first.is_ascii_digit()) => Ok(()),
        _ => Err(SopsError::UnknownVersion { version: shortened(&version) }),
    }
}

/// Whether the file was written by a version that keeps JSON's integers apart from
/// floats: 3.13.2 and later.
pub(crate) fn has_integers(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    (part(), part(), part()) >= (3, 13, 2)
}

pub(crate) fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

fn shortened(text: &str) -> String {
    // A recipient of age has 62 characters, and all of them are wanted.
    let longest = if text.starts_with("age1") { 80 } else { LONGEST_SHOWN };
    text.chars().take(longest).collect()
}

fn number(node: &Node) -> Option<usize> {
    match node {
        Node::Leaf(Leaf { value: Scalar::Int(number), .. }) => usize::try_from(*number).ok(),
        Node::Leaf(Leaf { value: Scalar::Float(number), .. }) => number.to_string().parse().ok(),
        Node::Leaf(Leaf { value: Scalar::Text(text), .. }) => text.parse().ok(),
        _ => None,
    }
}

fn is_true(node: &Node) -> bool {
    match node {
        Node::Leaf(Leaf { value: Scalar::Bool(value), .. }) => *value,
        other => other.as_text().is_some_and(|text| matches!(text, "true" | "True" | "1")),
    }
}

fn groups(entries: &[Entry]) -> Result<Vec<Group>, SopsError> {
    let groups = match group(entries) {
        Some(group) => vec![group],
        None => match find(entries, "key_groups") {
            Some(Node::List(groups)) => groups
                .iter()
                .map(|found| match found {
                    Node::Map(entries) => group(entries).unwrap_or_default(),
                    _ => Group::default(),
                })
                .collect(),
            _ => Vec::new(),
        },
    };
    if groups.is_empty() {
        return Err(SopsError::Metadata { field: "age", problem: "the file is sealed to no key" });
    }
    if groups.len() + groups.iter().map(|group| group.age.len()).sum::<usize>() > MAX_KEYS {
        return Err(SopsError::Metadata { field: "age", problem: "sealed to too many keys" });
    }
    Ok(groups)
}

/// The group that these lists of keys make. None if all of them are empty.
fn group(entries: &[Entry]) -> Option<Group> {
    let filled =
        |key: &&str| matches!(find(entries, key), Some(Node::List(keys)) if !keys.is_empty());
    let others = OTHER_KEYS.iter().any(filled);
    let age = match find(entries, "age") {
        Some(Node::List(keys)) => keys.iter().filter_map(age_key).collect(),
        _ => Vec::new(),
    };
    (others || !age.is_empty()).then_some(Group { age })
}

fn age_key(node: &Node) -> Option<(String, String)> {
    let Node::Map(entries) = node else { return None };
    let text = |key| find(entries, key).and_then(Node::as_text).map(str::to_owned);
    Some((text("recipient").unwrap_or_default(), text("enc")?))
}

/// The metadata of a dotenv file, whose keys are paths: `age__list_0__map_enc`.
pub(crate) fn unflattened(entries: &[(&str, &str)]) -> Vec<Entry> {
    let mut root = Flat::default();
    for (key, value) in entries {
        let mut here = &mut root;
        for step in steps(key) {
            here = here.below.entry(step).or_default();
        }
        here.value = Some((*value).to_owned());
    }
    match root.node() {
        Node::Map(entries) => entries,
        _ => Vec::new(),
    }
}

#[derive(Default)]
struct Flat {
    value: Option<String>,
    below: BTreeMap<Step, Flat>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Item(usize),
    Key(String),
}

/// Steps of a path: no more than any field of the metadata has.
fn steps(key: &str) -> Vec<Step> {
    const DEEPEST: usize = 8;
    let mut steps = Vec::new();
    for (index, part) in key.split("__").enumerate().take(DEEPEST) {
        steps.push(match (part.strip_prefix("map_"), part.strip_prefix("list_")) {
            (Some(key), _) if index > 0 => Step::Key(key.to_owned()),
            (_, Some(item)) if index > 0 && item.parse::<usize>().is_ok() => {
                Step::Item(item.parse().unwrap_or_default())
            }
            _ => Step::Key(part.to_owned()),
        });
    }
    steps
}

impl Flat {
    fn node(self) -> Node {
        if let Some(value) = self.value {
            return Node::Leaf(Leaf {
                value: Scalar::text(value),
                span: 0..0,
                line: 0,
                flow: false,
            });
        }
        if matches!(self.below.keys().next(), Some(Step::Item(_))) {
            return Node::List(self.below.into_values().map(Flat::node).collect());
        }
        let entry = |(step, below): (Step, Flat)| match step {
            Step::Key(key) => Some(Entry { key, key_span: 0..0, value: below.node(), end: 0 }),
            Step::Item(_) => None,
        };
        Node::Map(self.below.into_iter().filter_map(entry).collect())
    }
}

/// The metadata as the lines of a dotenv file, without the prefix of their keys.
pub(crate) fn flattened(value: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    if let Value::Object(fields) = value {
        for (key, value) in fields {
            flatten(key.clone(), value, &mut lines);
        }
    }
    lines
}

fn flatten(path: String, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten(format!("{path}__map_{key}"), value, lines);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                flatten(format!("{path}__list_{index}"), item, lines);
            }
        }
        Value::String(text) => lines.push((path, text.clone())),
        other => lines.push((path, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_metadata_is_the_same_as_nested() {
        let nested = json!({
            "mac": "m",
            "key_groups": [{"age": [{"recipient": "r1", "enc": "e1"}, {"recipient": "r2", "enc": "e2"}]},
                           {"age": [{"recipient": "r3", "enc": "e3"}]}],
            "shamir_threshold": 2,
            "lastmodified": "t",
            "version": "3.11.0",
        });
        let lines = flattened(&nested);
        assert!(lines.contains(&(
            "key_groups__list_0__map_age__list_1__map_enc".to_owned(),
            "e2".to_owned()
        )));
        let pairs: Vec<_> =
            lines.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let metadata = Metadata::read(&unflattened(&pairs)).unwrap();
        assert_eq!(metadata.threshold, 2);
        let sizes: Vec<_> = metadata.groups.iter().map(|group| group.age.len()).collect();
        assert_eq!(sizes, [2, 1]);
        assert_eq!(metadata.groups[0].age[1], ("r2".to_owned(), "e2".to_owned()));
    }

    #[test]
    fn json_integers_came_with_one_release() {
        for (version, expected) in [
            ("3.7.3", false),
            ("3.11.0", false),
            ("3.13.1", false),
            ("3.13.2", true),
            ("3.14.0", true),
        ] {
            assert_eq!(has_integers(version), expected, "{version}");
        }
    }
}
