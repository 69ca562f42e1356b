//! Backups in a bucket of S3, or of what speaks its language.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;

use crate::{BackupError, BackupName, Gathered, Recipient, Written};

/// How long a signature is good: it is used at once.
const EXPIRES: Duration = Duration::from_secs(600);

/// How long an answer may take that carries nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long sending may take: 5 GB at less than a megabyte a second.
const SENDING: Duration = Duration::from_secs(2 * 60 * 60);

/// Largest object of one PUT.
const LARGEST: u64 = 5 << 30;

/// Most of an answer that is looked at.
const MAX_ANSWER: usize = 4 << 20;

/// Pages of a list that are read at most, a thousand names each.
const MAX_PAGES: usize = 100;

/// Bytes that are read from the disk at a time.
const CHUNK: usize = 256 << 10;

/// How many of those wait to be sent.
const AHEAD: usize = 4;

/// A part of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    bucket: String,
    /// Without slashes at either end; empty for the whole bucket.
    prefix: String,
}

/// How a bucket is reached.
#[derive(Clone, Debug, Default)]
pub struct S3Settings {
    /// Region that requests are signed for.
    pub region: Option<String>,
    /// Another endpoint than that of AWS, whose buckets are named in the path.
    pub endpoint: Option<String>,
    /// Access key id.
    pub key: Option<String>,
    /// Secret access key.
    pub secret: Option<SecretString>,
    /// Session token of credentials that end.
    pub token: Option<SecretString>,
}

impl S3Settings {
    /// From the variables that the tools of AWS read.
    #[must_use]
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| variable(name)).filter(|value| !value.is_empty())
        };
        Self {
            region: first(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
            endpoint: first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
            key: first(&["AWS_ACCESS_KEY_ID"]),
            secret: first(&["AWS_SECRET_ACCESS_KEY"]).map(SecretString::from),
            token: first(&["AWS_SESSION_TOKEN"]).map(SecretString::from),
        }
    }
}

/// Why a bucket can't be used. Holds no credential and no signed address.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// It isn't the name of a place.
    #[error("{0:?} is no place in a bucket: write s3://BUCKET or s3://BUCKET/PREFIX")]
    Place(String),
    /// Nothing says who asks.
    #[error("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set for backups in a bucket")]
    NoCredentials,
    /// Nothing says where the bucket is.
    #[error("AWS_REGION must be set for backups in a bucket")]
    NoRegion,
    /// The endpoint isn't one.
    #[error("{endpoint:?} is no endpoint of S3: {why}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing answers.
    #[error("{place} can't be reached: {why}")]
    Unreachable {
        /// The place.
        place: String,
        /// Why.
        why: String,
    },
    /// It refuses.
    #[error("{place} refuses to {what}: {code} ({status}){hint}")]
    Refused {
        /// The place.
        place: String,
        /// What was asked for.
        what: &'static str,
        /// Its word for why.
        code: String,
        /// Status of the answer.
        status: u16,
        /// What to do.
        hint: &'static str,
    },
    /// It answers something else.
    #[error("{place} doesn't answer as S3 does: {why}")]
    Answer {
        /// The place.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// Its list doesn't end.
    #[error(
        "{place} holds more than {most} objects whose names begin as those of the backups of this \
         installation do; remove some, or choose another prefix"
    )]
    Many {
        /// The place.
        place: String,
        /// How many are looked at.
        most: usize,
    },
    /// It is too large for one request.
    #[error("the backup has {0} bytes, more than the 5 GiB that can be sent at once")]
    Large(u64),
}

impl Place {
    /// Reads what follows `s3://`.
    pub(crate) fn read(text: &str) -> Result<Self, S3Error> {
        let bad = || S3Error::Place(format!("s3://{text}"));
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let named = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|byte| letters(byte) || b".-".contains(&byte));
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-=".contains(&byte))
        };
        if !named || !(prefix.is_empty() || prefix.split('/').all(plain)) {
            return Err(bad());
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bucket, prefix } = self;
        let slash = if prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{bucket}{slash}{prefix}")
    }
}

/// An encrypted backup that waits to be sent: a file without a name.
pub(crate) struct Spooled {
    file: File,
    written: Written,
}

/// Writes the backup into a file that is gone with this process.
pub(crate) fn spool(gathered: Gathered, recipients: &[Recipient]) -> Result<Spooled, BackupError> {
    let path = gathered.data_dir.clone();
    let failed = |source| BackupError::Spool { path: path.clone(), source };
    let mut file = tempfile::tempfile_in(&path).map_err(failed)?;
    let written = gathered.write(recipients, &mut file).map_err(|error| match error {
        BackupError::Write(source) => failed(source),
        other => other,
    })?;
    file.rewind().map_err(failed)?;
    Ok(Spooled { file, written })
}

/// A bucket, and who asks for it.
pub(crate) struct S3 {
    http: Client,
    bucket: Bucket,
    credentials: Credentials,
    place: Place,
}

