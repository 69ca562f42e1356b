//! The `status` of a definition: which names it got, whether it is served and
//! in which versions its objects may lie.

use serde::Deserialize;
use serde_json::{Value, json};

use super::names::{Conflict, Taken, accept};
use super::spec::{Names, Spec};

/// What a status is computed from besides the definition.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// The names of the other definitions of the group.
    pub taken: &'a Taken,
    /// Why the schemas can't be used, where they can't.
    pub violation: Option<&'a str>,
    /// The time of a condition that changes, RFC 3339.
    pub now: &'a str,
}

/// Whether a condition of the definition is true.
pub(crate) fn is_true(definition: &Value, kind: &str) -> bool {
    condition(definition, kind).is_some_and(|condition| condition["status"] == "True")
}

fn condition<'a>(definition: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = definition["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// The names that the definition holds.
pub(crate) fn accepted_names(definition: &Value) -> Names {
    Names::deserialize(&definition["status"]["acceptedNames"]).unwrap_or_default()
}

/// `status.storedVersions`.
pub(crate) fn stored_versions(definition: &Value) -> Vec<String> {
    let versions = definition["status"]["storedVersions"].as_array();
    let versions = versions.map(Vec::as_slice).unwrap_or_default();
    versions.iter().filter_map(|version| version.as_str().map(str::to_owned)).collect()
}

/// The status of `definition`, whose own status is the one it had.
pub(crate) fn status(definition: &Value, spec: &Spec, around: &Surroundings<'_>) -> Value {
    let (names, conflict) = accept(&spec.names, &accepted_names(definition), around.taken);
    let conditions = Conditions { definition, now: around.now };
    let mut list = conditions.others();
    list.push(conditions.names_accepted(conflict.as_ref()));
    list.push(conditions.established(conflict.is_none()));
    if let Some(violation) = around.violation {
        list.push(conditions.make("NonStructuralSchema", true, "Violations", violation));
    }
    if definition["metadata"]["deletionTimestamp"].is_string() {
        list.push(conditions.terminating());
    }
    let mut stored = stored_versions(definition);
    if let Some(version) = spec.storage_version()
        && !stored.contains(&version.name)
    {
        stored.push(version.name.clone());
    }
    json!({"acceptedNames": names, "conditions": list, "storedVersions": stored})
}

struct Conditions<'a> {
    definition: &'a Value,
    now: &'a str,
}

/// The conditions that this server decides on.
const OWN: [&str; 4] = ["NamesAccepted", "Established", "NonStructuralSchema", "Terminating"];

impl Conditions<'_> {
    /// What somebody else wrote.
    fn others(&self) -> Vec<Value> {
        let conditions = self.definition["status"]["conditions"].as_array();
        let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
        let own = |condition: &Value| OWN.iter().any(|own| condition["type"] == *own);
        conditions.iter().filter(|condition| !own(condition)).cloned().collect()
    }

    /// A condition, with the time of its last change kept while it is the same.
    fn make(&self, kind: &str, holds: bool, reason: &str, message: &str) -> Value {
        let status = if holds { "True" } else { "False" };
        let before = condition(self.definition, kind);
        let since = before
            .filter(|before| before["status"] == status)
            .and_then(|before| before["lastTransitionTime"].as_str())
            .unwrap_or(self.now);
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since,
        })
    }

    fn names_accepted(&self, conflict: Option<&Conflict>) -> Value {
        match conflict {
            None => self.make("NamesAccepted", true, "NoConflicts", "no conflicts found"),
            Some(conflict) => self.make("NamesAccepted", false, conflict.reason, &conflict.message),
        }
    }

    /// Who was established stays so: a later conflict only keeps new names away.
    fn established(&self, accepted: bool) -> Value {
        if accepted || is_true(self.definition, "Established") {
            let message = "the initial names have been accepted";
            self.make("Established", true, "InitialNamesAccepted", message)
        } else {
            self.make("Established", false, "NotAccepted", "not all names are accepted")
        }
    }

    fn terminating(&self) -> Value {
        match condition(self.definition, "Terminating") {
            Some(condition) if condition["status"] == "True" => condition.clone(),
            _ => self.make("Terminating", true, "InstanceDeletionPending", DELETION_PENDING),
        }
    }
}

