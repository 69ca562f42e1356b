//! Bodies as objects, with the duplicate keys that strict field validation
//! reports.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::localizer::ExternalMessageSource;

use super::BodyForm;
use crate::admission::schema::Place;
use crate::wire::protobuf;
use crate::wire::status::StatusError;

/// How many values a body may hold. Each takes some hundred bytes in memory and
/// two in the body, so that the size of the body alone bounds nothing; the
/// largest definitions of custom resources have a fifth of it.
const MAX_VALUES: usize = 200_000;

/// The sum of the depths of all values: field ownership writes the whole path of
/// every value.
const MAX_LEVELS: usize = 3_000_000;

/// How many bytes of texts a YAML body may stand for.
const MAX_YAML_TEXT: usize = 3 << 20;

/// As many keys that occur twice are told as Kubernetes tells.
const MAX_DUPLICATES: usize = 100;

/// A body as an object.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedBody {
    /// The object; of a key that occurs twice, the last value.
    pub value: Value,
    /// Paths of keys that occur twice, such as `spec.image`.
    pub duplicates: Vec<String>,
}

/// Reads a body as an object; an empty body is `Value::Null`.
///
/// # Errors
/// 400 with line and column where the text is broken.
pub fn decode_body(form: BodyForm, body: &[u8]) -> Result<Value, StatusError> {
    decode_body_strict(form, body).map(|decoded| decoded.value)
}

/// Like [`decode_body`], and reports the duplicate keys of a JSON body. YAML with
/// duplicate keys is an error by itself.
///
/// # Errors
/// 400 with line and column where the text is broken.
pub fn decode_body_strict(form: BodyForm, body: &[u8]) -> Result<DecodedBody, StatusError> {
    let plain = |value| DecodedBody { value, duplicates: Vec::new() };
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(plain(Value::Null));
    }
    match form {
        BodyForm::Protobuf => {
            let value = protobuf::decode(body)?;
            if holds_more_than(&value, MAX_VALUES) { Err(too_many()) } else { Ok(plain(value)) }
        }
        BodyForm::Json => json(body),
        BodyForm::Yaml => {
            // Most clients send JSON under the YAML type; it parses much faster.
            if body.trim_ascii_start().starts_with(b"{")
                && let Ok(decoded) = json(body)
            {
                return Ok(decoded);
            }
            let text = std::str::from_utf8(body)
                .map_err(|_| StatusError::bad_request("the YAML body is not UTF-8"))?;
            yaml(text).map(plain)
        }
    }
}

/// Anchors and aliases make much out of little: what they make counts.
fn yaml_limits() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_VALUES,
            max_total_scalar_bytes: MAX_YAML_TEXT,
        },
    }
}

fn yaml(text: &str) -> Result<Value, StatusError> {
    let notes = Notes::default();
    let seed = Tracking { place: &Place::ROOT, depth: 1, notes: &notes };
    serde_saphyr::with_deserializer_from_str_with_options(text, yaml_limits(), |deserializer| {
        seed.deserialize(deserializer)
    })
    .map_err(|problem| match notes.is_full() {
        true => too_many(),
        false => {
            StatusError::bad_request(format!("error parsing YAML: {}", unreadable_yaml(&problem)))
        }
    })
}

/// What is wrong and where, without the text: it may hold values of a Secret.
fn unreadable_yaml(problem: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error as E;
    let problem = problem.without_snippet();
    let what = match problem {
        E::ExternalMessage { source, .. } => match source.as_ref() {
            ExternalMessageSource::Parser(scan) => scan.kind().to_string(),
            _ => "the text can't be read".to_owned(),
        },
        E::DuplicateMappingKey { key: Some(key), .. } => format!("the key {key:?} occurs twice"),
        E::NonFiniteFloat { .. } => "a number that is not finite".to_owned(),
        E::UnsupportedTag { .. } => "a tag (!name) that has no meaning here".to_owned(),
        E::UnknownAnchor { .. } => "an alias (*name) of an anchor that isn't there".to_owned(),
        E::MultipleDocuments { .. } => "more than one document".to_owned(),
        E::Eof { .. } => "it ends too early".to_owned(),
        E::Unexpected { expected, .. } => format!("expected {expected}"),
        E::InvalidScalar { ty, .. } => format!("invalid {ty}"),
        E::Budget { .. }
        | E::AliasReplayLimitExceeded { .. }
        | E::AliasExpansionLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. } => {
            "it is too large, its aliases (*name) written out".to_owned()
        }
        _ => "the text can't be read".to_owned(),
    };
    match problem.location().filter(|location| location.line() > 0) {
        Some(at) => format!("{what} at line {} column {}", at.line(), at.column()),
        None => what,
    }
}

fn json(body: &[u8]) -> Result<DecodedBody, StatusError> {
    let notes = Notes::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let seed = Tracking { place: &Place::ROOT, depth: 1, notes: &notes };
    let value = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|problem| if notes.is_full() { too_many() } else { unreadable(&problem) })?;
    Ok(DecodedBody { value, duplicates: notes.duplicates.into_inner() })
}

fn unreadable(problem: &serde_json::Error) -> StatusError {
    let problem = problem.to_string();
    match problem.strip_prefix("recursion limit exceeded") {
        Some(place) => StatusError::bad_request(format!(
            "error parsing JSON: nested deeper than 127 levels{place}"
        )),
        None => StatusError::bad_request(format!("error parsing JSON: {problem}")),
    }
}

/// The tables of fields bound the depth.
fn holds_more_than(value: &Value, most: usize) -> bool {
    fn count(value: &Value) -> usize {
        match value {
            Value::Object(members) => 1 + members.values().map(count).sum::<usize>(),
            Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
            _ => 1,
        }
    }
    count(value) > most
}

fn too_many() -> StatusError {
    StatusError::too_large(format!(
        "the body holds more than {MAX_VALUES} values, or too many of them in deep nesting"
    ))
}

/// What is noted while a body is read.
#[derive(Default)]
struct Notes {
    duplicates: RefCell<Vec<String>>,
    values: Cell<usize>,
    levels: Cell<usize>,
}

impl Notes {
    fn count<E: de::Error>(&self, depth: usize) -> Result<(), E> {
        self.values.set(self.values.get() + 1);
        self.levels.set(self.levels.get() + depth);
        if self.is_full() { Err(E::custom("too many values")) } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        self.values.get() > MAX_VALUES || self.levels.get() > MAX_LEVELS
    }
}

/// Builds a value and notes keys that occur twice.
struct Tracking<'a> {
    place: &'a Place<'a>,
    depth: usize,
    notes: &'a Notes,
}

impl<'de> DeserializeSeed<'de> for Tracking<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.notes.count(self.depth)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tracking<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = self.place.index(list.len());
            let seed = Tracking { place: &place, depth: self.depth + 1, notes: self.notes };
            match access.next_element_seed(seed)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let place = self.place.key(&key);
            let mut duplicates = self.notes.duplicates.borrow_mut();
            if map.contains_key(&key) && duplicates.len() < MAX_DUPLICATES {
                duplicates.push(place.to_string());
            }
            drop(duplicates);
            let seed = Tracking { place: &place, depth: self.depth + 1, notes: self.notes };
            let value = access.next_value_seed(seed)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
