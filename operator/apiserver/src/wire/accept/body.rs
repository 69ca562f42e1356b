//! Bodies as objects, with the duplicate keys that strict field validation
//! reports.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::BodyForm;
use crate::admission::schema::Place;
use crate::wire::protobuf;
use crate::wire::status::StatusError;

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
        BodyForm::Protobuf => protobuf::decode(body).map(plain),
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
            serde_saphyr::from_str(text).map(plain).map_err(|problem| {
                StatusError::bad_request(format!("error parsing YAML: {problem}"))
            })
        }
    }
}

fn json(body: &[u8]) -> Result<DecodedBody, StatusError> {
    let duplicates = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let seed = Tracking { place: &Place::ROOT, duplicates: &duplicates };
    let value = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|problem| unreadable(&problem))?;
    Ok(DecodedBody { value, duplicates: duplicates.into_inner() })
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

/// Builds a value and notes keys that occur twice.
struct Tracking<'a> {
    place: &'a Place<'a>,
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Tracking<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = self.place.index(list.len());
            let seed = Tracking { place: &place, duplicates: self.duplicates };
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
            if map.contains_key(&key) {
                self.duplicates.borrow_mut().push(place.to_string());
            }
            let seed = Tracking { place: &place, duplicates: self.duplicates };
            let value = access.next_value_seed(seed)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