const DELETION_PENDING: &str = "CustomResourceDefinition marked for deletion; CustomResource \
                                deletion will begin soon";

/// Says in the condition `Terminating` what the deletion waits for. Answers
/// whether that changed.
pub(crate) fn deletion_waits(definition: &mut Value, left: usize, now: &str) -> bool {
    let message = format!(
        "CustomResource deletion is in progress: {left} objects are left, which wait for their \
         finalizers"
    );
    let wanted = Conditions { definition, now }.make(
        "Terminating",
        true,
        "InstanceDeletionInProgress",
        &message,
    );
    let conditions = definition.pointer_mut("/status/conditions");
    let Some(conditions) = conditions.and_then(Value::as_array_mut) else {
        return false;
    };
    match conditions.iter_mut().find(|condition| condition["type"] == "Terminating") {
        Some(condition) if *condition == wanted => false,
        Some(condition) => {
            *condition = wanted;
            true
        }
        None => {
            conditions.push(wanted);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Value {
        json!({"metadata": {"name": "barns.farm.example"}, "spec": {
        "group": "farm.example", "scope": "Cluster",
        "names": {"plural": "barns", "singular": "barn", "kind": "Barn", "listKind": "BarnList"},
        "versions": [
            {"name": "v2", "served": true, "storage": true},
            {"name": "v1", "served": true, "storage": false},
        ]}})
    }

    fn computed(definition: &Value, taken: &Taken, now: &str) -> Value {
        let spec = Spec::read(definition).unwrap();
        status(definition, &spec, &Surroundings { taken, violation: None, now })
    }

    #[test]
    fn a_new_definition_is_established_and_stays_so() {
        let mut definition = definition();
        definition["status"] = computed(&definition, &Taken::default(), "t1");
        assert!(is_true(&definition, "NamesAccepted") && is_true(&definition, "Established"));
        assert_eq!(definition["status"]["storedVersions"], json!(["v2"]));
        let again = computed(&definition, &Taken::default(), "t2");
        assert_eq!(again, definition["status"], "nothing changes, times included");
        definition["spec"]["names"]["shortNames"] = json!(["b"]);
        let mut taken = Taken::default();
        taken.add(&Names { short_names: vec!["b".to_owned()], ..Names::default() });
        definition["status"] = computed(&definition, &taken, "t2");
        assert!(!is_true(&definition, "NamesAccepted") && is_true(&definition, "Established"));
        assert!(accepted_names(&definition).short_names.is_empty());
    }

    #[test]
    fn a_conflict_goes_when_the_other_goes() {
        let mut definition = definition();
        let mut taken = Taken::default();
        taken.add(&Names { kind: "Barn".to_owned(), ..Names::default() });
        definition["status"] = computed(&definition, &taken, "t1");
        assert!(!is_true(&definition, "Established"));
        let conditions = definition["status"]["conditions"].as_array().unwrap();
        assert_eq!(conditions[0]["reason"], "KindConflict");
        definition["status"] = computed(&definition, &Taken::default(), "t2");
        assert!(is_true(&definition, "Established"));
        assert_eq!(definition["status"]["conditions"][1]["lastTransitionTime"], "t2");
    }

    #[test]
    fn stored_versions_gather_and_foreign_conditions_stay() {
        let mut definition = definition();
        definition["status"] = json!({
            "storedVersions": ["v1"],
            "conditions": [{"type": "Reviewed", "status": "True"}],
        });
        let status = computed(&definition, &Taken::default(), "t");
        assert_eq!(status["storedVersions"], json!(["v1", "v2"]));
        assert_eq!(status["conditions"][0]["type"], "Reviewed");
    }

    #[test]
    fn a_deletion_says_what_it_waits_for() {
        let mut definition = definition();
        definition["metadata"]["deletionTimestamp"] = json!("t");
        definition["status"] = computed(&definition, &Taken::default(), "t");
        assert!(is_true(&definition, "Terminating"));
        assert!(deletion_waits(&mut definition, 3, "t"));
        assert!(!deletion_waits(&mut definition, 3, "t"));
        let status = computed(&definition, &Taken::default(), "t");
        assert_eq!(status, definition["status"], "the last word on it stays");
    }
}