impl S3 {
    /// Nothing is asked yet.
    pub fn new(place: &Place, settings: &S3Settings) -> Result<Self, S3Error> {
        let S3Settings { region, endpoint, key, secret, token } = settings;
        let (Some(key), Some(secret)) = (key, secret) else { return Err(S3Error::NoCredentials) };
        let secret = secret.expose_secret();
        let credentials = match token {
            Some(token) => Credentials::new_with_token(key, secret, token.expose_secret()),
            None => Credentials::new(key, secret),
        };
        let region = match (region, endpoint) {
            (Some(region), _) => region.clone(),
            // Others than AWS have none, and take this one.
            (None, Some(_)) => "us-east-1".to_owned(),
            (None, None) => return Err(S3Error::NoRegion),
        };
        let (url, style) = match endpoint {
            Some(endpoint) => (endpoint.clone(), UrlStyle::Path),
            // A dot in the name doesn't fit the certificate of AWS.
            None if place.bucket.contains('.') => {
                (format!("https://s3.{region}.amazonaws.com"), UrlStyle::Path)
            }
            None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
        };
        let wrong = |why: String| S3Error::Endpoint { endpoint: url.clone(), why };
        let parsed: Url = url.parse().map_err(|_| wrong("it is no URL".to_owned()))?;
        let bucket = Bucket::new(parsed, style, place.bucket.clone(), region)
            .map_err(|error| wrong(error.to_string()))?;
        // Several providers of TLS are linked, and the client would not know which to take.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .user_agent(concat!("hades/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(PATIENCE)
            // A signature is for one address.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| wrong(innermost(&error)))?;
        Ok(Self { http, bucket, credentials, place: place.clone() })
    }

    fn unreachable(&self, error: &reqwest::Error) -> S3Error {
        S3Error::Unreachable { place: self.place.to_string(), why: innermost(error) }
    }

    /// Sends a backup.
    pub async fn put(&self, name: &BackupName, spooled: Spooled) -> Result<Written, S3Error> {
        let Spooled { file, written } = spooled;
        if written.size > LARGEST {
            return Err(S3Error::Large(written.size));
        }
        let key = self.place.key(&name.to_string());
        // The bucket compares it with what arrives.
        let checksum = STANDARD.encode(unhex(&written.sha256));
        let mut action = self.bucket.put_object(Some(&self.credentials), &key);
        action.headers_mut().insert("x-amz-checksum-sha256", checksum.clone());
        let request = self
            .http
            .put(action.sign(EXPIRES))
            .timeout(SENDING)
            .header("content-length", written.size)
            .header("x-amz-checksum-sha256", checksum)
            .body(reqwest::Body::wrap(FileBody::new(file, written.size)));
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        self.check("take the backup", answer).await?;
        Ok(written)
    }

    /// The backups of an installation there: all of them, as a part of them has the
    /// oldest, and the newest would be missed.
    pub async fn list(&self, installation: &str) -> Result<Vec<BackupName>, S3Error> {
        let mut names = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut action = self.bucket.list_objects_v2(Some(&self.credentials));
            action.with_prefix(self.place.key(&format!("hades-{installation}-")));
            if let Some(token) = &next {
                action.with_continuation_token(token.clone());
            }
            let request = self.http.get(action.sign(EXPIRES)).timeout(PATIENCE);
            let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
            let text = self.check("list its backups", answer).await?;
            let page = ListObjectsV2::parse_response(&text).map_err(|error| S3Error::Answer {
                place: self.place.to_string(),
                why: error.to_string(),
            })?;
            for object in page.contents {
                let name = object.key.rsplit('/').next().unwrap_or_default();
                if self.place.key(name) == object.key {
                    names.extend(BackupName::read(name, installation));
                }
            }
            next = page.next_continuation_token;
            if next.is_none() {
                return Ok(names);
            }
        }
        Err(S3Error::Many { place: self.place.to_string(), most: MAX_PAGES * 1000 })
    }

    /// Removes the oldest after that one was made, so that `keep` are left. How many
    /// it were. What can't be removed is told when all others are.
    pub async fn prune(&self, made: &BackupName, keep: usize) -> Result<usize, S3Error> {
        let gone = BackupName::superfluous(self.list(&made.installation).await?, made, keep);
        let mut outcome = Ok(gone.len());
        for name in &gone {
            let removed = self.remove(name).await;
            let hopeless = matches!(removed, Err(S3Error::Unreachable { .. }));
            outcome = outcome.and_then(|count| removed.map(|()| count));
            if hopeless {
                break;
            }
        }
        outcome
    }

    async fn remove(&self, name: &BackupName) -> Result<(), S3Error> {
        let key = self.place.key(&name.to_string());
        let action = self.bucket.delete_object(Some(&self.credentials), &key);
        let request = self.http.delete(action.sign(EXPIRES)).timeout(PATIENCE);
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        self.check("remove an old backup", answer).await?;
        Ok(())
    }

    /// The body of a good answer.
    async fn check(&self, what: &'static str, mut answer: Response) -> Result<String, S3Error> {
        let status = answer.status();
        let mut bytes = Vec::new();
        while bytes.len() < MAX_ANSWER
            && let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(&error))?
        {
            bytes.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_success() {
            return Ok(text);
        }
        let code = error_code(&text);
        Err(S3Error::Refused {
            place: self.place.to_string(),
            what,
            hint: hint(&code, status),
            code,
            status: status.as_u16(),
        })
    }
}

