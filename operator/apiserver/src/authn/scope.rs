//! What a token may be used for, at most.

/// Limits of a token, below the rights of its owner. An empty list limits
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Namespaces that it may be used in. Cluster-scoped resources are then out of
    /// reach, but for what everybody may look at.
    pub namespaces: Vec<String>,
    /// Verbs that it may be used for, such as `get`.
    pub verbs: Vec<String>,
}

impl Scope {
    /// Whether the scope leaves a verb in a namespace (empty: of the cluster).
    #[must_use]
    pub fn leaves(&self, verb: &str, namespace: &str) -> bool {
        let among = |list: &[String], one: &str| list.is_empty() || list.iter().any(|it| it == one);
        among(&self.verbs, verb) && among(&self.namespaces, namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_left() {
        let scope = Scope { namespaces: vec!["shop".into()], verbs: vec!["get".into()] };
        assert!(scope.leaves("get", "shop"));
        assert!(!scope.leaves("get", "farm") && !scope.leaves("get", ""));
        assert!(!scope.leaves("delete", "shop"));
        assert!(Scope::default().leaves("delete", ""));
    }
}
