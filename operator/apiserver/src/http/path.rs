//! Paths of resources: `/api/v1/…` and `/apis/{group}/{version}/…`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What a resource path points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub group: String,
    pub version: String,
    pub namespace: Option<String>,
    pub plural: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
    /// More follows, which only extra routes know what to do with.
    pub goes_on: bool,
}

/// Parts of namespaces themselves, which would otherwise read as resources in
/// a namespace.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// A path that no client has a reason to send: with steps that are empty, `.` or
/// `..`, or that hold a `/` or `%` once they are decoded. Whoever reads such a path
/// in another way would find another object there, so nobody reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads a path; `None` where it names no resource: `/version`, `/apis/{group}`.
///
/// All that is deeper than the lists of resources names one, as on Kubernetes, so
/// that a right to look at `/apis/*` never reaches an object.
pub(crate) fn parse(path: &str) -> Result<Option<ResourcePath>, Malformed> {
    let rest = path.strip_prefix('/').ok_or(Malformed)?;
    let segments: Vec<Cow<'_, str>> = rest
        .split('/')
        .map(|segment| percent_decode_str(segment).decode_utf8())
        .collect::<Result<_, _>>()
        .map_err(|_| Malformed)?;
    // A NUL would end a part of the key in the store.
    let is_trick =
        |segment: &str| matches!(segment, "." | "..") || segment.contains(['/', '%', '\0']);
    if segments.iter().any(|segment| is_trick(segment)) {
        return Err(Malformed);
    }
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Ok(None),
    };
    if segments.iter().any(|one| one.is_empty()) {
        return Err(Malformed);
    }
    let (namespace, rest) = match rest {
        ["namespaces", _, part, ..] if NAMESPACE_SUBRESOURCES.contains(part) => (None, rest),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
        _ => (None, rest),
    };
    let [plural, rest @ ..] = rest else {
        return Err(Malformed);
    };
    let part = |index: usize| rest.get(index).map(|part| (*part).to_owned());
    Ok(Some(ResourcePath {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace: namespace.map(str::to_owned),
        plural: (*plural).to_owned(),
        name: part(0),
        subresource: part(1),
        goes_on: rest.len() > 2,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(path: &str) -> Option<String> {
        let parsed = parse(path).ok()??;
        Some(format!(
            "{}|{}|{}|{}|{}|{}{}",
            parsed.group,
            parsed.version,
            parsed.namespace.unwrap_or_default(),
            parsed.plural,
            parsed.name.unwrap_or_default(),
            parsed.subresource.unwrap_or_default(),
            if parsed.goes_on { "…" } else { "" }
        ))
    }

    #[test]
    fn paths_of_resources() {
        let cases = [
            ("/api/v1/namespaces", "|v1||namespaces||"),
            ("/api/v1/namespaces/shop", "|v1||namespaces|shop|"),
            ("/api/v1/namespaces/shop/status", "|v1||namespaces|shop|status"),
            ("/api/v1/namespaces/shop/secrets", "|v1|shop|secrets||"),
            ("/api/v1/secrets", "|v1||secrets||"),
            (
                "/apis/hades.dev/v1alpha1/namespaces/shop/environments/a%2Db/status",
                "hades.dev|v1alpha1|shop|environments|a-b|status",
            ),
            (
                "/apis/hades.dev/v1alpha1/dockerhosts/local",
                "hades.dev|v1alpha1||dockerhosts|local|",
            ),
        ];
        for (path, expected) in cases {
            assert_eq!(shape(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn all_that_is_deeper_than_the_lists_names_a_resource() {
        let path = "/apis/a.b/v1/namespaces/shop/users/jane/tokens/7/x";
        assert_eq!(shape(path).as_deref(), Some("a.b|v1|shop|users|jane|tokens…"));
        for path in ["/", "/api", "/api/", "/api/v1", "/apis/hades.dev", "/apis/hades.dev/v1", "/x"]
        {
            assert_eq!(parse(path), Ok(None), "{path}");
        }
    }

    #[test]
    fn tricks_are_no_paths() {
        for path in [
            "",
            "x",
            "/api/v1//x",
            "/api/v1/",
            "/api/v1/secrets/",
            "/apis//v1/x",
            "/api/v1/a%00b",
            "/api/v1/a%2fb",
            "/api/v1/a%252fb",
            "/api/v1/../v1/secrets",
            "/api/v1/%2e%2e/secrets",
            "/api/v1/./secrets",
            "/version/%2e",
            "/a%2fb",
            "/api/v1/%ff",
        ] {
            assert_eq!(parse(path), Err(Malformed), "{path}");
        }
    }
}
