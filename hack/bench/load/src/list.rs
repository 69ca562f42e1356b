//! Lists of everything, in the forms that clients ask for.

use std::time::Instant;

use bytes::Bytes;
use clap::ValueEnum;
use http::{HeaderValue, Method, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::object::Objects;
use crate::target::{LoadError, Target};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// kubectl reads so many objects at a time.
const PAGE: usize = 500;

/// How the list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// The objects.
    Json,
    /// The table that `kubectl get` prints.
    Table,
    /// The tenth of them that has a label.
    Selector,
    /// The objects in pages, as client-go reads them.
    Pages,
}

/// Takes the time of lists until their last byte.
pub async fn measure(
    target: &Target,
    objects: &Objects,
    form: Form,
    rounds: usize,
) -> Result<Value, LoadError> {
    let mut connection = target.connect().await?;
    let mut seconds = Vec::with_capacity(rounds);
    let mut answer = Answer::default();
    for _ in 0..rounds {
        let started = Instant::now();
        answer = list(target, &mut connection, objects, form).await?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(json!({"seconds": seconds, "bytes": answer.bytes, "requests": answer.requests}))
}

#[derive(Default)]
struct Answer {
    bytes: usize,
    requests: usize,
}

async fn list(
    target: &Target,
    connection: &mut Connection,
    objects: &Objects,
    form: Form,
) -> Result<Answer, LoadError> {
    let path = objects.collection();
    if form == Form::Pages {
        return pages(target, connection, path).await;
    }
    let path = match form {
        Form::Selector => format!("{path}?labelSelector=slot%3Ds1"),
        _ => path.to_owned(),
    };
    let mut request = target.request(Method::GET, &path, None, Bytes::new())?;
    if form == Form::Table {
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(TABLE));
    }
    let bytes = connection.ask(request).await?;
    Ok(Answer { bytes, requests: 1 })
}

async fn pages(
    target: &Target,
    connection: &mut Connection,
    path: &str,
) -> Result<Answer, LoadError> {
    let mut answer = Answer::default();
    let mut token = None;
    loop {
        let after = token.map(|token| format!("&continue={token}")).unwrap_or_default();
        let path = format!("{path}?limit={PAGE}{after}");
        let request = target.request(Method::GET, &path, None, Bytes::new())?;
        let page = connection.send(request).await?.into_body().collect().await?.to_bytes();
        answer.bytes += page.len();
        answer.requests += 1;
        token = continue_token(&page);
        if token.is_none() {
            return Ok(answer);
        }
    }
}

/// The token, wherever ListMeta stands. Objects have no such field.
fn continue_token(page: &[u8]) -> Option<String> {
    const MARK: &[u8] = br#""continue":""#;
    let start = page.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let token = page[start..].split(|byte| *byte == b'"').next()?;
    let token = std::str::from_utf8(token).ok().filter(|token| !token.is_empty())?;
    // Of the characters of base64 only these mean something else in a query.
    Some(token.replace('+', "%2B").replace('=', "%3D").replace('/', "%2F"))
}

#[cfg(test)]
mod tests {
    use super::continue_token;

    #[test]
    fn the_token_of_the_next_page() {
        let page = br#"{"metadata":{"continue":"a+b=","resourceVersion":"1"},"items":[]}"#;
        assert_eq!(continue_token(page).as_deref(), Some("a%2Bb%3D"));
        assert_eq!(continue_token(br#"{"metadata":{"continue":""}}"#), None);
        assert_eq!(continue_token(b"{}"), None);
    }
}
