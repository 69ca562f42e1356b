//! Answers.

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

/// Adds the texts that kubectl prints in yellow.
pub(super) fn warn(response: &mut Response, warnings: &[String]) {
    for warning in warnings {
        let text: String = warning
            .chars()
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
}
