//! Rights against the semantics of Kubernetes: single cases by hand, and the index
//! against an evaluation that goes through everything, over random roles.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::authn::{ADMINISTRATORS, AUTHENTICATED, Identity, Scope};
use crate::store::{Key, Observer};

fn person(name: &str, groups: &[&str]) -> Identity {
    Identity::of_user(name, groups.iter().map(|group| (*group).to_owned()).collect())
}

fn put(rights: &Rights, plural: &str, namespace: &str, name: &str, object: Option<&Value>) {
    let key = Key::new(&format!("{GROUP}/{plural}").into(), namespace, name);
    let bytes = object.map(Value::to_string);
    rights.changed(&key, bytes.as_deref().map(str::as_bytes));
}

fn role(rules: &Value) -> Value {
    json!({"metadata": {}, "rules": rules})
}

fn binding(kind: &str, role: &str, subjects: &Value) -> Value {
    json!({"metadata": {}, "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
        "subjects": subjects})
}

fn user(name: &str) -> Value {
    json!([{"kind": "User", "apiGroup": GROUP, "name": name}])
}

/// `verb group/resource/subresource namespace name`, `-` for an empty text.
fn ask<'a>(text: &'a str) -> Attributes<'a> {
    let mut words = text.split(' ').map(|word| if word == "-" { "" } else { word });
    let mut word = || words.next().unwrap_or_default();
    let (verb, what, namespace, name) = (word(), word(), word(), word());
    if what.starts_with('/') && !verb.is_empty() && namespace.is_empty() && name.is_empty() {
        return Attributes { verb, target: Target::Path(what) };
    }
    let mut parts = what.splitn(3, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (group, resource, subresource) = (part(), part(), part());
    let target = Target::Resource { group, resource, subresource, namespace, name };
    Attributes { verb, target }
}

#[test]
fn rules_allow_what_they_name() {
    let cases: &[(Value, &[&str], &[&str])] = &[
        (
            json!({"verbs": ["get", "list"], "apiGroups": ["a.b"], "resources": ["barns"]}),
            &["get a.b:barns ns x", "list a.b:barns - -"],
            &[
                "watch a.b:barns ns x",
                "get :barns ns x",
                "get a.b:cows ns x",
                "get a.b:barns:status ns x",
                "get a.b:* ns x",
                "* a.b:barns ns x",
                "get *:barns ns x",
            ],
        ),
        (
            json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["barns/status", "*/scale"]}),
            &["patch a.b:barns:status ns x", "get a.b:barns:scale ns x", "* *:cows:scale ns -"],
            &["get a.b:barns ns x", "get a.b:cows:status ns x", "get a.b:scale ns x"],
        ),
        (
            json!({"verbs": ["*"], "apiGroups": [""], "resources": ["*"]}),
            &["get :secrets ns x", "create :pods:exec ns x"],
            &["get a.b:secrets ns x", "get /api"],
        ),
        (
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["x"]}),
            &["get :secrets ns x"],
            &["get :secrets ns y", "get :secrets ns -"],
        ),
        (
            json!({"verbs": ["get"], "nonResourceURLs": ["/healthz", "/logs/*", "/x*"]}),
            &["get /healthz", "get /logs/", "get /logs/a/b", "get /x", "get /xyz"],
            &["get /healthz/a", "get /logs", "post /healthz", "get :logs ns x"],
        ),
        (
            json!({"verbs": ["get"], "nonResourceURLs": ["*"]}),
            &["get /", "get /a/b"],
            &["get :secrets ns x"],
        ),
    ];
    for (rule, allowed, refused) in cases {
        let rule: Rule = serde_json::from_value(rule.clone()).unwrap();
        for text in *allowed {
            assert!(rule.allows(&ask(text)), "{text} {rule:?}");
        }
        for text in *refused {
            assert!(!rule.allows(&ask(text)), "{text} {rule:?}");
        }
    }
}

