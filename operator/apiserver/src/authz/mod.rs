//! Who may do what.
//!
//! Every request passes [`decide`], and the review kinds answer by it, so that
//! what `kubectl auth can-i` says is what happens. Rights of single users aren't
//! kept yet: members of `system:masters` may do everything, everybody else who is
//! logged in may only look at what is served and ask about himself.

use serde_json::{Value, json};

use crate::authn::{ADMINISTRATORS, AUTHENTICATED, Identity};
use crate::wire::status::StatusError;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes<'a> {
    /// `get`, `list`, `create`, …; the HTTP method in small letters for a path.
    pub verb: &'a str,
    pub target: Target<'a>,
}

/// What it would be done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// Objects. Empty texts stand for all.
    Resource {
        group: &'a str,
        resource: &'a str,
        subresource: &'a str,
        namespace: &'a str,
        name: &'a str,
    },
    /// A path that names no resource.
    Path(&'a str),
}

/// Whether it may be done, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed(&'static str),
    Refused(&'static str),
}

impl Decision {
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    pub fn reason(self) -> &'static str {
        match self {
            Self::Allowed(reason) | Self::Refused(reason) => reason,
        }
    }
}

const OF_ADMINISTRATORS: &str = "administrators may do everything";
const OF_EVERYBODY: &str = "everybody who is logged in may do this";
const OUT_OF_SCOPE: &str = "the token is limited to other projects or verbs";
const NO_RIGHTS: &str = "rights of single users are not kept yet: only members of the group \
                         system:masters may do this";

/// Paths that tell what is served, as a review lists them: [`is_discovery`] in
/// the form of rules.
const DISCOVERY: [&str; 7] =
    ["/version", "/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"];

/// Whether a path tells what is served. Deeper ones below `/api` and `/apis` are
/// objects, or routes that somebody added.
fn is_discovery(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["version"] | ["openapi", ..] => true,
        ["api", rest @ ..] => rest.len() <= 1,
        ["apis", rest @ ..] => rest.len() <= 2,
        _ => false,
    }
}

/// Questions that everybody may ask about himself, by group.
const QUESTIONS: [(&str, &[&str]); 2] = [
    ("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
    ("authentication.k8s.io", &["selfsubjectreviews"]),
];

fn is_in(identity: &Identity, group: &str) -> bool {
    identity.groups.iter().any(|one| one == group)
}

/// Whether an identity may do everything, whatever it is.
pub(crate) fn is_administrator(identity: &Identity) -> bool {
    is_in(identity, ADMINISTRATORS)
}

/// Who may do what, as of now.
#[derive(Debug, Default)]
pub(crate) struct Rights {}

impl Rights {
    /// Whether an identity may do something.
    pub fn decide(&self, identity: &Identity, attributes: &Attributes<'_>) -> Decision {
        if let Some(scope) = &identity.scope
            && !scope.leaves(attributes.verb, attributes.namespace())
            && !is_everybodys(attributes)
        {
            return Decision::Refused(OUT_OF_SCOPE);
        }
        if is_administrator(identity) {
            return Decision::Allowed(OF_ADMINISTRATORS);
        }
        if is_in(identity, AUTHENTICATED) && is_everybodys(attributes) {
            return Decision::Allowed(OF_EVERYBODY);
        }
        Decision::Refused(NO_RIGHTS)
    }
}

impl Attributes<'_> {
    /// Empty for what is not in a namespace.
    fn namespace(&self) -> &str {
        match self.target {
            Target::Resource { namespace, .. } => namespace,
            Target::Path(_) => "",
        }
    }
}

fn is_everybodys(attributes: &Attributes<'_>) -> bool {
    match attributes.target {
        Target::Path(path) => matches!(attributes.verb, "get" | "head") && is_discovery(path),
        Target::Resource { group, resource, subresource, .. } => {
            attributes.verb == "create"
                && subresource.is_empty()
                && QUESTIONS
                    .iter()
                    .any(|(known, kinds)| *known == group && kinds.contains(&resource))
        }
    }
}

