//! Media types: what a client wants back, and what its body holds.

mod body;

use super::discovery::AggregatedVersion;
use super::status::StatusError;

pub use body::{DecodedBody, decode_body, decode_body_strict};

/// What the client wants back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseForm {
    /// Plain JSON.
    Json,
    /// Plain YAML.
    Yaml,
    /// `as=Table`.
    Table(MetaVersion),
    /// `as=PartialObjectMetadata`.
    PartialObjectMetadata(MetaVersion),
    /// `as=PartialObjectMetadataList`.
    PartialObjectMetadataList(MetaVersion),
}

/// The versions of `meta.k8s.io`; they differ in nothing but their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaVersion {
    /// What every client of today asks for.
    V1,
    /// What clients from before 2019 ask for.
    V1Beta1,
}

impl MetaVersion {
    fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("v1") => Some(Self::V1),
            Some("v1beta1") => Some(Self::V1Beta1),
            Some(_) => None,
        }
    }

    /// `apiVersion` of the objects.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// Encoding of a body that holds an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyForm {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// Kind of a PATCH body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchForm {
    /// `application/json-patch+json`, RFC 6902.
    Json,
    /// `application/merge-patch+json`, RFC 7396.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
    /// `application/apply-patch+yaml`, server-side apply.
    Apply,
}

const OFFERED: &[&str] = &["application/json", "application/yaml"];

const BODIES: &[&str] =
    &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// One media range of an Accept header.
struct Range<'a> {
    media_type: String,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters = parts
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
            .collect();
        Self { media_type, parameters }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(one, _)| one.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    fn is_refused(&self) -> bool {
        self.parameter("q")
            .and_then(|weight| weight.parse::<f32>().ok())
            .is_some_and(|weight| weight <= 0.0)
    }

    fn form(&self) -> Option<ResponseForm> {
        let plain = match self.media_type.as_str() {
            "application/json" | "application/*" | "*/*" => ResponseForm::Json,
            "application/yaml" | "text/yaml" => return Some(ResponseForm::Yaml),
            _ => return None,
        };
        let Some(kind) = self.parameter("as") else {
            return Some(plain);
        };
        if self.parameter("g").is_some_and(|group| group != "meta.k8s.io") {
            return None;
        }
        let version = MetaVersion::parse(self.parameter("v"))?;
        match kind {
            "Table" => Some(ResponseForm::Table(version)),
            "PartialObjectMetadata" => Some(ResponseForm::PartialObjectMetadata(version)),
            "PartialObjectMetadataList" => Some(ResponseForm::PartialObjectMetadataList(version)),
            _ => None,
        }
    }
}

fn ranges(accept: &str) -> impl Iterator<Item = Range<'_>> {
    accept
        .split(',')
        .filter(|range| !range.trim().is_empty())
        .map(Range::parse)
        .filter(|range| !range.is_refused())
}

/// The first form of an Accept header that the server can answer; protobuf is
/// passed over, clients name JSON after it.
///
/// # Errors
/// 406 when there is none.
pub fn negotiate(accept: Option<&str>) -> Result<ResponseForm, StatusError> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return Ok(ResponseForm::Json);
    };
    ranges(accept)
        .find_map(|range| range.form())
        .ok_or_else(|| StatusError::not_acceptable(OFFERED))
}

/// Which aggregated discovery document the client prefers; `None` where it wants
/// the plain ones.
#[must_use]
pub fn aggregated_discovery(accept: Option<&str>) -> Option<AggregatedVersion> {
    for range in ranges(accept?) {
        if range.media_type != "application/json" {
            continue;
        }
        match (range.parameter("as"), range.parameter("v")) {
            (None, _) => return None,
            (Some("APIGroupDiscoveryList"), Some("v2")) => return Some(AggregatedVersion::V2),
            (Some("APIGroupDiscoveryList"), Some("v2beta1")) => {
                return Some(AggregatedVersion::V2Beta1);
            }
            _ => {}
        }
    }
    None
}

/// The form of a POST, PUT or DELETE body; JSON where the header is absent.
///
/// # Errors
/// 415 for media types that the server doesn't read.
pub fn body_form(content_type: Option<&str>) -> Result<BodyForm, StatusError> {
    match media_type(content_type).as_deref() {
        None | Some("application/json") => Ok(BodyForm::Json),
        Some("application/yaml" | "application/x-yaml" | "text/yaml") => Ok(BodyForm::Yaml),
        Some("application/vnd.kubernetes.protobuf") => Ok(BodyForm::Protobuf),
        Some(_) => Err(StatusError::unsupported_media_type(BODIES)),
    }
}

/// The form of a PATCH body.
///
/// # Errors
/// 415 for media types that are no patch, `application/json` among them.
pub fn patch_form(content_type: Option<&str>) -> Result<PatchForm, StatusError> {
    match media_type(content_type).as_deref() {
        Some("application/json-patch+json") => Ok(PatchForm::Json),
        Some("application/merge-patch+json") => Ok(PatchForm::Merge),
        Some("application/strategic-merge-patch+json") => Ok(PatchForm::Strategic),
        Some("application/apply-patch+yaml" | "application/apply-patch+json") => {
            Ok(PatchForm::Apply)
        }
        _ => Err(StatusError::unsupported_media_type(PATCHES)),
    }
}

fn media_type(content_type: Option<&str>) -> Option<String> {
    let text = content_type?.split(';').next()?.trim();
    (!text.is_empty()).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
