//! Fields of JSON, found in its bytes without building a tree.
//!
//! Made for objects that this server wrote itself: broken JSON is not reported,
//! its fields are only not found. Lists and watches look at a few fields of very
//! many objects, of which the largest part would be parsed for nothing.

use std::borrow::Cow;

/// The value at a path of field names; the whole text for an empty path.
#[must_use]
pub fn find<'a, S: AsRef<str>>(json: &'a [u8], path: &[S]) -> Option<&'a [u8]> {
    let mut value = json;
    for name in path {
        value = Members::of(value).find(|(key, _)| is_name(key, name.as_ref()))?.1;
    }
    Some(value)
}

/// A string without its quotes and escapes; `None` for every other value.
#[must_use]
pub fn text(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        serde_json::from_slice::<String>(value).ok().map(Cow::Owned)
    } else {
        std::str::from_utf8(inner).ok().map(Cow::Borrowed)
    }
}

/// How many fields an object or how many items a list has; 0 for other values.
#[must_use]
pub fn count(value: &[u8]) -> usize {
    match value.first() {
        Some(b'{') => Members::of(value).count(),
        Some(b'[') => items(value),
        _ => 0,
    }
}

fn items(list: &[u8]) -> usize {
    let mut count = 0;
    let mut at = skip_space(list, 1);
    while let Some(end) = value_end(list, at) {
        count += 1;
        at = skip_space(list, end);
        if list.get(at) != Some(&b',') {
            break;
        }
        at = skip_space(list, at + 1);
    }
    count
}

/// The fields of an object, in their order: the name with its quotes, and the
/// value.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Members<'a> {
    /// The fields of an object; none for other values.
    #[must_use]
    pub fn of(json: &'a [u8]) -> Self {
        let at = skip_space(json, 0);
        let at = if json.get(at) == Some(&b'{') { at + 1 } else { json.len() };
        Self { json, at }
    }

    fn next_member(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let json = self.json;
        let start = skip_space(json, self.at);
        let end = string_end(json, start)?;
        let colon = skip_space(json, end);
        if json.get(colon) != Some(&b':') {
            return None;
        }
        let value = skip_space(json, colon + 1);
        let value_end = value_end(json, value)?;
        let next = skip_space(json, value_end);
        self.at = match json.get(next) {
            Some(b',') => next + 1,
            _ => json.len(),
        };
        Some((&json[start..end], &json[value..value_end]))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let member = self.next_member();
        if member.is_none() {
            self.at = self.json.len();
        }
        member
    }
}

/// Whether a name in quotes is this one.
#[must_use]
pub fn is_name(quoted: &[u8], name: &str) -> bool {
    match quoted.get(1..quoted.len().saturating_sub(1)) {
        Some(inner) if inner == name.as_bytes() => true,
        Some(inner) if inner.contains(&b'\\') => text(quoted).is_some_and(|text| text == name),
        _ => false,
    }
}

fn skip_space(json: &[u8], mut at: usize) -> usize {
    while matches!(json.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Behind the string that starts at `at`.
fn string_end(json: &[u8], at: usize) -> Option<usize> {
    if json.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        let rest = json.get(at..)?;
        at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Behind the value that starts at `at`.
fn value_end(json: &[u8], at: usize) -> Option<usize> {
    match json.get(at)? {
        b'"' => string_end(json, at),
        b'{' | b'[' => nested_end(json, at),
        b'}' | b']' | b',' | b':' => None,
        _ => {
            let rest = &json[at..];
            let end = rest
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'));
            Some(end.map_or(json.len(), |end| at + end))
        }
    }
}

fn nested_end(json: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match json.get(at)? {
            b'"' => {
                at = string_end(json, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn fields_are_found_at_any_depth_and_whatever_stands_around_them() {
        let bytes = br#" { "a" : {"b": [1, "]}\"", {"c": 2}], "x\"y": true } ,"d":-1.5e3,
            "e":"\u00fc\n", "f":{}, "g": [] , "h":null}"#;
        let at = |path: &[&str]| find(bytes, path).map(|value| std::str::from_utf8(value).unwrap());
        assert_eq!(at(&["a", "b"]), Some(r#"[1, "]}\"", {"c": 2}]"#));
        assert_eq!(at(&["a", "x\"y"]), Some("true"));
        assert_eq!(at(&["d"]), Some("-1.5e3"));
        assert_eq!(text(find(bytes, &["e"]).unwrap()).as_deref(), Some("ü\n"));
        assert_eq!(at(&["h"]), Some("null"));
        assert_eq!((at(&["f", "x"]), at(&["d", "x"]), at(&["i"])), (None, None, None));
        let counts = [("a", 2), ("f", 0), ("g", 0), ("d", 0)];
        for (name, expected) in counts {
            assert_eq!(count(find(bytes, &[name]).unwrap()), expected, "{name}");
        }
        assert_eq!(count(find(bytes, &["a", "b"]).unwrap()), 3);
    }

    fn agrees(value: &Value, bytes: &[u8], path: &mut Vec<String>, root: &[u8]) {
        assert_eq!(find(root, path), Some(bytes), "{path:?}");
        let Some(fields) = value.as_object() else {
            return;
        };
        assert_eq!(count(bytes), fields.len());
        for (name, inner) in fields {
            path.push(name.clone());
            let raw = find(root, path).unwrap_or_else(|| panic!("{path:?} is not found"));
            assert_eq!(&serde_json::from_slice::<Value>(raw).unwrap(), inner);
            agrees(inner, raw, path, root);
            path.pop();
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_tree_has(value in crate::admission::schema::tests::any_json(), name in any::<String>()) {
            let value = json!({name: value, "z": "end"});
            for bytes in [serde_json::to_vec(&value).unwrap(), serde_json::to_vec_pretty(&value).unwrap()] {
                agrees(&value, &bytes, &mut Vec::new(), &bytes);
            }
        }

        #[test]
        fn broken_bytes_never_panic(bytes in prop::collection::vec(prop::sample::select(br#"{}[]":,\ a1"#.to_vec()), 0..40)) {
            let _ = find(&bytes, &["a", "a"]);
            let _ = (count(&bytes), text(&bytes), is_name(&bytes, "a"));
            let _ = Members::of(&bytes).count();
        }
    }
}
