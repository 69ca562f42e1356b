//! Field numbers of the built-in kinds, from the published `generated.proto`
//! files of Kubernetes.

/// A message: its fields.
pub(super) type Message = [Field];

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// The name in JSON.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
    /// Go writes empty texts and zeros of fields that are absent in JSON.
    pub(super) omits_empty: bool,
}

/// How the payload of a field is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// Base64 in JSON.
    Bytes,
    Bool,
    Int,
    Time,
    MicroTime,
    /// A message of its own that only holds texts, a plain list in JSON.
    Texts,
    /// JSON inside protobuf (`FieldsV1`).
    Json,
    Map(&'static Kind),
    Message(&'static Message),
}

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, repeated: false, omits_empty: true }
}

/// A pointer in Go: zero means something.
const fn pointer(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { omits_empty: false, ..one(number, name, kind) }
}

const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { repeated: true, ..one(number, name, kind) }
}

const TEXTS: Kind = Kind::Map(&Kind::Text);
const BLOBS: Kind = Kind::Map(&Kind::Bytes);

const METADATA: Field = one(1, "metadata", Kind::Message(OBJECT_META));

const OBJECT_META: &Message = &[
    one(1, "name", Kind::Text),
    one(2, "generateName", Kind::Text),
    one(3, "namespace", Kind::Text),
    one(4, "selfLink", Kind::Text),
    one(5, "uid", Kind::Text),
    one(6, "resourceVersion", Kind::Text),
    one(7, "generation", Kind::Int),
    one(8, "creationTimestamp", Kind::Time),
    one(9, "deletionTimestamp", Kind::Time),
    pointer(10, "deletionGracePeriodSeconds", Kind::Int),
    one(11, "labels", TEXTS),
    one(12, "annotations", TEXTS),
    many(13, "ownerReferences", Kind::Message(OWNER_REFERENCE)),
    many(14, "finalizers", Kind::Text),
    many(17, "managedFields", Kind::Message(MANAGED_FIELDS)),
];

const OWNER_REFERENCE: &Message = &[
    one(1, "kind", Kind::Text),
    one(3, "name", Kind::Text),
    one(4, "uid", Kind::Text),
    one(5, "apiVersion", Kind::Text),
    one(6, "controller", Kind::Bool),
    one(7, "blockOwnerDeletion", Kind::Bool),
];

const MANAGED_FIELDS: &Message = &[
    one(1, "manager", Kind::Text),
    one(2, "operation", Kind::Text),
    one(3, "apiVersion", Kind::Text),
    one(4, "time", Kind::Time),
    one(6, "fieldsType", Kind::Text),
    one(7, "fieldsV1", Kind::Json),
    one(8, "subresource", Kind::Text),
];

const OBJECT_REFERENCE: &Message = &[
    one(1, "kind", Kind::Text),
    one(2, "namespace", Kind::Text),
    one(3, "name", Kind::Text),
    one(4, "uid", Kind::Text),
    one(5, "apiVersion", Kind::Text),
    one(6, "resourceVersion", Kind::Text),
    one(7, "fieldPath", Kind::Text),
];

const NAMESPACE: &Message = &[
    METADATA,
    one(2, "spec", Kind::Message(&[many(1, "finalizers", Kind::Text)])),
    one(
        3,
        "status",
        Kind::Message(&[
            one(1, "phase", Kind::Text),
            many(
                2,
                "conditions",
                Kind::Message(&[
                    one(1, "type", Kind::Text),
                    one(2, "status", Kind::Text),
                    one(4, "lastTransitionTime", Kind::Time),
                    one(5, "reason", Kind::Text),
                    one(6, "message", Kind::Text),
                ]),
            ),
        ]),
    ),
];

const SECRET: &Message = &[
    METADATA,
    one(2, "data", BLOBS),
    one(3, "type", Kind::Text),
    one(4, "stringData", TEXTS),
    one(5, "immutable", Kind::Bool),
];

const CONFIG_MAP: &Message = &[
    METADATA,
    one(2, "data", TEXTS),
    one(3, "binaryData", BLOBS),
    one(4, "immutable", Kind::Bool),
];

const SERVICE_ACCOUNT: &Message = &[
    METADATA,
    many(2, "secrets", Kind::Message(OBJECT_REFERENCE)),
    many(3, "imagePullSecrets", Kind::Message(&[one(1, "name", Kind::Text)])),
    one(4, "automountServiceAccountToken", Kind::Bool),
];