/// Everything that an identity may do, as the status of a
/// SelfSubjectRulesReview.
pub(crate) fn rules(identity: &Identity) -> Value {
    let everything = json!({
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": false,
    });
    if is_administrator(identity) {
        return everything;
    }
    if !is_in(identity, AUTHENTICATED) {
        return json!({"resourceRules": [], "nonResourceRules": [], "incomplete": false});
    }
    let questions: Vec<Value> = QUESTIONS
        .iter()
        .map(
            |(group, kinds)| json!({"verbs": ["create"], "apiGroups": [group], "resources": kinds}),
        )
        .collect();
    json!({
        "resourceRules": questions,
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": DISCOVERY}],
        "incomplete": false,
    })
}

/// 403 in the words of Kubernetes, with the reason behind them.
pub(crate) fn forbidden(
    identity: &Identity,
    attributes: &Attributes<'_>,
    reason: &str,
) -> StatusError {
    let (user, verb) = (&identity.name, attributes.verb);
    match attributes.target {
        Target::Path(path) => {
            let message = format!("User {user:?} cannot {verb} path {path:?}: {reason}");
            StatusError::forbidden("", "", "", message)
        }
        Target::Resource { group, resource, subresource, namespace, name } => {
            let whole = match subresource {
                "" => resource.to_owned(),
                subresource => format!("{resource}/{subresource}"),
            };
            let place = match namespace {
                "" => "at the cluster scope".to_owned(),
                namespace => format!("in the namespace {namespace:?}"),
            };
            let message = format!(
                "User {user:?} cannot {verb} resource {whole:?} in API group {group:?} {place}: \
                 {reason}"
            );
            StatusError::forbidden(group, resource, name, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(groups: &[&str]) -> Identity {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Identity::of_user("jane", groups)
    }

    fn resource<'a>(verb: &'a str, group: &'a str, resource: &'a str) -> Attributes<'a> {
        let target =
            Target::Resource { group, resource, subresource: "", namespace: "shop", name: "x" };
        Attributes { verb, target }
    }

    #[test]
    fn administrators_may_do_everything_and_others_look_around() {
        let admin = person(&[ADMINISTRATORS]);
        let jane = person(&[AUTHENTICATED]);
        let stranger = person(&[]);
        let cases = [
            (resource("delete", "", "secrets"), false),
            (resource("impersonate", "", "users"), false),
            (resource("create", "authorization.k8s.io", "selfsubjectaccessreviews"), true),
            (resource("get", "authorization.k8s.io", "selfsubjectaccessreviews"), false),
            (resource("create", "authorization.k8s.io", "subjectaccessreviews"), false),
            (resource("create", "authentication.k8s.io", "tokenreviews"), false),
            (Attributes { verb: "get", target: Target::Path("/apis/hades.dev") }, true),
            (Attributes { verb: "get", target: Target::Path("/openapi/v3") }, true),
            (Attributes { verb: "post", target: Target::Path("/apis") }, false),
            (Attributes { verb: "get", target: Target::Path("/apisx") }, false),
            (Attributes { verb: "get", target: Target::Path("/debug") }, false),
            (Attributes { verb: "get", target: Target::Path("/apis/a.b/v1/x/y/z/a/b/c") }, false),
            (Attributes { verb: "get", target: Target::Path("/api/v1/a/b/c/d/e/f") }, false),
        ];
        for (attributes, everybodys) in cases {
            let rights = Rights::default();
            assert!(rights.decide(&admin, &attributes).is_allowed());
            assert_eq!(
                rights.decide(&jane, &attributes).is_allowed(),
                everybodys,
                "{attributes:?}"
            );
            assert!(!rights.decide(&stranger, &attributes).is_allowed());
        }
    }

    #[test]
    fn refusals_are_worded_as_kubernetes_words_them() {
        let jane = person(&[AUTHENTICATED]);
        let error = forbidden(&jane, &resource("list", "farm.example", "barns"), "why");
        assert_eq!(
            error.message(),
            "barns.farm.example \"x\" is forbidden: User \"jane\" cannot list resource \"barns\" in \
             API group \"farm.example\" in the namespace \"shop\": why"
        );
        let path = Attributes { verb: "get", target: Target::Path("/debug") };
        let error = forbidden(&jane, &path, "why");
        assert_eq!(error.message(), "forbidden: User \"jane\" cannot get path \"/debug\": why");
    }
}
