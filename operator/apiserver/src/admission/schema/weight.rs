//! What a schema may weigh before it is compiled: compiled, its patterns and
//! rules are many times as large as in the document.

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::SchemaError;
use super::compile::error;
use super::rules::RULES;

/// How many places of values a schema may describe. The largest definitions that
/// people use have some ten thousand.
const MAX_NODES: usize = 50_000;

/// Longer names are no field's.
const MAX_NAME: usize = 1024;

/// How many patterns a schema may have, and how many large ones.
const MAX_PATTERNS: usize = 2000;
const MAX_LARGE_PATTERNS: usize = 40;

/// A compiled pattern above this many bytes is a large one.
const SMALL_PATTERN: usize = 128 << 10;

/// A compiled pattern never takes more bytes: a counted repetition of a class of
/// letters, `\pL{1000}`, easily would.
const MAX_PATTERN: usize = 2 << 20;

/// How many bytes all rules may have; parsing takes long.
const MAX_RULES: usize = 256 << 10;

/// How many places the rules may see, each place counted as often as there are
/// rules above it.
const MAX_SEEN: usize = 200_000;

/// Compiles a pattern within its limits.
///
/// # Errors
/// Why it can't be used.
pub(super) fn pattern(text: &str) -> Result<Regex, regex::Error> {
    // A cache of states as large as the pattern is enough to be quick.
    RegexBuilder::new(text).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build()
}

/// Weighs a whole schema.
///
/// # Errors
/// What there is too much of.
pub(super) fn check(schema: &Value, path: &str) -> Result<(), SchemaError> {
    let mut scale = Scale::default();
    scale.place(schema);
    let complain = |message: String| Err(error(path, message));
    if scale.nodes > MAX_NODES {
        return complain(format!("must not describe more than {MAX_NODES} values"));
    }
    if scale.long_name {
        return complain(format!("names of fields must not be longer than {MAX_NAME} bytes"));
    }
    if scale.rule_bytes > MAX_RULES {
        return complain(format!("its rules must not be longer than {MAX_RULES} bytes together"));
    }
    if scale.seen > MAX_SEEN {
        return complain(format!(
            "its rules see more than {MAX_SEEN} values; write them closer to the fields that \
             they are about"
        ));
    }
    if scale.patterns.len() > MAX_PATTERNS {
        return complain(format!("must not have more than {MAX_PATTERNS} patterns"));
    }
    let large = scale.patterns.iter().filter(|text| {
        let small = RegexBuilder::new(text).size_limit(SMALL_PATTERN).build();
        matches!(small, Err(regex::Error::CompiledTooBig(_)))
    });
    if large.count() > MAX_LARGE_PATTERNS {
        return complain(format!(
            "must not have more than {MAX_LARGE_PATTERNS} patterns with long repetitions"
        ));
    }
    Ok(())
}

#[derive(Default)]
struct Scale<'a> {
    nodes: usize,
    seen: usize,
    rule_bytes: usize,
    long_name: bool,
    patterns: HashSet<&'a str>,
}

impl<'a> Scale<'a> {
    /// Weighs what describes one value, and answers how many places that is. The
    /// document was read with a limit of its depth.
    fn place(&mut self, schema: &'a Value) -> usize {
        let Some(map) = schema.as_object() else {
            return 0;
        };
        self.nodes += 1;
        if let Some(pattern) = map.get("pattern").and_then(Value::as_str) {
            self.patterns.insert(pattern);
        }
        let mut places = 1;
        for (key, value) in map {
            match key.as_str() {
                "properties" => {
                    for (name, property) in value.as_object().into_iter().flatten() {
                        self.long_name |= name.len() > MAX_NAME;
                        places += self.place(property);
                    }
                }
                "items" | "additionalProperties" => places += self.place(value),
                "not" => {
                    self.place(value);
                }
                "allOf" | "anyOf" | "oneOf" => {
                    for branch in value.as_array().into_iter().flatten() {
                        self.place(branch);
                    }
                }
                _ => {}
            }
        }
        let rules = map.get(RULES).and_then(Value::as_array);
        if let Some(rules) = rules.filter(|rules| !rules.is_empty()) {
            self.seen += places;
            let texts = rules.iter().flat_map(|rule| [&rule["rule"], &rule["messageExpression"]]);
            self.rule_bytes += texts.filter_map(Value::as_str).map(str::len).sum::<usize>();
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::admission::schema::StructuralSchema;

    fn refusal(schema: &Value) -> String {
        StructuralSchema::compile(schema).unwrap_err().to_string()
    }

    fn object(properties: impl Iterator<Item = (String, Value)>) -> Value {
        json!({"type": "object", "properties": properties.collect::<Map<_, _>>()})
    }

    #[test]
    fn patterns_that_would_fill_the_memory_are_refused() {
        let one = json!({"type": "string", "pattern": r"\pL{1000}\pL{1000}"});
        let error = refusal(&json!({"type": "object", "properties": {"a": one}}));
        assert!(error.contains("properties[a].pattern") && error.contains("size limit"), "{error}");
        let large = (0..60).map(|index| {
            let pattern = format!(r"^{index}\pL{{250}}$");
            (format!("f{index}"), json!({"type": "string", "pattern": pattern}))
        });
        let error = refusal(&object(large));
        assert!(error.contains("more than 40 patterns"), "{error}");
        let usual = (0..500).map(|index| {
            let pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
            (format!("f{index}"), json!({"type": "string", "maxLength": 253, "pattern": pattern}))
        });
        StructuralSchema::compile(&object(usual)).unwrap();
    }

    #[test]
    fn schemas_and_rules_have_a_size() {
        let string = || json!({"type": "string"});
        let wide = (0..=MAX_NODES).map(|index| (format!("f{index}"), string()));
        assert!(refusal(&object(wide)).contains("50000 values"));
        let long = [("x".repeat(2000), string())];
        assert!(refusal(&object(long.into_iter())).contains("1024 bytes"));
        let ruled = |count: usize, schema: Value| {
            let rules = vec![json!({"rule": format!("true || {}", "true".repeat(250))}); count];
            let mut schema = schema;
            schema[RULES] = rules.into();
            schema
        };
        assert!(refusal(&ruled(300, object([].into_iter()))).contains("262144 bytes"));
        let mut nested = object((0..5000).map(|index| (format!("f{index}"), string())));
        for _ in 0..50 {
            nested[RULES] = json!([{"rule": "true"}]);
            nested = object([("a".to_owned(), nested)].into_iter());
        }
        assert!(refusal(&nested).contains("closer to the fields"));
    }
}
