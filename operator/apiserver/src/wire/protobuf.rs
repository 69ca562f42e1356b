//! Protobuf bodies of the kinds that kubectl's typed clients send.
//!
//! kubectl 1.32 and later encode built-in kinds as protobuf and have no fallback
//! when a server answers 415. Requests are decoded to the JSON form of the object
//! by tables of field numbers; answers stay JSON.
//!
//! Invariants: no input panics; the nesting is bounded by the tables; what a table
//! doesn't know is skipped.

mod messages;
mod reader;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use self::messages::{Field, Kind, Message};
use self::reader::{Payload, Reader};
use super::status::StatusError;

/// What starts every protobuf body of Kubernetes.
const MAGIC: &[u8] = b"k8s\0";

/// The envelope, `runtime.Unknown`.
const UNKNOWN_TYPE_META: u32 = 1;
const UNKNOWN_RAW: u32 = 2;
const UNKNOWN_ENCODING: u32 = 3;

/// Decodes the `k8s\0` envelope to the JSON form of the object.
///
/// # Errors
/// 400 when the bytes are no such envelope or are cut off, 415 for kinds that can
/// only be sent as JSON.
pub fn decode(body: &[u8]) -> Result<Value, StatusError> {
    let Some(envelope) = body.strip_prefix(MAGIC) else {
        return Err(StatusError::bad_request(
            "the protobuf body does not start with the Kubernetes envelope k8s\\0",
        ));
    };
    let mut api_version = String::new();
    let mut kind = String::new();
    let mut raw: &[u8] = &[];
    let mut reader = Reader::new(envelope);
    while let Some((number, payload)) = reader.next().map_err(broken)? {
        match (number, payload) {
            (UNKNOWN_TYPE_META, Payload::Bytes(bytes)) => {
                let mut reader = Reader::new(bytes);
                while let Some((number, payload)) = reader.next().map_err(broken)? {
                    match (number, payload) {
                        (1, Payload::Bytes(text)) => api_version = utf8(text)?.to_owned(),
                        (2, Payload::Bytes(text)) => kind = utf8(text)?.to_owned(),
                        _ => {}
                    }
                }
            }
            (UNKNOWN_RAW, Payload::Bytes(bytes)) => raw = bytes,
            (UNKNOWN_ENCODING, Payload::Bytes(encoding)) if !encoding.is_empty() => {
                return Err(StatusError::unsupported_media_type(&["application/json"]));
            }
            _ => {}
        }
    }
    let message = messages::of_kind(&api_version, &kind).ok_or_else(|| {
        StatusError::unsupported_media_type(&[
            "application/json",
            "application/yaml",
            &format!("(protobuf is not read for {api_version} {kind})"),
        ])
    })?;
    let mut object = fields(message, raw)?;
    object.insert("apiVersion".to_owned(), Value::from(api_version));
    object.insert("kind".to_owned(), Value::from(kind));
    Ok(Value::Object(object))
}

fn broken(_: reader::Malformed) -> StatusError {
    StatusError::bad_request("the protobuf body is cut off or malformed")
}

fn utf8(bytes: &[u8]) -> Result<&str, StatusError> {
    std::str::from_utf8(bytes)
        .map_err(|_| StatusError::bad_request("the protobuf body has a text that is not UTF-8"))
}

fn fields(message: &Message, bytes: &[u8]) -> Result<Map<String, Value>, StatusError> {
    let mut object = Map::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next().map_err(broken)? {
        let Some(field) = message.iter().find(|field| field.number == number) else {
            continue;
        };
        put(&mut object, field, &payload)?;
    }
    Ok(object)
}

