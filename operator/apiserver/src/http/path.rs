//! Paths of resources: `/api/v1/…` and `/apis/{group}/{version}/…`.

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
}

/// Parts of namespaces themselves, which would otherwise read as resources in
/// a namespace.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// Reads a path; `None` when it has another shape.
pub(crate) fn parse(path: &str) -> Option<ResourcePath> {
    let segments: Vec<String> = path
        .strip_prefix('/')?
        .split('/')
        .map(|segment| percent_decode_str(segment).decode_utf8().map(|text| text.into_owned()))
        .collect::<Result<_, _>>()
        .ok()?;
    // A NUL would end a part of the key in the store.
    if segments.iter().any(|segment| segment.is_empty() || segment.contains('\0')) {
        return None;
    }
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", _, part, ..] if NAMESPACE_SUBRESOURCES.contains(part) => (None, rest),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
        _ => (None, rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, None, None),
        [plural, name] => (*plural, Some(*name), None),
        [plural, name, subresource] => (*plural, Some(*name), Some(*subresource)),
        _ => return None,
    };
    Some(ResourcePath {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace: namespace.map(str::to_owned),
        plural: plural.to_owned(),
        name: name.map(str::to_owned),
        subresource: subresource.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(path: &str) -> Option<String> {
        let parsed = parse(path)?;
        Some(format!(
            "{}|{}|{}|{}|{}|{}",
            parsed.group,
            parsed.version,
            parsed.namespace.unwrap_or_default(),
            parsed.plural,
            parsed.name.unwrap_or_default(),
            parsed.subresource.unwrap_or_default()
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
    fn other_paths() {
        for path in
            ["/", "/api", "/apis/hades.dev", "/api/v1//x", "/api/v1/a/b/c/d", "/api/v1/a%00b"]
        {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
