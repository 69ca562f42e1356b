//! Questions about rights and identities that clients ask by creating an object.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::TokenReviewSpec;
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReviewSpec,
    SelfSubjectRulesReviewSpec, SubjectAccessReviewSpec,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::admission::{Cause, CauseReason};
use crate::authn::Identity;
use crate::authn::service_account::ISSUER;
use crate::authz::{Attributes, Rights, Rule, Target};
use crate::registry::{Resource, Review};
use crate::state::State;
use crate::wire::status::StatusError;
use crate::write::{check_type, drop_nulls};

/// A question with all that its answer depends on, besides its body.
pub(super) struct Question<'a> {
    pub resource: &'a Resource,
    pub review: Review,
    pub caller: &'a Identity,
    pub state: &'a State,
    /// The namespace of the path.
    pub namespace: Option<&'a str>,
    /// When it is asked.
    pub now: String,
}

impl Question<'_> {
    /// The review with its answer.
    ///
    /// # Errors
    /// 400 and 422 where the body asks nothing that can be answered.
    pub fn answer(&self, body: Value) -> Result<Value, StatusError> {
        let mut object = body;
        if object.is_null() {
            object = Value::Object(Map::new());
        }
        check_type(self.resource, &mut object)?;
        self.check_metadata(&object)?;
        drop_nulls(&mut object);
        let spec = object["spec"].clone();
        let status = match self.review {
            Review::Access => {
                let spec: SelfSubjectAccessReviewSpec = read(&spec)?;
                let SelfSubjectAccessReviewSpec { resource_attributes, non_resource_attributes } =
                    spec;
                let asked = (resource_attributes, non_resource_attributes);
                self.exactly_one(&asked)?;
                access(&self.state.rights, self.caller, &asked)
            }
            Review::SubjectAccess | Review::LocalAccess => self.about_somebody(read(&spec)?)?,
            Review::Rules => {
                let spec: SelfSubjectRulesReviewSpec = read(&spec)?;
                if spec.namespace.as_deref().unwrap_or_default().is_empty() {
                    return Err(StatusError::bad_request("no namespace on request"));
                }
                rules(&self.state.rights, self.caller, &spec.namespace.unwrap_or_default())
            }
            Review::Subject => json!({"userInfo": user_info(self.caller)}),
            Review::Token => self.token(read(&spec)?)?,
        };
        if self.review == Review::Subject {
            object["metadata"] = json!({"creationTimestamp": self.now});
        }
        if !object["metadata"].is_object() {
            object["metadata"] = json!({"creationTimestamp": null});
        }
        object["status"] = status;
        Ok(object)
    }

    fn invalid(&self, field: &str, value: &Value, message: &str) -> StatusError {
        let cause = Cause::new(
            field,
            CauseReason::FieldValueInvalid,
            format!("Invalid value: {value}: {message}"),
        );
        let info = &self.resource.info;
        StatusError::invalid(&info.group, &info.kind, "", vec![cause])
    }

    /// A question has no name; that of one namespace has the namespace.
    fn check_metadata(&self, object: &Value) -> Result<(), StatusError> {
        let rights =
            matches!(self.review, Review::Access | Review::SubjectAccess | Review::LocalAccess);
        let Some(metadata) = object["metadata"].as_object().filter(|_| rights) else {
            return Ok(());
        };
        let given = |name: &str, value: &Value| {
            let ignored = matches!(name, "managedFields" | "creationTimestamp")
                || (name == "namespace" && self.review == Review::LocalAccess);
            let empty = value.is_null()
                || value.as_str() == Some("")
                || value.as_object().is_some_and(Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty);
            !ignored && !empty
        };
        if metadata.iter().any(|(name, value)| given(name, value)) {
            return Err(self.invalid("metadata", &object["metadata"], "must be empty"));
        }
        Ok(())
    }

    fn exactly_one(&self, asked: &Asked) -> Result<(), StatusError> {
        match asked {
            (Some(_), Some(path)) => Err(self.invalid(
                "spec.nonResourceAttributes",
                &serde_json::to_value(path).unwrap_or_default(),
                "cannot be specified in combination with resourceAttributes",
            )),
            (None, None) => Err(self.invalid(
                "spec.resourceAttributes",
                &Value::Null,
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            )),
            _ => Ok(()),
        }
    }

    fn about_somebody(&self, spec: SubjectAccessReviewSpec) -> Result<Value, StatusError> {
        let SubjectAccessReviewSpec {
            resource_attributes,
            non_resource_attributes,
            user,
            groups,
            uid,
            extra,
        } = spec;
        let asked = (resource_attributes, non_resource_attributes);
        self.exactly_one(&asked)?;
        let (user, groups) = (user.unwrap_or_default(), groups.unwrap_or_default());
        if user.is_empty() && groups.is_empty() {
            let message = "at least one of user or group must be specified";
            return Err(self.invalid("spec.user", &Value::from(user), message));
        }
        if self.review == Review::LocalAccess {
            let Some(attributes) = &asked.0 else {
                let message = "disallowed on this kind of request";
                return Err(self.invalid("spec.nonResourceAttributes", &Value::Null, message));
            };
            let path = self.namespace.unwrap_or_default();
            if attributes.namespace.as_deref() != Some(path) {
                return Err(StatusError::bad_request(format!(
                    "spec.resourceAttributes.namespace must match namespace: {path}"
                )));
            }
        }
        let somebody = Identity::of_user(user, groups).known_as(uid, extra.unwrap_or_default());
        Ok(access(&self.state.rights, &somebody, &asked))
    }

    fn token(&self, spec: TokenReviewSpec) -> Result<Value, StatusError> {
        let TokenReviewSpec { token, audiences } = spec;
        if token.is_empty() {
            return Err(StatusError::bad_request(
                "token is required for TokenReview in authentication",
            ));
        }
        let asked = audiences.unwrap_or_default();
        let own = [ISSUER.to_owned()];
        let meant = if asked.is_empty() { &own[..] } else { &asked };
        let found = self.state.service_accounts.verify(&token, meant).or_else(|| {
            // All other tokens are for this server alone. A limited one is good for
            // less than who has it, which an answer of this form can't tell.
            let is_meant = meant.contains(&own[0]);
            let identity = is_meant.then(|| self.state.identify(&token)).flatten();
            let identity = identity.filter(|identity| identity.scope.is_none());
            identity.map(|identity| (identity, own.to_vec()))
        });
        Ok(match found {
            Some((identity, audiences)) => {
                let mut status = json!({"authenticated": true, "user": user_info(&identity)});
                if !asked.is_empty() {
                    status["audiences"] = Value::from(audiences);
                }
                status
            }
            None => json!({"user": {}, "error": "the token is not known"}),
        })
    }
}

