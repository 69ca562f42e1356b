//! OpenAPI v3.
use serde_json::Value;
use crate::registry::ResourceInfo;
/// `GET /openapi/v3`.
#[must_use]
pub fn index(resources: &[ResourceInfo]) -> Value { let _ = resources; todo!() }
/// `GET /openapi/v3/api/v1`, `/openapi/v3/apis/{group}/{version}`; `None` where nothing is served there.
#[must_use]
pub fn document(resources: &[ResourceInfo], group: &str, version: &str) -> Option<Value> { let _ = (resources, group, version); todo!() }
/// Content hash of a document, for `?hash=` and `ETag`.
#[must_use]
pub fn hash(document: &Value) -> String { let _ = document; todo!() }
/// The body of `GET /openapi/v2`.
pub const V2_STUB: &[u8] = b"\x0a\x032.0";
/// Its Content-Type.
pub const V2_CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The schema of a built-in kind, `None` for kinds that the server does not know.
#[must_use]
pub fn builtin_schema(group: &str, kind: &str) -> Option<Value> { let _ = (group, kind); todo!() }
