//! Every resource, and what each role may do with it.

/// A resource, its group, and for viewer, deployer, admin and config-repository the
/// verbs that each may use, as letters.
pub type Row = (&'static str, &'static str, [&'static str; 4]);

/// `g`et, `l`ist, `w`atch, `c`reate, `u`pdate, `p`atch, `d`elete, `D`eletecollection,
/// `b`ind, `e`scalate, `i`mpersonate.
pub const LETTERS: [(char, &str); 11] = [
    ('g', "get"),
    ('l', "list"),
    ('w', "watch"),
    ('c', "create"),
    ('u', "update"),
    ('p', "patch"),
    ('d', "delete"),
    ('D', "deletecollection"),
    ('b', "bind"),
    ('e', "escalate"),
    ('i', "impersonate"),
];

const H: &str = "hades.dev";
const O: &str = "operations.hades.dev";
const R: &str = "rbac.authorization.k8s.io";

pub const TABLE: [Row; 44] = [
    ("environments", H, ["glw", "glwcup", "glwcupdD", "glwcupd"]),
    ("environments/status", H, ["", "", "", ""]),
    ("environments/finalizers", H, ["", "", "", ""]),
    ("environments/volumes", H, ["", "", "d", "d"]),
    ("environmenttemplates", H, ["glw", "glwcup", "glwcupdD", "glwcupd"]),
    ("configrepositories", H, ["glw", "glw", "glwcupdD", "glwcupd"]),
    ("configrepositories/status", H, ["", "", "", ""]),
    ("hadesprojects", H, ["", "", "", ""]),
    ("hadesprojects/policy", H, ["", "", "", ""]),
    ("dockerhosts", H, ["", "", "", ""]),
    ("gitaccounts", H, ["", "", "", ""]),
    ("registryaccounts", H, ["", "", "", ""]),
    ("users", H, ["", "", "", ""]),
    ("environments/plan", O, ["gc", "gc", "gc", ""]),
    ("environments/logs", O, ["g", "g", "g", ""]),
    ("environments/stats", O, ["g", "g", "g", ""]),
    ("environments/exec", O, ["", "c", "c", ""]),
    ("environments/volumecopy", O, ["", "", "c", ""]),
    ("configrepositories/sync", O, ["", "c", "c", ""]),
    ("configrepositories/webhook", O, ["", "", "gc", ""]),
    ("dockerhosts/test", O, ["", "", "", ""]),
    ("auditevents", O, ["", "", "gl", ""]),
    ("users/password", O, ["", "", "", ""]),
    ("users/tokens", O, ["", "", "", ""]),
    ("users/totp", O, ["", "", "", ""]),
    ("users/sessions", O, ["", "", "", ""]),
    ("secrets", "", ["", "glwcup", "glwcupdD", "glwcupd"]),
    ("configmaps", "", ["", "glwcup", "glwcupdD", "glwcupd"]),
    ("serviceaccounts", "", ["", "", "glwcupdD", "glwcupd"]),
    ("serviceaccounts/token", "", ["", "", "c", ""]),
    ("namespaces", "", ["g", "g", "g", ""]),
    ("events", "", ["glw", "glw", "glw", ""]),
    ("events", "events.k8s.io", ["glw", "glw", "glw", ""]),
    ("pods/exec", "", ["", "", "", ""]),
    ("users", "", ["", "", "", ""]),
    ("groups", "", ["", "", "", ""]),
    ("leases", "coordination.k8s.io", ["", "", "", ""]),
    ("customresourcedefinitions", "apiextensions.k8s.io", ["", "", "", ""]),
    ("localsubjectaccessreviews", "authorization.k8s.io", ["", "", "c", ""]),
    ("subjectaccessreviews", "authorization.k8s.io", ["", "", "", ""]),
    ("roles", R, ["", "", "glwcupdD", ""]),
    ("rolebindings", R, ["", "", "glwcupdD", ""]),
    ("clusterroles", R, ["", "", "", ""]),
    ("clusterrolebindings", R, ["", "", "", ""]),
];