#[test]
fn nobody_covers_what_he_does_not_hold() {
    let rule = |verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]| -> Rule {
        serde_json::from_value(json!({"verbs": verbs, "apiGroups": groups, "resources": resources,
            "resourceNames": names}))
        .unwrap()
    };
    let held = [
        rule(&["get", "list"], &["", "a.b"], &["barns", "*/status"], &[]),
        rule(&["get"], &[""], &["secrets"], &["x"]),
        serde_json::from_value(json!({"verbs": ["get"], "nonResourceURLs": ["/a/*"]})).unwrap(),
    ];
    let lacking = |wanted: Rule| -> String {
        missing(&held, &[wanted]).iter().map(Rule::describe).collect::<Vec<_>>().join("+")
    };
    assert_eq!(lacking(rule(&["list", "get"], &["a.b", ""], &["barns", "cows/status"], &[])), "");
    assert_eq!(lacking(rule(&["get"], &[""], &["barns"], &["y"])), "");
    assert_eq!(lacking(rule(&["get"], &[""], &["secrets"], &["x"])), "");
    assert_eq!(
        lacking(rule(&["get", "delete", "create"], &[""], &["barns"], &[])),
        r#"{APIGroups:[""], Resources:["barns"], Verbs:["delete" "create"]}"#
    );
    assert_eq!(
        lacking(rule(&["get"], &[""], &["secrets"], &["x", "y"])),
        r#"{APIGroups:[""], Resources:["secrets"], ResourceNames:["y"], Verbs:["get"]}"#
    );
    assert_eq!(
        lacking(rule(&["get"], &[""], &["secrets"], &[])),
        r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#
    );
    assert_eq!(
        lacking(rule(&["*"], &["*"], &["*"], &[])),
        r#"{APIGroups:["*"], Resources:["*"], Verbs:["*"]}"#
    );
    let paths: Rule =
        serde_json::from_value(json!({"verbs": ["get"], "nonResourceURLs": ["/a/b", "/c", "/a*"]}))
            .unwrap();
    assert_eq!(
        lacking(paths),
        r#"{NonResourceURLs:["/c"], Verbs:["get"]}+{NonResourceURLs:["/a*"], Verbs:["get"]}"#
    );
    assert_eq!(missing(&Rule::everything(), &held), []);
}

#[test]
fn bindings_give_rights_where_they_are_and_say_which_one_did() {
    let rights = Rights::default();
    let barns = json!([{"verbs": ["get"], "apiGroups": ["a.b"], "resources": ["barns"]}]);
    put(&rights, "clusterroles", "", "view", Some(&role(&barns)));
    put(&rights, "roles", "shop", "local", Some(&role(&barns)));
    put(
        &rights,
        "rolebindings",
        "shop",
        "b",
        Some(&binding("ClusterRole", "view", &user("alice"))),
    );
    put(&rights, "rolebindings", "farm", "gone", Some(&binding("Role", "local", &user("alice"))));
    let dev = json!([{"kind": "Group", "name": "dev"}]);
    put(&rights, "clusterrolebindings", "", "all", Some(&binding("ClusterRole", "view", &dev)));
    let robot = json!([{"kind": "ServiceAccount", "name": "robot"},
        {"kind": "ServiceAccount", "name": "robot", "namespace": "farm"}]);
    put(&rights, "rolebindings", "shop", "r", Some(&binding("Role", "local", &robot)));
    let reason = |who: &Identity, text: &str| {
        let decision = rights.decide(who, &ask(text));
        format!("{} {}", decision.is_allowed(), decision.reason())
    };
    let alice = person("alice", &[AUTHENTICATED]);
    assert_eq!(
        reason(&alice, "get a.b:barns shop x"),
        r#"true RBAC: allowed by RoleBinding "b/shop" of ClusterRole "view" to User "alice""#
    );
    assert_eq!(reason(&alice, "get a.b:barns - -"), "false ");
    assert_eq!(
        reason(&alice, "get a.b:barns farm x"),
        r#"false RBAC: role.rbac.authorization.k8s.io "local" not found"#
    );
    assert_eq!(
        reason(&person("bob", &["dev"]), "get a.b:barns farm x"),
        r#"true RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "view" to Group "dev""#
    );
    let robot = |namespace: &str| person(&format!("system:serviceaccount:{namespace}:robot"), &[]);
    assert_eq!(
        reason(&robot("shop"), "get a.b:barns shop x"),
        r#"true RBAC: allowed by RoleBinding "r/shop" of Role "local" to ServiceAccount "robot/shop""#
    );
    assert!(rights.decide(&robot("farm"), &ask("get a.b:barns shop x")).is_allowed());
    assert!(!rights.decide(&robot("x"), &ask("get a.b:barns shop x")).is_allowed());
    let master = person("root", &[ADMINISTRATORS]);
    assert_eq!(reason(&master, "anything x:y z w"), "true ");
    // All of it goes with what it came from.
    put(&rights, "rolebindings", "shop", "b", None);
    assert!(!rights.decide(&alice, &ask("get a.b:barns shop x")).is_allowed());
    put(&rights, "clusterroles", "", "view", None);
    assert_eq!(
        reason(&person("bob", &["dev"]), "get a.b:barns farm x"),
        r#"false RBAC: clusterrole.rbac.authorization.k8s.io "view" not found"#
    );
}

