//! Objects that must be there from the first start on.
//!
//! Roles and bindings are looked through at every start, as Kubernetes does with
//! those that it begins with: what they lack is put back, what people added stays.

use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::Value;

use crate::authn::Identity;
use crate::authz::bootstrap::AUTOUPDATE;
use crate::authz::{Rule, missing};
use crate::registry::Resource;
use crate::server::{MANAGER, OpenError, first_object};
use crate::state::State;
use crate::store::Key;
use crate::wire::status::StatusError;
use crate::write::{
    self, Call, DeleteOptions, WriteOptions, delete_key, fill_in_rights, from_bytes, is_of_rights,
    text,
};

/// Makes what is absent and completes what is incomplete, those of the cluster
/// first: namespaces are among them.
///
/// # Errors
/// Where one of them can't be written, with its name.
pub(crate) async fn reconcile(state: &State, objects: &[Value]) -> Result<(), OpenError> {
    let (of_cluster, others): (Vec<&Value>, Vec<&Value>) =
        objects.iter().partition(|object| text(object, "namespace").is_empty());
    for objects in [of_cluster, others] {
        // Together, so that the store commits them together.
        try_join_all(objects.into_iter().map(|object| async move {
            let kind = object["kind"].as_str().unwrap_or("?");
            let what = || format!("{kind} {:?}", text(object, "name"));
            one(state, object).await.map_err(|error| first_object(what(), error))
        }))
        .await?;
    }
    Ok(())
}

async fn one(state: &State, wanted: &Value) -> Result<(), StatusError> {
    let field = |name: &str| wanted[name].as_str().unwrap_or_default();
    let registry = state.registry();
    let resource = registry
        .find_kind(field("apiVersion"), field("kind"))
        .ok_or_else(|| StatusError::bad_request("its kind is not served"))?;
    let (namespace, name) = (text(wanted, "namespace"), text(wanted, "name"));
    let key = Key::new(&resource.storage, namespace, name);
    let options = WriteOptions { manager: MANAGER.to_owned(), ..WriteOptions::default() };
    let call = Call {
        state,
        resource,
        namespace: Some(namespace).filter(|namespace| !namespace.is_empty()),
        caller: &Identity::server(),
        options: &options,
    };
    let Some(row) = state.store.get(&key)? else {
        return write::create(call, wanted.clone(), &[]).await.map(|_| ());
    };
    if !is_of_rights(resource) {
        return Ok(());
    }
    let mut wanted = wanted.clone();
    fill_in_rights(resource, &mut wanted);
    let found = from_bytes(&row.object)?;
    match completed(resource, &found, &wanted) {
        Completed::Whole => Ok(()),
        Completed::Lacking(object) => {
            write::replace(call, name, None, object, &[]).await.map(|_| ())
        }
        Completed::OfAnotherRole => {
            delete_key(state, resource, &key, &DeleteOptions::default()).await?;
            write::create(call, wanted, &[]).await.map(|_| ())
        }
    }
}

/// What a stored role or binding needs.
#[derive(Debug, PartialEq)]
enum Completed {
    Whole,
    /// With all that was missing.
    Lacking(Value),
    /// A binding can't be changed to another role.
    OfAnotherRole,
}

fn completed(resource: &Resource, found: &Value, wanted: &Value) -> Completed {
    if found["metadata"]["annotations"][AUTOUPDATE] == "false" {
        return Completed::Whole;
    }
    if found["roleRef"] != wanted["roleRef"] {
        return Completed::OfAnotherRole;
    }
    let mut object = found.clone();
    for field in ["labels", "annotations"] {
        add_members(&mut object["metadata"], field, &wanted["metadata"][field]);
    }
    if resource.info.kind.ends_with("Binding") {
        add_items(&mut object, "subjects", &wanted["subjects"]);
    } else {
        let rules = |object: &Value| Vec::<Rule>::deserialize(&object["rules"]).unwrap_or_default();
        let held = rules(found);
        let lacking: Value = rules(wanted)
            .into_iter()
            .filter(|rule| !missing(&held, std::slice::from_ref(rule)).is_empty())
            .filter_map(|rule| serde_json::to_value(rule).ok())
            .collect();
        add_items(&mut object, "rules", &lacking);
        let selectors = &wanted["aggregationRule"]["clusterRoleSelectors"];
        if selectors.is_array() {
            add_items(&mut object["aggregationRule"], "clusterRoleSelectors", selectors);
        }
    }
    if object == *found { Completed::Whole } else { Completed::Lacking(object) }
}

