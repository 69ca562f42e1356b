//! What a CRD's schema can't say about Hades's own kinds, as a validating
//! webhook would: the spec must be readable as its type.

use hades_api::{
    ConfigRepositorySpec, DockerHostSpec, EnvironmentSpec, EnvironmentTemplateSpec, GROUP,
    GitAccountSpec, HadesProjectSpec, RegistryAccountSpec, UserSpec,
};
use hades_apiserver::{Admission, Cause, CauseReason, Validator};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Checks the kinds of group `hades.dev`.
pub(crate) struct Typed;

impl Validator for Typed {
    fn validate(&self, admission: &Admission<'_>) -> Vec<Cause> {
        if admission.kind.group != GROUP {
            return Vec::new();
        }
        let Some(spec) = admission.object.get("spec") else { return Vec::new() };
        mistyped(&admission.kind.kind, spec).into_iter().collect()
    }
}

fn mistyped(kind: &str, spec: &Value) -> Option<Cause> {
    match kind {
        "Environment" => readable::<EnvironmentSpec>(spec),
        "EnvironmentTemplate" => readable::<EnvironmentTemplateSpec>(spec),
        "DockerHost" => readable::<DockerHostSpec>(spec),
        "ConfigRepository" => readable::<ConfigRepositorySpec>(spec),
        "GitAccount" => readable::<GitAccountSpec>(spec),
        "HadesProject" => readable::<HadesProjectSpec>(spec),
        "RegistryAccount" => readable::<RegistryAccountSpec>(spec),
        "User" => readable::<UserSpec>(spec),
        _ => None,
    }
}

fn readable<Spec: DeserializeOwned>(spec: &Value) -> Option<Cause> {
    let error = serde_path_to_error::deserialize::<_, Spec>(spec).err()?;
    let path = error.path().to_string();
    let field = if path == "." { "spec".to_owned() } else { format!("spec.{path}") };
    Some(Cause {
        message: format!("{field}: Invalid value: {}", error.into_inner()),
        field,
        reason: CauseReason::FieldValueInvalid,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: Value) -> Vec<Cause> {
        mistyped("Environment", &spec).into_iter().collect()
    }

    #[test]
    fn unions_are_checked_with_their_path() {
        assert!(check(json!({"env": {"A": 1, "B": true, "C": "x"}})).is_empty());
        let causes = check(json!({"services": {"web": {"env": {"A": [1]}}}}));
        assert_eq!(causes[0].field, "spec.services.web.env.A");
        assert!(causes[0].message.contains("a list"), "{}", causes[0].message);
        let causes = check(json!({"services": {"web": {"ports": ["99999:80"]}}}));
        assert_eq!(causes[0].field, "spec.services.web.ports[0]");
    }
}
