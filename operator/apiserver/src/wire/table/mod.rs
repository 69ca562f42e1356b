//! Tables and partial objects: what `kubectl get` shows.
//!
//! Rows are made one by one from the bytes of an object, so that a list of ten
//! thousand objects never stands in memory as a tree.

mod age;
mod builtin;
mod path;

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use age::{age, human_duration};
use path::CellPath;

use super::accept::MetaVersion;
use super::raw;

/// The columns of a kind, compiled.
#[derive(Debug)]
pub struct Columns {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: Cow<'static, str>,
    /// The OpenAPI type: `string`, `integer`, `number`, `boolean` or `date`.
    kind: Cow<'static, str>,
    format: Cow<'static, str>,
    description: Cow<'static, str>,
    /// Above 0 only `-o wide` shows the column.
    priority: i64,
    source: Source,
}

/// Where a cell comes from.
enum Source {
    Path(CellPath),
    Computed(fn(Object<'_>, Timestamp) -> Value),
}

/// The bytes of an object, of which the columns parse only what they show.
#[derive(Clone, Copy)]
struct Object<'a>(&'a [u8]);

impl Object<'_> {
    /// The value at a pointer such as `/status/phase`; null where there is none.
    fn at(self, pointer: &str) -> Value {
        let mut value = Some(self.0);
        for name in pointer.split('/').skip(1) {
            value = value.and_then(|value| raw::find(value, &[name]));
        }
        value.and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default()
    }

    /// How many fields or items a field of the object has.
    fn count(self, field: &str) -> usize {
        raw::find(self.0, &[field]).map_or(0, raw::count)
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{path:?}"),
            Self::Computed(_) => f.write_str("computed"),
        }
    }
}

/// A printer column that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("additionalPrinterColumns[{index}]: {message}")]
pub struct ColumnError {
    /// Index in `additionalPrinterColumns`.
    pub index: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

const TYPES: &[&str] = &["string", "integer", "number", "boolean", "date"];

impl Columns {
    /// Compiles `additionalPrinterColumns`. The name comes first by itself; without
    /// any column the age follows.
    ///
    /// # Errors
    /// The first column without a name, with an unknown type or with a path that is
    /// no JSONPath.
    pub fn compile(columns: &[Value]) -> Result<Self, ColumnError> {
        if columns.is_empty() {
            return Ok(builtin::name_and_age());
        }
        let mut compiled = vec![builtin::name()];
        for (index, column) in columns.iter().enumerate() {
            compiled
                .push(compile_column(column).map_err(|message| ColumnError { index, message })?);
        }
        Ok(Self { columns: compiled })
    }

    /// The columns of a kind that the server knows itself; name and age for others.
    #[must_use]
    pub fn builtin(group: &str, kind: &str) -> Self {
        builtin::columns(group, kind)
    }

    /// `columnDefinitions`.
    #[must_use]
    pub fn definitions(&self) -> Value {
        self.columns
            .iter()
            .map(|column| {
                json!({
                    "name": column.name,
                    "type": column.kind,
                    "format": column.format,
                    "description": column.description,
                    "priority": column.priority,
                })
            })
            .collect()
    }

    /// The cells of one object in its bytes.
    #[must_use]
    pub fn cells(&self, object: &[u8], now: Timestamp) -> Vec<Value> {
        self.columns
            .iter()
            .map(|column| match &column.source {
                Source::Computed(compute) => compute(Object(object), now),
                Source::Path(path) => match path.first(object) {
                    Some(value) => cell(&column.kind, &value, now),
                    None => Value::Null,
                },
            })
            .collect()
    }
}

fn compile_column(column: &Value) -> Result<Column, String> {
    let text = |key: &str| column.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("name").is_empty() {
        return Err("name must not be empty".to_owned());
    }
    if !TYPES.contains(&text("type")) {
        let found = text("type");
        return Err(format!("type must be one of {}, not {found:?}", TYPES.join(", ")));
    }
    let path = path::compile(text("jsonPath"))?;
    let owned = |key: &str| Cow::Owned(text(key).to_owned());
    Ok(Column {
        name: owned("name"),
        kind: owned("type"),
        format: owned("format"),
        description: owned("description"),
        priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
        source: Source::Path(path),
    })
}

/// A value as a cell of that type; values of other types print as nothing, but for
/// texts, which print everything.
fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match (kind, value) {
        (_, Value::Null) => Value::Null,
        ("integer", Value::Number(number)) if number.is_f64() => {
            let whole = number.as_f64().map(f64::trunc).unwrap_or_default();
            // Saturates, which is fine for something to look at.
            Value::from(whole as i64)
        }
        ("integer" | "number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(time)) => Value::from(age(time, now)),
        ("string", Value::String(_)) => value.clone(),
        ("string", other) => Value::from(other.to_string()),
        _ => Value::Null,
    }
}

/// What `includeObject` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IncludeObject {
    /// Only cells.
    None,
    /// PartialObjectMetadata.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

/// Bytes that should be an object and are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the object is no JSON object")]
pub struct NotAnObject;

fn check(object: &[u8]) -> Result<(), NotAnObject> {
    let whole = object.starts_with(b"{") && object.ends_with(b"}");
    whole.then_some(()).ok_or(NotAnObject)
}

/// Appends one row of a Table as JSON.
///
/// # Errors
/// When the bytes are no JSON object.
pub fn row(
    out: &mut Vec<u8>,
    columns: &Columns,
    object: &[u8],
    include: IncludeObject,
    version: MetaVersion,
    now: Timestamp,
) -> Result<(), NotAnObject> {
    check(object)?;
    out.extend_from_slice(b"{\"cells\":");
    // Values have nothing that can't be written.
    serde_json::to_writer(&mut *out, &columns.cells(object, now)).map_err(|_| NotAnObject)?;
    match include {
        IncludeObject::None => {}
        IncludeObject::Metadata => {
            out.extend_from_slice(b",\"object\":");
            partial_metadata(out, object, version)?;
        }
        IncludeObject::Object => {
            out.extend_from_slice(b",\"object\":");
            out.extend_from_slice(object);
        }
    }
    out.push(b'}');
    Ok(())
}

/// Appends the PartialObjectMetadata of an object, its metadata byte for byte.
///
/// # Errors
/// When the bytes are no JSON object.
pub fn partial_metadata(
    out: &mut Vec<u8>,
    object: &[u8],
    version: MetaVersion,
) -> Result<(), NotAnObject> {
    check(object)?;
    out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"");
    out.extend_from_slice(version.api_version().as_bytes());
    out.extend_from_slice(b"\",\"metadata\":");
    out.extend_from_slice(raw::find(object, &["metadata"]).unwrap_or(b"{}"));
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests;
