//! Requests in the name of somebody else: `kubectl --as`.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use super::service_account::{account_of, groups_of};
use super::{AUTHENTICATED, Identity};
use crate::wire::status::StatusError;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Who a request wants to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Impersonation {
    user: String,
    groups: Vec<String>,
    uid: Option<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// One thing that a caller must be allowed to impersonate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mask<'a> {
    pub group: &'static str,
    pub resource: &'static str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl Impersonation {
    /// Reads the headers; `None` where there are none of them.
    ///
    /// # Errors
    /// 400 where a header is not a text, or everything but the user is given.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, StatusError> {
        let is_one = |name: &HeaderName| {
            matches!(name.as_str(), USER | GROUP | UID) || name.as_str().starts_with(EXTRA)
        };
        if !headers.keys().any(is_one) {
            return Ok(None);
        }
        let texts = |name: &str| -> Result<Vec<String>, StatusError> {
            let values = headers.get_all(name).iter();
            values
                .map(|value| std::str::from_utf8(value.as_bytes()).map(str::to_owned))
                .collect::<Result<_, _>>()
                .map_err(|_| StatusError::bad_request(format!("the header {name} is not UTF-8")))
        };
        let mut extra = BTreeMap::new();
        for name in headers.keys() {
            if let Some(key) = name.as_str().strip_prefix(EXTRA) {
                let key = percent_decode_str(key).decode_utf8_lossy().to_lowercase();
                extra.insert(key, texts(name.as_str())?);
            }
        }
        let user = texts(USER)?.into_iter().next().unwrap_or_default();
        if user.is_empty() {
            return Err(StatusError::bad_request(
                "groups, a uid or extra values can't be impersonated without impersonating a user: \
                 set the header Impersonate-User too",
            ));
        }
        let uid = texts(UID)?.into_iter().next().filter(|uid| !uid.is_empty());
        Ok(Some(Self { user, groups: texts(GROUP)?, uid, extra }))
    }

    /// What the caller must be allowed to impersonate, all of it.
    pub fn masks(&self) -> Vec<Mask<'_>> {
        let mask = |group, resource, subresource, name| Mask {
            group,
            resource,
            subresource,
            namespace: "",
            name,
        };
        let mut masks = vec![match account_of(&self.user) {
            Some((namespace, name)) => Mask { namespace, ..mask("", "serviceaccounts", "", name) },
            None => mask("", "users", "", &self.user),
        }];
        masks.extend(self.groups.iter().map(|name| mask("", "groups", "", name)));
        masks.extend(self.uid.iter().map(|name| mask("authentication.k8s.io", "uids", "", name)));
        for (key, values) in &self.extra {
            masks.extend(
                values.iter().map(|name| mask("authentication.k8s.io", "userextras", key, name)),
            );
        }
        masks
    }

    /// The identity that the request goes on with. Whoever is impersonated, the
    /// values of Secrets stay hidden: they are for controllers of this process.
    pub fn identity(self) -> Identity {
        let Self { user, mut groups, uid, extra } = self;
        if groups.is_empty()
            && let Some((namespace, _)) = account_of(&user)
        {
            groups.extend(groups_of(namespace));
        }
        let everybody = if user == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
        if !groups.iter().any(|group| group == everybody) {
            groups.push(everybody.to_owned());
        }
        Identity::of_user(user, groups).known_as(uid, extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Impersonation>, StatusError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        Impersonation::read(&headers)
    }

    #[test]
    fn the_headers_make_an_identity_that_reads_no_secrets() {
        assert_eq!(read(&[("accept", "x")]).unwrap(), None);
        let found = read(&[
            ("Impersonate-User", "system:hades:controllers"),
            ("Impersonate-Group", "dev"),
            ("Impersonate-Group", "ops"),
            ("Impersonate-Uid", "7"),
            ("Impersonate-Extra-Acme%2Fscopes", "a"),
            ("Impersonate-Extra-Acme%2Fscopes", "b"),
        ]);
        let identity = found.unwrap().unwrap().identity();
        assert_eq!(identity.groups, ["dev", "ops", AUTHENTICATED]);
        assert_eq!(identity.uid.as_deref(), Some("7"));
        assert_eq!(identity.extra["acme/scopes"], ["a", "b"]);
        assert!(!identity.reads_secrets());
    }

    #[test]
    fn a_service_account_brings_its_groups_and_the_anonymous_user_none() {
        let identity = |user| read(&[(USER, user)]).unwrap().unwrap().identity();
        assert_eq!(
            identity("system:serviceaccount:shop:robot").groups,
            ["system:serviceaccounts", "system:serviceaccounts:shop", AUTHENTICATED]
        );
        assert_eq!(identity(ANONYMOUS).groups, [UNAUTHENTICATED]);
    }

    #[test]
    fn every_part_must_be_allowed() {
        let found = read(&[
            (USER, "system:serviceaccount:shop:robot"),
            (GROUP, "dev"),
            (UID, "7"),
            ("impersonate-extra-scope", "a"),
        ]);
        let found = found.unwrap().unwrap();
        let masks: Vec<String> = found
            .masks()
            .iter()
            .map(|mask| {
                let Mask { group, resource, subresource, namespace, name } = mask;
                format!("{group}|{resource}|{subresource}|{namespace}|{name}")
            })
            .collect();
        assert_eq!(
            masks,
            [
                "|serviceaccounts||shop|robot",
                "|groups|||dev",
                "authentication.k8s.io|uids|||7",
                "authentication.k8s.io|userextras|scope||a",
            ]
        );
    }

    #[test]
    fn nobody_is_impersonated_by_halves() {
        assert_eq!(read(&[(GROUP, "system:masters")]).unwrap_err().code(), 400);
        assert_eq!(read(&[(USER, ""), (GROUP, "x")]).unwrap_err().code(), 400);
    }
}