const LEASE: &Message = &[
    METADATA,
    one(
        2,
        "spec",
        Kind::Message(&[
            one(1, "holderIdentity", Kind::Text),
            pointer(2, "leaseDurationSeconds", Kind::Int),
            one(3, "acquireTime", Kind::MicroTime),
            one(4, "renewTime", Kind::MicroTime),
            pointer(5, "leaseTransitions", Kind::Int),
            one(6, "strategy", Kind::Text),
            one(7, "preferredHolder", Kind::Text),
        ]),
    ),
];

const EVENT_SOURCE: &Message = &[one(1, "component", Kind::Text), one(2, "host", Kind::Text)];

const EVENT_SERIES: &Message =
    &[one(1, "count", Kind::Int), one(2, "lastObservedTime", Kind::MicroTime)];

const CORE_EVENT: &Message = &[
    METADATA,
    one(2, "involvedObject", Kind::Message(OBJECT_REFERENCE)),
    one(3, "reason", Kind::Text),
    one(4, "message", Kind::Text),
    one(5, "source", Kind::Message(EVENT_SOURCE)),
    one(6, "firstTimestamp", Kind::Time),
    one(7, "lastTimestamp", Kind::Time),
    one(8, "count", Kind::Int),
    one(9, "type", Kind::Text),
    one(10, "eventTime", Kind::MicroTime),
    one(11, "series", Kind::Message(EVENT_SERIES)),
    one(12, "action", Kind::Text),
    one(13, "related", Kind::Message(OBJECT_REFERENCE)),
    one(14, "reportingComponent", Kind::Text),
    one(15, "reportingInstance", Kind::Text),
];

const EVENT: &Message = &[
    METADATA,
    one(2, "eventTime", Kind::MicroTime),
    one(3, "series", Kind::Message(EVENT_SERIES)),
    one(4, "reportingController", Kind::Text),
    one(5, "reportingInstance", Kind::Text),
    one(6, "action", Kind::Text),
    one(7, "reason", Kind::Text),
    one(8, "regarding", Kind::Message(OBJECT_REFERENCE)),
    one(9, "related", Kind::Message(OBJECT_REFERENCE)),
    one(10, "note", Kind::Text),
    one(11, "type", Kind::Text),
    one(12, "deprecatedSource", Kind::Message(EVENT_SOURCE)),
    one(13, "deprecatedFirstTimestamp", Kind::Time),
    one(14, "deprecatedLastTimestamp", Kind::Time),
    one(15, "deprecatedCount", Kind::Int),
];

/// Of a label or field selector in a question; the texts are `key`, `operator` and
/// `values` in both.
const SELECTOR_ATTRIBUTES: &Message =
    &[one(1, "rawSelector", Kind::Text), many(2, "requirements", Kind::Message(REQUIREMENT))];

const REQUIREMENT: &Message =
    &[one(1, "key", Kind::Text), one(2, "operator", Kind::Text), many(3, "values", Kind::Text)];

const RESOURCE_ATTRIBUTES: &Message = &[
    one(1, "namespace", Kind::Text),
    one(2, "verb", Kind::Text),
    one(3, "group", Kind::Text),
    one(4, "version", Kind::Text),
    one(5, "resource", Kind::Text),
    one(6, "subresource", Kind::Text),
    one(7, "name", Kind::Text),
    one(8, "fieldSelector", Kind::Message(SELECTOR_ATTRIBUTES)),
    one(9, "labelSelector", Kind::Message(SELECTOR_ATTRIBUTES)),
];

const NON_RESOURCE_ATTRIBUTES: &Message = &[one(1, "path", Kind::Text), one(2, "verb", Kind::Text)];

const SELF_SUBJECT_ACCESS_REVIEW: &Message = &[
    METADATA,
    one(
        2,
        "spec",
        Kind::Message(&[
            one(1, "resourceAttributes", Kind::Message(RESOURCE_ATTRIBUTES)),
            one(2, "nonResourceAttributes", Kind::Message(NON_RESOURCE_ATTRIBUTES)),
        ]),
    ),
];

const SUBJECT_ACCESS_REVIEW: &Message = &[
    METADATA,
    one(
        2,
        "spec",
        Kind::Message(&[
            one(1, "resourceAttributes", Kind::Message(RESOURCE_ATTRIBUTES)),
            one(2, "nonResourceAttributes", Kind::Message(NON_RESOURCE_ATTRIBUTES)),
            one(3, "user", Kind::Text),
            many(4, "groups", Kind::Text),
            one(5, "extra", Kind::Map(&Kind::Texts)),
            one(6, "uid", Kind::Text),
        ]),
    ),
];

const TOKEN_REVIEW: &Message = &[
    METADATA,
    one(2, "spec", Kind::Message(&[one(1, "token", Kind::Text), many(2, "audiences", Kind::Text)])),
];

