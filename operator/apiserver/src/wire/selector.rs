//! Label and field selectors.

use std::collections::BTreeMap;

use serde_json::Value;

use super::raw;
use super::status::StatusError;

/// A parsed `labelSelector`; all of its requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    /// `k=v`, `k==v`, `k in (v, w)`.
    In(Vec<String>),
    /// `k!=v`, `k notin (v, w)`; a missing label passes.
    NotIn(Vec<String>),
    /// `k`.
    Exists,
    /// `!k`.
    Missing,
    /// `k>1`.
    GreaterThan(i64),
    /// `k<1`.
    LessThan(i64),
}

impl Requirement {
    fn holds(&self, label: Option<&str>) -> bool {
        let number = || label.and_then(|label| label.parse::<i64>().ok());
        match (&self.test, label) {
            (Test::Exists, label) => label.is_some(),
            (Test::Missing, label) => label.is_none(),
            (Test::In(values), Some(label)) => values.iter().any(|value| value == label),
            (Test::In(_), None) => false,
            (Test::NotIn(values), Some(label)) => values.iter().all(|value| value != label),
            (Test::NotIn(_), None) => true,
            (Test::GreaterThan(bound), _) => number().is_some_and(|number| number > *bound),
            (Test::LessThan(bound), _) => number().is_some_and(|number| number < *bound),
        }
    }
}

impl LabelSelector {
    /// Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k`; an empty text matches all.
    ///
    /// # Errors
    /// 400 with the part that cannot be read.
    pub fn parse(text: &str) -> Result<Self, StatusError> {
        let mut parser = LabelParser { text, rest: text };
        parser.selector()
    }

    /// Reads the form that objects hold, with `matchLabels` and `matchExpressions`;
    /// `None` where it can't be read. An empty one matches all.
    #[must_use]
    pub fn of_object(selector: &Value) -> Option<Self> {
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let test = Test::In(vec![value.as_str()?.to_owned()]);
            requirements.push(Requirement { key: key.clone(), test });
        }
        for one in selector["matchExpressions"].as_array().into_iter().flatten() {
            let values = || {
                let values = one["values"].as_array()?.iter();
                values.map(|value| value.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
            };
            let test = match one["operator"].as_str()? {
                "In" => Test::In(values()?),
                "NotIn" => Test::NotIn(values()?),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Missing,
                _ => return None,
            };
            requirements.push(Requirement { key: one["key"].as_str()?.to_owned(), test });
        }
        Some(Self { requirements })
    }

    /// Whether it matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether labels match.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|one| one.holds(labels.get(&one.key).map(String::as_str)))
    }

    /// Whether `metadata.labels` of an object in its bytes match.
    #[must_use]
    pub fn matches_bytes(&self, object: &[u8]) -> bool {
        if self.requirements.is_empty() {
            return true;
        }
        let labels = raw::find(object, &["metadata", "labels"]).unwrap_or(b"{}");
        self.requirements.iter().all(|one| {
            let label = raw::find(labels, &[&one.key]).and_then(raw::text);
            one.holds(label.as_deref())
        })
    }

    /// Whether `metadata.labels` of the object match.
    #[must_use]
    pub fn matches_object(&self, object: &Value) -> bool {
        let labels = object.get("metadata").and_then(|metadata| metadata.get("labels"));
        self.requirements.iter().all(|one| {
            let label = labels.and_then(|labels| labels.get(&one.key)).and_then(Value::as_str);
            one.holds(label)
        })
    }
}

