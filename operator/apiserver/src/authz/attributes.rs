//! What somebody wants to do, and what he hears when he may not.

use crate::authn::Identity;
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

impl Attributes<'_> {
    /// Empty for what is not in a namespace.
    pub fn namespace(&self) -> &str {
        match self.target {
            Target::Resource { namespace, .. } => namespace,
            Target::Path(_) => "",
        }
    }
}

/// 403 in the words of Kubernetes, with the reason behind them where there is one.
pub(crate) fn forbidden(
    identity: &Identity,
    attributes: &Attributes<'_>,
    reason: &str,
) -> StatusError {
    let (user, verb) = (&identity.name, attributes.verb);
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    match attributes.target {
        Target::Path(path) => {
            let message = format!("User {user:?} cannot {verb} path {path:?}{reason}");
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
                "User {user:?} cannot {verb} resource {whole:?} in API group {group:?} \
                 {place}{reason}"
            );
            StatusError::forbidden(group, resource, name, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_worded_as_kubernetes_words_them() {
        let jane = Identity::of_user("jane", Vec::new());
        let target = Target::Resource {
            group: "farm.example",
            resource: "barns",
            subresource: "",
            namespace: "shop",
            name: "x",
        };
        let attributes = Attributes { verb: "list", target };
        assert_eq!(
            forbidden(&jane, &attributes, "").message(),
            "barns.farm.example \"x\" is forbidden: User \"jane\" cannot list resource \"barns\" in \
             API group \"farm.example\" in the namespace \"shop\""
        );
        let path = Attributes { verb: "get", target: Target::Path("/debug") };
        let error = forbidden(&jane, &path, "why");
        assert_eq!(error.message(), "forbidden: User \"jane\" cannot get path \"/debug\": why");
    }
}