type Asked = (Option<ResourceAttributes>, Option<NonResourceAttributes>);

fn read<T: DeserializeOwned + Default>(spec: &Value) -> Result<T, StatusError> {
    if spec.is_null() {
        return Ok(T::default());
    }
    T::deserialize(spec).map_err(|problem| StatusError::bad_request(format!("spec: {problem}")))
}

/// Whether somebody may do what is asked, as `status`.
fn access(rights: &Rights, somebody: &Identity, asked: &Asked) -> Value {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let decision = match asked {
        (Some(resource), _) => {
            let ResourceAttributes { group, name, namespace, resource, subresource, verb, .. } =
                resource;
            let [group, name, namespace, resource, subresource, verb] =
                [group, name, namespace, resource, subresource, verb].map(text);
            let target = Target::Resource {
                group: &group,
                resource: &resource,
                subresource: &subresource,
                namespace: &namespace,
                name: &name,
            };
            rights.decide(somebody, &Attributes { verb: &verb, target })
        }
        (None, Some(NonResourceAttributes { path, verb })) => {
            let [path, verb] = [path, verb].map(text);
            rights.decide(somebody, &Attributes { verb: &verb, target: Target::Path(&path) })
        }
        (None, None) => return json!({"allowed": false}),
    };
    let mut status = json!({"allowed": decision.is_allowed()});
    let reason = decision.reason();
    if !reason.is_empty() {
        status["reason"] = Value::from(reason);
    }
    status
}

/// Everything that somebody may do in a namespace, as `status`.
fn rules(rights: &Rights, somebody: &Identity, namespace: &str) -> Value {
    let (rules, absent) = rights.rules_for(somebody, namespace);
    let (paths, resources): (Vec<_>, Vec<_>) = rules.into_iter().partition(Rule::is_of_paths);
    let mut status =
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false});
    if !absent.is_empty() {
        status["incomplete"] = Value::from(true);
        status["evaluationError"] = Value::from(absent.join(", "));
    }
    status
}

fn user_info(identity: &Identity) -> Value {
    let Identity { name, groups, uid, extra, .. } = identity;
    let mut info = json!({"username": name, "groups": groups});
    if let Some(uid) = uid {
        info["uid"] = Value::from(uid.as_str());
    }
    let extra: &BTreeMap<String, Vec<String>> = extra;
    if !extra.is_empty() {
        info["extra"] = json!(extra);
    }
    info
}