/// `<Code>` of an error; its message may repeat what was asked with its signature.
fn error_code(text: &str) -> String {
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = code.map_or("", |(code, _)| code);
    let plain = !code.is_empty()
        && code.len() <= 64
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { code.to_owned() } else { "no reason given".to_owned() }
}

fn hint(code: &str, status: StatusCode) -> &'static str {
    match code {
        "NoSuchBucket" => "; make the bucket first",
        "AccessDenied" => "; the key needs s3:PutObject, s3:ListBucket and s3:DeleteObject there",
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
            "; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY don't fit"
        }
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "AuthorizationQueryParametersError" => {
            "; the bucket is in another region than AWS_REGION says"
        }
        "RequestTimeTooSkewed" => "; the clock of this machine is wrong",
        _ if status.is_redirection() => "; the bucket is in another region than AWS_REGION says",
        _ => "",
    }
}

/// The last of the causes: the others repeat it, and name the signed address.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        Some(_) if error.is_timeout() => "it takes too long".to_owned(),
        Some(_) => "the request failed".to_owned(),
        None => cause.to_string(),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .filter_map(|at| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok())
        .collect()
}

/// A file as the body of a request, with its length told in advance. A thread of its
/// own reads it, a little ahead.
struct FileBody {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl FileBody {
    /// The next `length` bytes of a file.
    fn new(file: File, length: u64) -> Self {
        let (sender, chunks) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || read_ahead(file, length, &sender));
        Self { chunks, left: length }
    }
}

fn read_ahead(mut file: File, mut left: u64, chunks: &mpsc::Sender<io::Result<Bytes>>) {
    while left > 0 {
        let mut buffer = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
        let read = file.read_exact(&mut buffer);
        left -= buffer.len() as u64;
        let failed = read.is_err();
        // Nobody waits any more where the request failed.
        if chunks.blocking_send(read.map(|()| Bytes::from(buffer))).is_err() || failed {
            break;
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let chunk = ready!(self.chunks.poll_recv(context));
        // The reader is gone, which it is when the server ends.
        let chunk = chunk.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
        Poll::Ready(Some(chunk.map(|chunk| {
            self.left = self.left.saturating_sub(chunk.len() as u64);
            Frame::data(chunk)
        })))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::hex;

    #[test]
    fn variables_are_those_of_the_tools_of_aws() {
        let settings = S3Settings::from_env(|name| match name {
            "AWS_DEFAULT_REGION" => Some("eu-central-1".to_owned()),
            "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:9000".to_owned()),
            "AWS_ACCESS_KEY_ID" => Some("AKIA".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("planted-value".to_owned()),
            "AWS_SESSION_TOKEN" => Some(String::new()),
            _ => None,
        });
        assert_eq!(settings.region.as_deref(), Some("eu-central-1"));
        assert!(settings.token.is_none());
        assert!(!format!("{settings:?}").contains("planted"));
        let place = Place::read("studio/hades").unwrap();
        assert!(S3::new(&place, &settings).is_ok());
        let nobody = S3Settings::default();
        assert!(matches!(S3::new(&place, &nobody), Err(S3Error::NoCredentials)));
        let nowhere = S3Settings { region: None, endpoint: None, ..settings };
        assert!(matches!(S3::new(&place, &nowhere), Err(S3Error::NoRegion)));
    }

    #[tokio::test]
    async fn a_slow_disk_holds_up_nobody_else() {
        // It has nothing to read until somebody writes.
        let (reader, mut writer) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let mut body = FileBody::new(file, CHUNK as u64 + 3);
        let mut next =
            async || std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let waited = tokio::time::timeout(Duration::from_millis(20), next()).await;
        assert!(waited.is_err(), "the thread of this test had to wait");
        let writing = std::thread::spawn(move || {
            std::io::Write::write_all(&mut writer, &vec![7; CHUNK + 2]).unwrap();
        });
        let frame = next().await.unwrap().unwrap();
        assert_eq!(frame.data_ref().unwrap().len(), CHUNK);
        // It ended before its time.
        let error = next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        writing.join().unwrap();
    }

    #[test]
    fn errors_tell_a_code_and_nothing_that_was_sent() {
        let text = "<Error><Code>AccessDenied</Code><Message>secret</Message></Error>";
        assert_eq!(error_code(text), "AccessDenied");
        assert_eq!(error_code("<html>"), "no reason given");
        assert_eq!(error_code("<Code>a\u{1b}[2J</Code>"), "no reason given");
        assert_eq!(hex(&unhex("00ff10")), "00ff10");
    }
}