#[test]
fn a_scope_takes_away_from_everybody() {
    let rights = Rights::default();
    for object in bootstrap::objects() {
        let kind = object["kind"].as_str().unwrap().to_lowercase();
        let name = object["metadata"]["name"].as_str().unwrap();
        put(&rights, &format!("{kind}s"), "", name, Some(&object));
    }
    let scope =
        Scope { namespaces: vec!["shop".into()], verbs: vec!["get".into(), "create".into()] };
    let master = person("root", &[ADMINISTRATORS, AUTHENTICATED]).within(scope.clone());
    let allowed = [
        "get :secrets shop x",
        "get /apis",
        "create authorization.k8s.io:selfsubjectaccessreviews - -",
    ];
    let refused = [
        "get :secrets farm x",
        "get :secrets - -",
        "delete :secrets shop x",
        "get /debug",
        "create authorization.k8s.io:subjectaccessreviews - -",
        "post /api",
    ];
    for text in allowed {
        assert!(rights.decide(&master, &ask(text)).is_allowed(), "{text}");
    }
    for text in refused {
        assert!(!rights.decide(&master, &ask(text)).is_allowed(), "{text}");
    }
    assert!(!is_administrator(&master));
    let jane = person("jane", &[AUTHENTICATED]).within(scope);
    assert!(rights.decide(&jane, &ask("get /apis")).is_allowed());
    assert!(!rights.decide(&jane, &ask("get :secrets shop x")).is_allowed(), "it gives nothing");
    assert!(!rights.decide(&person("x", &[]), &ask("get /apis")).is_allowed());
    // What a review lists is what is decided, and nothing can be granted beyond it.
    for who in [&master, &jane] {
        for place in ["shop", "farm"] {
            let (rules, _) = rights.rules_for(who, place);
            for text in allowed.iter().chain(&refused) {
                let mut attributes = ask(text);
                let here = match &mut attributes.target {
                    Target::Resource { namespace, .. } => {
                        let outside = namespace.is_empty();
                        *namespace = place;
                        !outside
                    }
                    Target::Path(_) => true,
                };
                if here {
                    let listed = rules.iter().any(|rule| rule.allows(&attributes));
                    let decided = rights.decide(who, &attributes).is_allowed();
                    assert_eq!(listed, decided, "{attributes:?} {rules:?}");
                }
            }
        }
    }
    assert!(!rights.holds(&master, "shop", &Rule::everything()));
    assert!(rights.holds(&person("root", &[ADMINISTRATORS]), "", &Rule::everything()));
}

#[test]
fn roles_gather_the_rules_of_others_at_once_and_through_each_other() {
    let rights = Rights::default();
    let aggregated = |label: &str, own: &str| {
        json!({"metadata": {"labels": {own: "true"}}, "rules": [{"verbs": ["*"], "apiGroups": ["*"],
            "resources": ["*"]}], "aggregationRule": {"clusterRoleSelectors": [
                {"matchLabels": {label: "true"}}, {"matchExpressions": [
                    {"key": "also", "operator": "In", "values": [label]}]}]}})
    };
    let leaf = |label: &str, value: &str, verb: &str| {
        json!({"metadata": {"labels": {label: value}}, "rules": [{"verbs": [verb], "apiGroups": [""],
            "resources": ["cows"]}]})
    };
    put(&rights, "clusterroles", "", "admin", Some(&aggregated("to-admin", "x")));
    put(&rights, "clusterroles", "", "edit", Some(&aggregated("to-edit", "to-admin")));
    put(
        &rights,
        "clusterrolebindings",
        "",
        "b",
        Some(&binding("ClusterRole", "admin", &user("a"))),
    );
    let may = |verb: &str| {
        rights.decide(&person("a", &[]), &ask(&format!("{verb} :cows ns x"))).is_allowed()
    };
    assert!(!may("get"), "what it says of itself does not count");
    put(&rights, "clusterroles", "", "one", Some(&leaf("to-edit", "true", "get")));
    put(&rights, "clusterroles", "", "two", Some(&leaf("also", "to-admin", "milk")));
    assert!(may("get") && may("milk") && !may("delete"));
    put(&rights, "clusterroles", "", "one", Some(&leaf("to-nobody", "true", "get")));
    assert!(!may("get") && may("milk"));
    // A circle has an end.
    put(&rights, "clusterroles", "", "edit", Some(&aggregated("x", "to-admin")));
    put(&rights, "clusterroles", "", "two", None);
    assert!(!may("milk"));
}