struct LabelParser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> LabelParser<'a> {
    fn selector(&mut self) -> Result<LabelSelector, StatusError> {
        let mut requirements = Vec::new();
        self.skip_spaces();
        if self.rest.is_empty() {
            return Ok(LabelSelector { requirements });
        }
        loop {
            requirements.push(self.requirement()?);
            self.skip_spaces();
            if self.rest.is_empty() {
                return Ok(LabelSelector { requirements });
            }
            self.expect(",")?;
        }
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_spaces();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), StatusError> {
        if self.eat(token) { Ok(()) } else { Err(self.error(&format!("expected {token:?}"))) }
    }

    fn error(&self, problem: &str) -> StatusError {
        let place =
            if self.rest.is_empty() { "the end".to_owned() } else { format!("{:?}", self.rest) };
        StatusError::bad_request(format!(
            "unable to parse label selector {:?}: {problem} at {place}; \
             write it as in env=prod,tier!=db,zone in (a,b),!canary",
            self.text
        ))
    }

    /// The longest run of letters that labels are made of.
    fn word(&mut self) -> &'a str {
        self.skip_spaces();
        let end = self
            .rest
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_./".contains(letter)))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn key(&mut self) -> Result<String, StatusError> {
        let before = self.rest;
        let word = self.word();
        if is_label_key(word) {
            Ok(word.to_owned())
        } else {
            self.rest = before;
            Err(self.error("expected a label key"))
        }
    }

    fn value(&mut self) -> Result<String, StatusError> {
        let before = self.rest;
        let word = self.word();
        if is_label_value(word) {
            Ok(word.to_owned())
        } else {
            self.rest = before;
            Err(self.error("expected a label value"))
        }
    }

    fn number(&mut self) -> Result<i64, StatusError> {
        let before = self.rest;
        self.word().parse().map_err(|_| {
            self.rest = before;
            self.error("expected a whole number")
        })
    }

    fn requirement(&mut self) -> Result<Requirement, StatusError> {
        if self.eat("!") {
            let key = self.key()?;
            let test = Test::Missing;
            return Ok(Requirement { key, test });
        }
        let key = self.key()?;
        self.skip_spaces();
        let test = if self.eat("!=") {
            Test::NotIn(vec![self.value()?])
        } else if self.eat("==") || self.eat("=") {
            Test::In(vec![self.value()?])
        } else if self.eat(">") {
            Test::GreaterThan(self.number()?)
        } else if self.eat("<") {
            Test::LessThan(self.number()?)
        } else if self.rest.is_empty() || self.rest.starts_with(',') {
            Test::Exists
        } else {
            match self.word() {
                "in" => Test::In(self.values()?),
                "notin" => Test::NotIn(self.values()?),
                _ => return Err(self.error("expected an operator (=, ==, !=, in, notin, <, >)")),
            }
        };
        Ok(Requirement { key, test })
    }

    fn values(&mut self) -> Result<Vec<String>, StatusError> {
        self.expect("(")?;
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            if self.eat(")") {
                return Ok(values);
            }
            self.expect(",")?;
        }
    }
}

/// Whether a text can be a label key: a name of up to 63 letters, with an optional
/// DNS prefix.
#[must_use]
pub fn is_label_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_fits = prefix.is_none_or(|prefix| {
        !prefix.is_empty()
            && prefix.len() <= 253
            && prefix
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
    });
    prefix_fits && !name.is_empty() && is_label_value(name)
}

/// Whether a text can be a label value: up to 63 letters, digits, `-`, `_` and
/// `.`, with a letter or digit at both ends; or nothing.
#[must_use]
pub fn is_label_value(value: &str) -> bool {
    let ends = |letter: char| letter.is_ascii_alphanumeric();
    value.is_empty()
        || (value.len() <= 63
            && value.starts_with(ends)
            && value.ends_with(ends)
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)))
}

/// A parsed `fieldSelector`; all of its terms must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

/// One term of a `fieldSelector`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The dotted path of the field.
    pub path: String,
    /// The text that the field has, or has not.
    pub value: String,
    /// `=` and not `!=`.
    pub equal: bool,
}

impl FieldSelector {
    /// Parses `metadata.name=a,status.phase!=b`; `\` escapes `,`, `=` and itself in
    /// values. Any dotted path is read; which ones a resource knows is asked later.
    ///
    /// # Errors
    /// 400 with the term that cannot be read.
    pub fn parse(text: &str) -> Result<Self, StatusError> {
        let mut terms = Vec::new();
        for term in split_terms(text) {
            if !term.trim().is_empty() {
                terms.push(Term::parse(term)?);
            }
        }
        Ok(Self { terms })
    }

    /// Whether it matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether the object matches. An absent field counts as an empty text.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| (field_text(object, &term.path) == term.value) == term.equal)
    }

    /// The terms, in the order in which they were written.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The value that a field must have, where the selector demands one: with
    /// `metadata.name=x` a list is a single look-up.
    #[must_use]
    pub fn exact(&self, path: &str) -> Option<&str> {
        self.terms
            .iter()
            .find(|term| term.equal && term.path == path)
            .map(|term| term.value.as_str())
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, StatusError> {
        let error = || {
            StatusError::bad_request(format!(
                "invalid field selector term {text:?}: write it as in metadata.name=web or \
                 status.phase!=Running"
            ))
        };
        let at = text.find('=').ok_or_else(error)?;
        let (left, right) = (&text[..at], &text[at + 1..]);
        let (path, equal) = match left.strip_suffix('!') {
            Some(path) => (path, false),
            None => (left, true),
        };
        let right = if equal { right.strip_prefix('=').unwrap_or(right) } else { right };
        let path = path.trim();
        if path.is_empty() {
            return Err(error());
        }
        Ok(Self { path: path.to_owned(), value: unescape(right.trim()).ok_or_else(error)?, equal })
    }
}

/// Parts between commas that no backslash precedes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn unescape(text: &str) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => result.push(escaped),
                _ => return None,
            },
            '=' => return None,
            other => result.push(other),
        }
    }
    Some(result)
}

fn field_text(object: &Value, path: &str) -> String {
    let value = path.split('.').try_fold(object, |value, name| value.get(name));
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
