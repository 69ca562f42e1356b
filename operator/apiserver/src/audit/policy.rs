//! What is recorded, and at which stage.

/// What is known of a request when it was answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// It came over a socket.
    pub remote: bool,
    pub verb: &'a str,
    pub group: &'a str,
    /// Empty where the path names no resource.
    pub resource: &'a str,
    pub subresource: &'a str,
    pub dry_run: bool,
    pub code: u16,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Nothing,
    /// A record of the whole of it.
    Whole,
    /// A record that it has begun: its end comes later, or isn't told.
    Started,
    /// A record, unless there were many of the same kind just now.
    Refusal,
    /// A record for the first time that somebody uses this version of a Secret.
    SecretUse,
}

const CHANGES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Groups of questions: they are `create`d, and change nothing.
const QUESTIONS: [&str; 2] = ["authentication.k8s.io", "authorization.k8s.io"];

/// What controllers of this process write all the time.
const UPKEEP: [(&str, &str); 3] =
    [("coordination.k8s.io", "leases"), ("", "events"), ("events.k8s.io", "events")];

/// Whether a verb changes something.
pub fn changes(verb: &str) -> bool {
    CHANGES.contains(&verb)
}

/// Decides by the facts alone.
pub fn judge(facts: &Facts<'_>) -> Keep {
    let Facts { remote, verb, group, resource, subresource, dry_run, code } = *facts;
    let changes = changes(verb);
    let question = QUESTIONS.contains(&group) && resource.ends_with("reviews");
    match code {
        // Changes too: whoever may do nothing could fill the log with his tries.
        401 | 403 => return Keep::Refusal,
        // Told to come back later, which changes nothing and may be many.
        429 => return Keep::Nothing,
        _ => {}
    }
    if resource.is_empty() || question {
        return Keep::Nothing;
    }
    if code == 101 {
        return Keep::Started;
    }
    if changes && remote {
        return Keep::Whole;
    }
    if changes {
        let upkeep = subresource == "status" || dry_run || UPKEEP.contains(&(group, resource));
        return if upkeep { Keep::Nothing } else { Keep::Whole };
    }
    match (group, resource, subresource) {
        ("", "secrets", _) if !remote && code < 400 => Keep::SecretUse,
        ("", "secrets", _) if verb == "watch" && code < 400 => Keep::Started,
        (_, "secrets", _) if remote => Keep::Whole,
        (_, _, "log" | "logs") if remote && code < 400 => Keep::Started,
        _ => Keep::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded() {
        let person = Facts { remote: true, code: 200, ..Facts::default() };
        let process = Facts { remote: false, ..person };
        let of = |facts: Facts<'static>, verb, group, resource, subresource| {
            judge(&Facts { verb, group, resource, subresource, ..facts })
        };
        let reviews = "selfsubjectaccessreviews";
        for (facts, verb, group, resource, subresource, expected) in [
            (person, "create", "", "configmaps", "", Keep::Whole),
            (person, "patch", "hades.dev", "environments", "status", Keep::Whole),
            (person, "update", "coordination.k8s.io", "leases", "", Keep::Whole),
            (person, "deletecollection", "", "secrets", "", Keep::Whole),
            (person, "create", "authorization.k8s.io", reviews, "", Keep::Nothing),
            (person, "create", "", "serviceaccounts", "token", Keep::Whole),
            (person, "get", "", "secrets", "", Keep::Whole),
            (person, "list", "", "secrets", "", Keep::Whole),
            (person, "watch", "", "secrets", "", Keep::Started),
            (person, "get", "operations.hades.dev", "secrets", "reveal", Keep::Whole),
            (person, "get", "", "configmaps", "", Keep::Nothing),
            (person, "list", "", "", "", Keep::Nothing),
            (person, "get", "operations.hades.dev", "environments", "logs", Keep::Started),
            (process, "get", "operations.hades.dev", "environments", "logs", Keep::Nothing),
            (process, "patch", "hades.dev", "environments", "", Keep::Whole),
            (process, "patch", "hades.dev", "environments", "status", Keep::Nothing),
            (process, "create", "", "events", "", Keep::Nothing),
            (process, "update", "coordination.k8s.io", "leases", "", Keep::Nothing),
            (process, "get", "", "secrets", "", Keep::SecretUse),
            (Facts { dry_run: true, ..process }, "patch", "", "configmaps", "", Keep::Nothing),
            (Facts { dry_run: true, ..person }, "patch", "", "configmaps", "", Keep::Whole),
            (Facts { code: 101, ..person }, "create", "x", "environments", "exec", Keep::Started),
            (Facts { code: 401, ..person }, "get", "", "configmaps", "", Keep::Refusal),
            (Facts { code: 401, ..person }, "post", "", "", "", Keep::Refusal),
            (Facts { code: 403, ..person }, "get", "", "configmaps", "", Keep::Refusal),
            (Facts { code: 403, ..person }, "delete", "", "configmaps", "", Keep::Refusal),
            (Facts { code: 403, ..process }, "delete", "", "configmaps", "", Keep::Refusal),
            (Facts { code: 429, ..person }, "create", "", "configmaps", "", Keep::Nothing),
            (Facts { code: 409, ..person }, "create", "", "configmaps", "", Keep::Whole),
        ] {
            let found = of(facts, verb, group, resource, subresource);
            assert_eq!(found, expected, "{facts:?} {verb} {group} {resource} {subresource}");
        }
    }
}