/// An evaluation as the documentation of Kubernetes has it, without any index.
fn naive(
    objects: &[(String, String, String, Value)],
    who: &Identity,
    asked: &Attributes<'_>,
) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rules = |kind: &str, namespace: &str, name: &str| -> Vec<Value> {
        let (plural, namespace) =
            if kind == "Role" { ("roles", namespace) } else { ("clusterroles", "") };
        objects
            .iter()
            .filter(|(p, ns, n, _)| p == plural && ns == namespace && n == name)
            .flat_map(|(.., object)| object["rules"].as_array().unwrap().clone())
            .collect()
    };
    let has = |list: &Value, one: &str| {
        list.as_array().is_some_and(|list| list.iter().any(|it| it == one || it == "*"))
    };
    let allows = |rule: &Value| match asked.target {
        Target::Path(path) => {
            has(&rule["verbs"], asked.verb)
                && rule["nonResourceURLs"].as_array().is_some_and(|urls| {
                    urls.iter().any(|url| match text(url).strip_suffix('*') {
                        Some(start) => path.starts_with(start),
                        None => text(url) == path,
                    })
                })
        }
        Target::Resource { group, resource, subresource, name, .. } => {
            let whole = if subresource.is_empty() {
                resource.to_owned()
            } else {
                format!("{resource}/{subresource}")
            };
            let any = format!("*/{subresource}");
            let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
            has(&rule["verbs"], asked.verb)
                && has(&rule["apiGroups"], group)
                && (has(&rule["resources"], &whole)
                    || (!subresource.is_empty() && has(&rule["resources"], &any)))
                && names.is_none_or(|names| names.iter().any(|it| it == name))
        }
    };
    objects.iter().filter(|(plural, ..)| plural.ends_with("bindings")).any(|(_, ns, _, object)| {
        let namespace = asked.namespace();
        let subject = object["subjects"].as_array().unwrap().iter().any(|subject| {
            let name = text(&subject["name"]);
            match subject["kind"].as_str() {
                Some("User") => name == who.name,
                Some("Group") => who.groups.contains(&name),
                _ => {
                    let home = subject["namespace"].as_str().unwrap_or(ns);
                    format!("system:serviceaccount:{home}:{name}") == who.name
                }
            }
        });
        let role = &object["roleRef"];
        (ns.is_empty() || ns == namespace)
            && subject
            && rules(&text(&role["kind"]), ns, &text(&role["name"])).iter().any(allows)
    })
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn some_of(words: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(one_of(words), 1..3)
}

const NAMESPACES: &[&str] = &["shop", "farm"];
const NAMES: &[&str] = &["a", "b", "c"];

fn a_rule() -> impl Strategy<Value = Value> {
    let resources = (
        some_of(&["get", "list", "*"]),
        some_of(&["", "a.b", "*"]),
        some_of(&["barns", "cows", "barns/status", "*/status", "*"]),
        prop::collection::vec(one_of(&["x", "y"]), 0..2),
    )
        .prop_map(|(verbs, groups, resources, names)| {
            json!({"verbs": verbs, "apiGroups": groups, "resources": resources,
                "resourceNames": names})
        });
    let paths = (some_of(&["get", "*"]), some_of(&["/a", "/a/*", "/b*", "*"]))
        .prop_map(|(verbs, urls)| json!({"verbs": verbs, "nonResourceURLs": urls}));
    prop_oneof![4 => resources, 1 => paths]
}

fn a_subject() -> impl Strategy<Value = Value> {
    prop_oneof![
        one_of(&["alice", "bob"]).prop_map(|name| json!({"kind": "User", "name": name})),
        one_of(&["dev", "ops"]).prop_map(|name| json!({"kind": "Group", "name": name})),
        one_of(&["robot"]).prop_map(|name| json!({"kind": "ServiceAccount", "name": name})),
        one_of(NAMESPACES)
            .prop_map(|home| json!({"kind": "ServiceAccount", "name": "robot", "namespace": home})),
    ]
}

