//! Media types.
use serde_json::Value;
use super::discovery::AggregatedVersion;
use super::status::StatusError;
/// What the client wants back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseForm { 
    /// Plain JSON.
    Json, 
    /// YAML.
    Yaml, 
    /// `as=Table`
    Table, 
    /// `as=PartialObjectMetadata`
    PartialObjectMetadata, 
    /// `as=PartialObjectMetadataList`
    PartialObjectMetadataList }
/// Picks the first form of an Accept header that the server can answer.
pub fn negotiate(accept: Option<&str>) -> Result<ResponseForm, StatusError> { let _ = accept; todo!() }
/// Which aggregated discovery is accepted, if any.
#[must_use]
pub fn aggregated_discovery(accept: Option<&str>) -> Option<AggregatedVersion> { let _ = accept; todo!() }
/// Encoding of a body that holds an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyForm { 
    /// JSON
    Json, 
    /// YAML
    Yaml, 
    /// protobuf
    Protobuf }
/// Kind of a PATCH body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchForm { 
    /// RFC 6902
    Json, 
    /// RFC 7396
    Merge, 
    /// strategic
    Strategic, 
    /// server-side apply
    Apply }
/// The form of a POST or PUT body; JSON where the header is absent.
pub fn body_form(content_type: Option<&str>) -> Result<BodyForm, StatusError> { let _ = content_type; todo!() }
/// The form of a PATCH body.
pub fn patch_form(content_type: Option<&str>) -> Result<PatchForm, StatusError> { let _ = content_type; todo!() }
/// Reads a body as an object; an empty body is `Value::Null`.
pub fn decode_body(form: BodyForm, body: &[u8]) -> Result<Value, StatusError> { let _ = (form, body); todo!() }
/// A body with the duplicate keys that strict field validation reports.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedBody { 
    /// The object.
    pub value: Value, 
    /// Paths of keys that occur twice, such as `spec.image`.
    pub duplicates: Vec<String> }
/// Like [`decode_body`], and reports duplicate keys of a JSON body.
pub fn decode_body_strict(form: BodyForm, body: &[u8]) -> Result<DecodedBody, StatusError> { let _ = (form, body); todo!() }