const TOKEN_REQUEST: &Message = &[
    METADATA,
    one(
        2,
        "spec",
        Kind::Message(&[
            many(1, "audiences", Kind::Text),
            one(
                3,
                "boundObjectRef",
                Kind::Message(&[
                    one(1, "kind", Kind::Text),
                    one(2, "apiVersion", Kind::Text),
                    one(3, "name", Kind::Text),
                    one(4, "uid", Kind::Text),
                ]),
            ),
            pointer(4, "expirationSeconds", Kind::Int),
        ]),
    ),
];

const SELF_SUBJECT_RULES_REVIEW: &Message =
    &[METADATA, one(2, "spec", Kind::Message(&[one(1, "namespace", Kind::Text)]))];

/// Kinds that are sent by their metadata alone.
const METADATA_ONLY: &Message = &[METADATA];

const DELETE_OPTIONS: &Message = &[
    pointer(1, "gracePeriodSeconds", Kind::Int),
    one(
        2,
        "preconditions",
        Kind::Message(&[one(1, "uid", Kind::Text), one(2, "resourceVersion", Kind::Text)]),
    ),
    one(3, "orphanDependents", Kind::Bool),
    one(4, "propagationPolicy", Kind::Text),
    many(5, "dryRun", Kind::Text),
    one(6, "ignoreStoreReadErrorWithClusterBreakingPotential", Kind::Bool),
];

const POLICY_RULE: &Message = &[
    many(1, "verbs", Kind::Text),
    many(2, "apiGroups", Kind::Text),
    many(3, "resources", Kind::Text),
    many(4, "resourceNames", Kind::Text),
    many(5, "nonResourceURLs", Kind::Text),
];

const ROLE: &Message = &[METADATA, many(2, "rules", Kind::Message(POLICY_RULE))];

const CLUSTER_ROLE: &Message = &[
    METADATA,
    many(2, "rules", Kind::Message(POLICY_RULE)),
    one(
        3,
        "aggregationRule",
        Kind::Message(&[many(
            1,
            "clusterRoleSelectors",
            Kind::Message(&[
                one(1, "matchLabels", TEXTS),
                many(2, "matchExpressions", Kind::Message(REQUIREMENT)),
            ]),
        )]),
    ),
];

const ROLE_BINDING: &Message = &[
    METADATA,
    many(
        2,
        "subjects",
        Kind::Message(&[
            one(1, "kind", Kind::Text),
            one(2, "apiGroup", Kind::Text),
            one(3, "name", Kind::Text),
            one(4, "namespace", Kind::Text),
        ]),
    ),
    one(
        3,
        "roleRef",
        Kind::Message(&[
            one(1, "apiGroup", Kind::Text),
            one(2, "kind", Kind::Text),
            one(3, "name", Kind::Text),
        ]),
    ),
];

/// The message of a kind, `None` for kinds that have no table.
pub(super) fn of_kind(api_version: &str, kind: &str) -> Option<&'static Message> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    Some(match (group, kind) {
        // Every group has its own DeleteOptions in the envelope.
        (_, "DeleteOptions") => DELETE_OPTIONS,
        ("meta.k8s.io", "PartialObjectMetadata") => METADATA_ONLY,
        ("", "Namespace") => NAMESPACE,
        ("", "Secret") => SECRET,
        ("", "ConfigMap") => CONFIG_MAP,
        ("", "ServiceAccount") => SERVICE_ACCOUNT,
        ("", "Event") => CORE_EVENT,
        ("events.k8s.io", "Event") => EVENT,
        ("coordination.k8s.io", "Lease") => LEASE,
        ("authorization.k8s.io", "SelfSubjectAccessReview") => SELF_SUBJECT_ACCESS_REVIEW,
        ("authorization.k8s.io", "SubjectAccessReview" | "LocalSubjectAccessReview") => {
            SUBJECT_ACCESS_REVIEW
        }
        ("authorization.k8s.io", "SelfSubjectRulesReview") => SELF_SUBJECT_RULES_REVIEW,
        ("authentication.k8s.io", "SelfSubjectReview") => METADATA_ONLY,
        ("authentication.k8s.io", "TokenReview") => TOKEN_REVIEW,
        ("authentication.k8s.io", "TokenRequest") => TOKEN_REQUEST,
        ("rbac.authorization.k8s.io", "Role") => ROLE,
        ("rbac.authorization.k8s.io", "ClusterRole") => CLUSTER_ROLE,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => ROLE_BINDING,
        _ => return None,
    })
}
