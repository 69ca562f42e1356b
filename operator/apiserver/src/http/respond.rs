//! Answers.

use std::collections::HashSet;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use super::view::View;
use crate::wire::accept::ResponseForm;
use crate::wire::status::StatusError;

/// A JSON document.
pub(super) fn json(code: StatusCode, value: &Value) -> Response {
    document(code, "application/json", Body::from(value.to_string()))
}

/// A body of a media type.
pub(super) fn document(code: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = (code, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// One object in the form that the client asked for.
pub(super) fn object(
    code: StatusCode,
    view: &View,
    stored: Bytes,
) -> Result<Response, StatusError> {
    let encoded = view.single(stored)?;
    let body = match view.form {
        ResponseForm::Yaml => Body::from(yaml(&encoded)?),
        _ => Body::from(encoded),
    };
    Ok(document(code, view.content_type(), body))
}

/// JSON bytes as YAML.
pub(super) fn yaml(json: &[u8]) -> Result<String, StatusError> {
    let value: Value = serde_json::from_slice(json).map_err(StatusError::internal)?;
    serde_saphyr::to_string(&value).map_err(StatusError::internal)
}

/// How many bytes of warnings an answer carries before they are cut short.
const MAX_WARNINGS: usize = 4 << 10;

/// How many letters of a warning are left once they are cut short.
const MAX_WARNING: usize = 256;

/// Adds the texts that kubectl prints in yellow, each once, and no more of them
/// than headers can carry.
pub(super) fn warn(response: &mut Response, warnings: &[String]) {
    let mut seen = HashSet::new();
    let whole: usize = warnings.iter().map(String::len).sum();
    let letters = if whole > MAX_WARNINGS { MAX_WARNING } else { usize::MAX };
    let mut room = MAX_WARNINGS;
    for warning in warnings.iter().filter(|warning| seen.insert(warning.as_str())) {
        let text: String = warning
            .chars()
            .take(letters)
            .map(
                |letter| {
                    if letter.is_ascii() && !letter.is_ascii_control() { letter } else { '?' }
                },
            )
            .flat_map(|letter| match letter {
                '"' | '\\' => vec!['\\', letter],
                letter => vec![letter],
            })
            .collect();
        let Some(left) = room.checked_sub(text.len()) else {
            return;
        };
        room = left;
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted() {
        let mut response = Response::new(Body::empty());
        warn(&mut response, &["unknown field \"spec.x\"\nü".to_owned()]);
        assert_eq!(response.headers()[header::WARNING], r#"299 - "unknown field \"spec.x\"??""#);
    }

    #[test]
    fn warnings_are_told_once_and_fit_into_headers() {
        let mut response = Response::new(Body::empty());
        let twice = ["a".to_owned(), "a".to_owned(), "b".to_owned()];
        warn(&mut response, &twice);
        assert_eq!(response.headers().get_all(header::WARNING).iter().count(), 2);
        let mut response = Response::new(Body::empty());
        let many: Vec<String> =
            (0..1000).map(|index| format!("{index}{}", "x".repeat(999))).collect();
        warn(&mut response, &many);
        let lengths: Vec<usize> =
            response.headers().get_all(header::WARNING).iter().map(HeaderValue::len).collect();
        assert!(
            lengths.len() > 10 && lengths.iter().sum::<usize>() < 2 * MAX_WARNINGS,
            "{lengths:?}"
        );
    }
}