/// Adds members that are not there; those that are stay as they are.
fn add_members(object: &mut Value, field: &str, wanted: &Value) {
    for (name, value) in wanted.as_object().into_iter().flatten() {
        if object[field][name].is_null() {
            object[field][name] = value.clone();
        }
    }
}

/// Adds items that are not there.
fn add_items(object: &mut Value, field: &str, wanted: &Value) {
    for one in wanted.as_array().into_iter().flatten() {
        let list = &mut object[field];
        if list.is_null() {
            *list = Value::Array(Vec::new());
        }
        if let Some(list) = list.as_array_mut()
            && !list.contains(one)
        {
            list.push(one.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::Registry;

    fn completed(plural: &str, found: Value, wanted: Value) -> Completed {
        let registry = Registry::builtin();
        let resource = registry.find("rbac.authorization.k8s.io", "v1", plural).unwrap();
        super::completed(resource, &found, &wanted)
    }

    fn role(rules: Value) -> Value {
        json!({"metadata": {"name": "r", "labels": {"a": "b"}}, "rules": rules})
    }

    #[test]
    fn what_a_role_lacks_is_put_back_and_what_was_added_stays() {
        let read = json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets"]});
        let more = json!({"verbs": ["*"], "apiGroups": [""], "resources": ["*"]});
        let other = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        let wanted = role(json!([read]));
        for whole in [json!([read]), json!([more]), json!([other, read])] {
            assert_eq!(completed("clusterroles", role(whole), wanted.clone()), Completed::Whole);
        }
        let expected = Completed::Lacking(role(json!([other, read])));
        assert_eq!(completed("clusterroles", role(json!([other])), wanted.clone()), expected);
        let mut bare = role(json!([read]));
        bare["metadata"]["labels"] = json!({"a": "mine"});
        assert_eq!(completed("clusterroles", bare.clone(), wanted.clone()), Completed::Whole);
        bare["metadata"] = json!({"name": "r"});
        let expected = Completed::Lacking(wanted.clone());
        assert_eq!(completed("clusterroles", bare, wanted.clone()), expected);
        let mut left = role(json!([]));
        left["metadata"]["annotations"] = json!({AUTOUPDATE: "false"});
        assert_eq!(completed("clusterroles", left, wanted), Completed::Whole, "left alone");
    }

    #[test]
    fn a_binding_gets_its_subjects_back_and_is_made_anew_for_another_role() {
        let binding = |role: &str, subjects: Value| json!({"metadata": {"name": "b"}, "roleRef": {"name": role}, "subjects": subjects});
        let (alice, bob) = (json!({"name": "alice"}), json!({"name": "bob"}));
        let wanted = binding("r", json!([alice]));
        let found = binding("r", json!([bob]));
        let expected = Completed::Lacking(binding("r", json!([bob, alice])));
        assert_eq!(completed("clusterrolebindings", found, wanted.clone()), expected);
        let found = json!({"metadata": {"name": "b"}, "roleRef": {"name": "r"}});
        let expected = Completed::Lacking(wanted.clone());
        assert_eq!(completed("clusterrolebindings", found, wanted.clone()), expected);
        let found = binding("other", json!([alice]));
        let expected = Completed::OfAnotherRole;
        assert_eq!(completed("clusterrolebindings", found, wanted), expected);
    }
}