fn put(
    object: &mut Map<String, Value>,
    field: &Field,
    payload: &Payload<'_>,
) -> Result<(), StatusError> {
    if let Kind::Map(values) = field.kind {
        let Payload::Bytes(bytes) = payload else {
            return Err(broken(reader::Malformed));
        };
        let (key, value) = map_entry(values, bytes)?;
        let entries = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
        if let Some(entries) = entries.as_object_mut() {
            entries.insert(key, value);
        }
        return Ok(());
    }
    let Some(value) = value(field.kind, payload)? else {
        return Ok(());
    };
    if field.repeated {
        let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(list) = list.as_array_mut() {
            list.push(value);
        }
    } else if !field.omits_empty || !is_empty(&value) {
        object.insert(field.name.to_owned(), value);
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

fn map_entry(values: &Kind, bytes: &[u8]) -> Result<(String, Value), StatusError> {
    let mut key = String::new();
    let mut content = Value::from("");
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next().map_err(broken)? {
        match (number, &payload) {
            (1, Payload::Bytes(text)) => key = utf8(text)?.to_owned(),
            (2, payload) => content = value(*values, payload)?.unwrap_or_default(),
            _ => {}
        }
    }
    Ok((key, content))
}

fn value(kind: Kind, payload: &Payload<'_>) -> Result<Option<Value>, StatusError> {
    match (kind, payload) {
        (Kind::Text, Payload::Bytes(bytes)) => Ok(Some(Value::from(utf8(bytes)?))),
        (Kind::Bytes, Payload::Bytes(bytes)) => Ok(Some(Value::from(STANDARD.encode(bytes)))),
        (Kind::Bool, Payload::Varint(number)) => Ok(Some(Value::from(*number != 0))),
        (Kind::Int, Payload::Varint(number)) => Ok(Some(Value::from(number.cast_signed()))),
        (Kind::Time, Payload::Bytes(bytes)) => time(bytes, 0),
        (Kind::MicroTime, Payload::Bytes(bytes)) => time(bytes, 6),
        (Kind::Texts, Payload::Bytes(bytes)) => texts(bytes),
        (Kind::Json, Payload::Bytes(bytes)) => json(bytes),
        (Kind::Message(message), Payload::Bytes(bytes)) => {
            fields(message, bytes).map(|fields| Some(Value::Object(fields)))
        }
        _ => Err(broken(reader::Malformed)),
    }
}

/// `Timestamp{seconds, nanos}`; the zero time of Go is an absent field.
fn time(bytes: &[u8], digits: u8) -> Result<Option<Value>, StatusError> {
    let mut seconds = 0;
    let mut nanos = 0;
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next().map_err(broken)? {
        match (number, payload) {
            (1, Payload::Varint(value)) => seconds = value.cast_signed(),
            (2, Payload::Varint(value)) => nanos = value.cast_signed(),
            _ => {}
        }
    }
    if seconds == 0 && nanos == 0 {
        return Ok(None);
    }
    let timestamp = i32::try_from(nanos)
        .ok()
        .and_then(|nanos| jiff::Timestamp::new(seconds, nanos).ok())
        .ok_or_else(|| StatusError::bad_request("the protobuf body has a time out of range"))?;
    let text = if digits == 0 { format!("{timestamp:.0}") } else { format!("{timestamp:.6}") };
    Ok(Some(Value::from(text)))
}

/// `ExtraValue{items}`: a list inside a map.
fn texts(bytes: &[u8]) -> Result<Option<Value>, StatusError> {
    let mut items = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next().map_err(broken)? {
        if let (1, Payload::Bytes(text)) = (number, payload) {
            items.push(Value::from(utf8(text)?));
        }
    }
    Ok(Some(Value::Array(items)))
}

/// `FieldsV1{raw}`: JSON inside protobuf.
fn json(bytes: &[u8]) -> Result<Option<Value>, StatusError> {
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next().map_err(broken)? {
        if let (1, Payload::Bytes(raw)) = (number, payload) {
            return serde_json::from_slice(raw)
                .map(Some)
                .map_err(|_| StatusError::bad_request("the protobuf body has malformed fieldsV1"));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
