//! Discovery documents.
use serde_json::Value;
use crate::registry::ResourceInfo;
/// `GET /api`.
#[must_use]
pub fn api_versions(resources: &[ResourceInfo]) -> Value { let _ = resources; todo!() }
/// `GET /apis`.
#[must_use]
pub fn api_group_list(resources: &[ResourceInfo]) -> Value { let _ = resources; todo!() }
/// `GET /apis/{group}`; `None` where no resource has that group.
#[must_use]
pub fn api_group(resources: &[ResourceInfo], group: &str) -> Option<Value> { let _ = (resources, group); todo!() }
/// `GET /api/v1` (empty group) and `/apis/{group}/{version}`.
#[must_use]
pub fn api_resource_list(resources: &[ResourceInfo], group: &str, version: &str) -> Option<Value> { let _ = (resources, group, version); todo!() }
/// Version of the aggregated discovery document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregatedVersion { 
    /// `v2`
    V2, 
    /// `v2beta1`
    V2Beta1 }
impl AggregatedVersion {
    /// The Content-Type of the reply.
    #[must_use]
    pub fn content_type(self) -> &'static str { todo!() }
}
/// Which half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryRoot { 
    /// `/api`
    Api, 
    /// `/apis`
    Apis }
/// APIGroupDiscoveryList.
#[must_use]
pub fn aggregated(resources: &[ResourceInfo], root: DiscoveryRoot, version: AggregatedVersion) -> Value { let _ = (resources, root, version); todo!() }