/// One write: plural, namespace, name and the object, or none for a deletion.
fn a_write() -> impl Strategy<Value = (String, String, String, Option<Value>)> {
    let rules = prop::collection::vec(a_rule(), 0..3).prop_map(|rules| role(&json!(rules)));
    let roles = (one_of(&["roles", "clusterroles"]), one_of(NAMESPACES), one_of(NAMES), rules);
    let bound =
        (one_of(&["Role", "ClusterRole"]), one_of(NAMES), prop::collection::vec(a_subject(), 0..4))
            .prop_map(|(kind, name, subjects)| binding(&kind, &name, &json!(subjects)));
    let bindings = (
        one_of(&["rolebindings", "clusterrolebindings"]),
        one_of(NAMESPACES),
        one_of(NAMES),
        bound,
    );
    (prop_oneof![roles, bindings], prop::bool::weighted(0.85)).prop_map(
        |((plural, namespace, name, mut object), stays)| {
            let of_cluster = plural.starts_with("cluster");
            if of_cluster && plural.ends_with("bindings") {
                object["roleRef"]["kind"] = json!("ClusterRole");
                for subject in object["subjects"].as_array_mut().unwrap() {
                    if subject["kind"] == "ServiceAccount" && subject["namespace"].is_null() {
                        subject["namespace"] = json!("shop");
                    }
                }
            }
            let namespace = if of_cluster { String::new() } else { namespace };
            (plural, namespace, name, stays.then_some(object))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_index_agrees_with_an_evaluation_of_everything(
        writes in prop::collection::vec(a_write(), 0..24),
    ) {
        let rights = Rights::default();
        let mut objects: Vec<(String, String, String, Value)> = Vec::new();
        for (plural, namespace, name, object) in writes {
            put(&rights, &plural, &namespace, &name, object.as_ref());
            objects.retain(|(p, ns, n, _)| (p, ns, n) != (&plural, &namespace, &name));
            if let Some(object) = object {
                objects.push((plural, namespace, name, object));
            }
        }
        let people = [
            person("alice", &["dev"]),
            person("bob", &["dev", "ops"]),
            person("system:serviceaccount:shop:robot", &[]),
            person("system:serviceaccount:farm:robot", &["ops"]),
        ];
        let asked = [
            "get :barns shop x", "get a.b:barns shop y", "list a.b:cows farm -", "get a.b:barns - -",
            "get a.b:barns:status farm x", "list :cows:status shop z", "* *:* shop -", "get /a",
            "get /a/b", "post /b", "delete a.b:barns farm x",
        ];
        for who in &people {
            for text in asked {
                let attributes = ask(text);
                let decided = rights.decide(who, &attributes).is_allowed();
                prop_assert_eq!(decided, naive(&objects, who, &attributes), "{} {}", who.name, text);
                let (rules, _) = rights.rules_for(who, attributes.namespace());
                let listed = rules.iter().any(|rule| rule.allows(&attributes));
                prop_assert_eq!(decided, listed, "the review, {} {}", who.name, text);
            }
        }
    }

    /// Whoever covers a rule may do all that the rule allows.
    #[test]
    fn what_is_covered_is_allowed(held in prop::collection::vec(a_rule(), 0..4), wanted in a_rule()) {
        let read = |rule: &Value| serde_json::from_value::<Rule>(rule.clone()).unwrap();
        let held: Vec<Rule> = held.iter().map(read).collect();
        let wanted = read(&wanted);
        let lacking = missing(&held, std::slice::from_ref(&wanted));
        let together: Vec<Rule> = held.iter().chain(&lacking).cloned().collect();
        prop_assert!(missing(&together, std::slice::from_ref(&wanted)).is_empty());
        if lacking.is_empty() {
            for verb in ["get", "list", "milk"] {
                for what in ["x:barns", ":barns", "a.b:cows", "a.b:barns:status", ":pigs:status"] {
                    for name in ["x", "y", "-"] {
                        let text = format!("{verb} {what} shop {name}");
                        let attributes = ask(&text);
                        if wanted.allows(&attributes) {
                            prop_assert!(held.iter().any(|rule| rule.allows(&attributes)), "{}", text);
                        }
                    }
                }
                for path in ["/a", "/a/b", "/bc", "/d"] {
                    let attributes = Attributes { verb, target: Target::Path(path) };
                    if wanted.allows(&attributes) {
                        prop_assert!(held.iter().any(|rule| rule.allows(&attributes)), "{}", path);
                    }
                }
            }
        }
    }
}
