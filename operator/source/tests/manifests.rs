//! What the parser makes of manifests, good and bad.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::fs;
use std::path::Path;

use hades_source::manifest::{
    Limits, ManifestSet, Position, ReadError, STDIN_NAME, read_bytes, read_dir, read_path,
};
use proptest::prelude::*;

fn read(text: &str) -> ManifestSet {
    read_bytes("a.yaml", text.as_bytes(), &Limits::default()).unwrap()
}

/// All errors in their long form.
fn errors(text: &str) -> String {
    rendered(&read(text))
}

fn rendered(set: &ManifestSet) -> String {
    set.errors.iter().map(|error| error.render()).collect::<Vec<_>>().join("\n")
}

/// All errors on a line each.
fn lines(set: &ManifestSet) -> String {
    set.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn object(kind: &str, name: &str) -> String {
    format!("apiVersion: hades.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\n")
}

/// The set of a folder, with paths relative to it.
fn read_relative(dir: &Path, limits: &Limits) -> Result<ManifestSet, ReadError> {
    let mut set = read_dir(dir, limits)?;
    let prefix = format!("{}/", dir.display());
    for error in &mut set.errors {
        error.file = error.file.replace(&prefix, "");
        error.message = error.message.replace(&prefix, "");
    }
    for document in &mut set.documents {
        document.file = document.file.replace(&prefix, "");
    }
    for note in &mut set.notes {
        *note = note.replace(&prefix, "");
    }
    Ok(set)
}

const ENVIRONMENT: &str = "\
# production of the shop
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata:
  name: production
  namespace: shop
  labels:
    app.kubernetes.io/name: shop
spec:
  services:
    api:
      imgae: nginx
      ports:
        - 80
        - {container: 443, name: https}
      env: {\"A.B\": x}
";

#[test]
fn a_document_knows_who_it_is() {
    let set = read(ENVIRONMENT);
    assert_eq!(lines(&set), "");
    let document = &set.documents[0];
    assert_eq!(document.api_version, "hades.dev/v1alpha1");
    assert_eq!(document.group(), "hades.dev");
    assert_eq!(document.kind, "Environment");
    assert_eq!(document.namespace.as_deref(), Some("shop"));
    assert_eq!(document.name, "production");
    assert_eq!((document.index, document.line), (0, 2));
    assert_eq!(document.to_string(), "Environment shop/production");
    assert_eq!(document.value["spec"]["services"]["api"]["ports"][0], 80);
}

#[test]
fn every_field_has_a_place() {
    let set = read(ENVIRONMENT);
    let document = &set.documents[0];
    let at = |path: &str| document.locate(path).map(|at| (at.line, at.column));
    assert_eq!(at("spec.services.api.imgae"), Some((12, 7)));
    assert_eq!(at("/spec/services/api/imgae"), Some((12, 7)));
    assert_eq!(at(".spec.services.api.ports[0]"), Some((14, 11)));
    assert_eq!(at("spec.services.api.ports[1].container"), Some((15, 12)));
    assert_eq!(at("/spec/services/api/ports/1/name"), Some((15, 28)));
    assert_eq!(at("metadata.labels.app.kubernetes.io/name"), Some((8, 5)));
    assert_eq!(at("/metadata/labels/app.kubernetes.io~1name"), Some((8, 5)));
    assert_eq!(at("metadata.labels[app.kubernetes.io/name]"), Some((8, 5)));
    assert_eq!(at("spec.services.api.env[\"A.B\"]"), Some((16, 13)));
    assert_eq!(at("spec.services['api'].env.A.B"), Some((16, 13)));
    assert_eq!(at(""), Some((2, 1)));
    for missing in ["spec.replicas", "spec.services.api.ports[7]", "[", "a[b", "spec..services"] {
        assert_eq!(at(missing), None, "{missing}");
    }
    // What is missing is missed in what should hold it.
    let nearest = document.locate_nearest("spec.services.api.image");
    assert_eq!(nearest, Position { line: 11, column: 5 });
    assert_eq!(document.locate_nearest("nothing").line, 2);
}

#[test]
fn later_errors_point_at_the_line() {
    let set = read(ENVIRONMENT);
    let error = set.documents[0]
        .error_at("spec.services.api.imgae", "unknown field \"imgae\"; did you mean \"image\"?");
    assert_eq!(error.to_string(), "a.yaml:12:7: unknown field \"imgae\"; did you mean \"image\"?");
    insta::assert_snapshot!(error.render(), @r#"
    error: unknown field "imgae"; did you mean "image"?
      --> a.yaml:12:7
       |
    12 |       imgae: nginx
       |       ^
    "#);
}

#[test]
fn scalars_are_those_of_yaml_1_2() {
    let set = read(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  country: no\n  on: on\n  \
         yes: true\n  mode: 0755\n  big: 1_000\n  hex: 0x10\n  float: 1.5\n  none: ~\n  empty:\n  \
         quoted: \"1\"\n  date: 2026-11-22\n  80: port\n  time: 12:30:45\n  minus: -5\n",
    );
    assert_eq!(lines(&set), "");
    insta::assert_json_snapshot!(set.documents[0].value["data"], @r#"
    {
      "80": "port",
      "big": "1_000",
      "country": "no",
      "date": "2026-11-22",
      "empty": null,
      "float": 1.5,
      "hex": 16,
      "minus": -5,
      "mode": "0755",
      "none": null,
      "on": "on",
      "quoted": "1",
      "time": "12:30:45",
      "yes": true
    }
    "#);
}

#[test]
fn syntax_errors_have_words_and_places() {
    let cases = [
        ("unclosed quote", "a: \"b\nc: d\n"),
        ("tab", "a:\n\tb: c\n"),
        ("two colons", "a: b: c\n"),
        ("indentation", "a:\n    b: 1\n  c: 2\n"),
        ("no colon", "a: 1\nb\nc: 2\n"),
        ("open list", "a: [1, 2\nb: 3\n"),
        ("open map", "a: {b: 1\n"),
        ("stray bracket", "a: 1]\nb: ]\n"),
        ("item in map", "a: 1\n- b\n"),
        ("at sign", "a: @b\n"),
        ("percent", "a: %b\n"),
        ("star", "a: *b\n"),
        ("tag", "a: !vault b\n"),
        ("escape", "a: \"\\d\"\n"),
        ("after quote", "a: \"b\" c\n"),
        ("template", "a: {{ b }}\n"),
        ("infinity", "a: .inf\n"),
        ("digits", "a: 123456789012345678901234567890\n"),
        ("empty key", "~: 1\n"),
        ("merge", "a:\n  <<: 5\n"),
        ("deep", &format!("a: {}{}", "[".repeat(70), "]".repeat(70))),
    ];
    let all = cases
        .iter()
        .map(|(name, text)| format!("## {name}\n{}", errors(text)))
        .collect::<Vec<_>>()
        .join("\n");
    insta::assert_snapshot!(all);
}

#[test]
fn an_error_hides_no_other() {
    let text = format!(
        "{}---\nkind: [\n---\n{}spec: {{a: 1, b: 2, a: 3}}\n---\napiVersion: v1\n",
        object("Environment", "one"),
        object("Environment", "two"),
    );
    let set = read(&text);
    insta::assert_snapshot!(lines(&set), @r#"
    a.yaml:5:7: the list in [ ] is not closed, or a comma is missing
    a.yaml:10:20: the key "a" is here twice: it is already on line 10
    a.yaml:12:1: kind is missing
    "#);
    assert_eq!(set.documents.len(), 1);
    assert_eq!(set.documents[0].name, "one");
}

#[test]
fn all_duplicate_keys_are_reported() {
    let text = format!(
        "{}spec:\n  a: 1\n  b: {{c: 1, c: 2}}\n  a: 2\nspec: {{}}\n",
        object("Environment", "one")
    );
    insta::assert_snapshot!(errors(&text), @r#"
    error: the key "c" is here twice: it is already on line 6
     --> a.yaml:6:13
      |
    6 |   b: {c: 1, c: 2}
      |             ^

    error: the key "a" is here twice: it is already on line 5
     --> a.yaml:7:3
      |
    7 |   a: 2
      |   ^

    error: the key "spec" is here twice: it is already on line 4
     --> a.yaml:8:1
      |
    8 | spec: {}
      | ^
    "#);
}

#[test]
fn documents_are_told_apart() {
    let one = object("Environment", "one");
    let two = object("Environment", "two");
    for (text, names) in [
        (format!("{one}---\n{two}"), 2),
        (format!("---\n{one}---\n{two}---\n"), 2),
        (format!("# head\n---\n\n---\n# nothing\n---\n{one}...\n{two}"), 2),
        (format!("%YAML 1.2\n---\n{one}"), 1),
        (format!("\u{feff}{one}"), 1),
        (one.replace('\n', "\r\n") + "---\r\n" + &two.replace('\n', "\r\n"), 2),
        (format!("{one}text: |\n  ---\n  a\n---\n{two}"), 2),
        (format!("--- # first\n{one}"), 1),
        (format!("--- {{apiVersion: v1, kind: A, metadata: {{name: b}}}}\n---\n{two}"), 2),
        (String::new(), 0),
        ("# nothing\n---\n".to_owned(), 0),
    ] {
        let set = read(&text);
        assert_eq!(lines(&set), "", "{text}");
        assert_eq!(set.documents.len(), names, "{text}");
        if names == 2 {
            let second = &set.documents[1];
            assert_eq!(second.name, "two");
            let line = text.lines().position(|line| line.contains("two")).unwrap();
            let at = second.locate("metadata.name").unwrap();
            assert_eq!(at.line as usize, line + 1, "{text}");
        }
    }
}

#[test]
fn what_is_no_object_is_refused() {
    let cases = [
        "just text\n",
        "- a\n- b\n",
        "a: 1\n",
        "kind: Environment\nmetadata: {name: a}\n",
        "apiVersion: v1\nmetadata: {name: a}\n",
        "apiVersion: 1\nkind: ''\n",
        "apiVersion: v1\nkind: ConfigMap\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels: {}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: 5\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ''\n  namespace: []\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  generateName: a-\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: a\n",
        "apiVersion: v1\nkind: List\nitems: 5\n",
        "apiVersion: v1\nkind: List\nmetadata: {}\n",
        "--- ~\n",
    ];
    let all = cases
        .iter()
        .map(|text| format!("## {text:?}\n{}", lines(&read(text))))
        .collect::<Vec<_>>()
        .join("\n");
    insta::assert_snapshot!(all);
}

#[test]
fn lists_are_taken_apart() {
    let set = read(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: \
         {name: a}\n- apiVersion: v1\n  kind: ConfigMapList\n  items:\n  - {apiVersion: v1, kind: \
         ConfigMap, metadata: {name: b}}\n- kind: ConfigMap\n",
    );
    let names: Vec<_> = set.documents.iter().map(|each| each.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(set.documents[0].line, 4);
    assert_eq!(set.documents[1].locate("metadata.name").map(|at| at.line), Some(10));
    assert_eq!(lines(&set), "a.yaml:11:3: apiVersion is missing");
    // A kind that merely ends so is an object like any other.
    let set = read(&object("AllowList", "a"));
    assert_eq!(set.documents[0].kind, "AllowList");
}

#[test]
fn json_is_held_to_json() {
    let json = |text: &str| read_bytes("a.json", text.as_bytes(), &Limits::default()).unwrap();
    let good = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"ConfigMap\",\n\t\"metadata\": \
                {\"name\": \"a\\u00e9\\/\"}\n}\n";
    let set = json(good);
    assert_eq!(lines(&set), "");
    assert_eq!(set.documents[0].name, "a\u{e9}/");
    assert_eq!(set.documents[0].locate("metadata.name"), Some(Position { line: 4, column: 15 }));
    insta::assert_snapshot!(
        ["{\"a\": 1,}", "{a: 1}", "{\"a\": 1", "{\n  \"kind\": \"A\",\n  \"kind\": \"B\"\n}"]
            .map(|text| lines(&json(text)))
            .join("\n"),
        @r#"
        a.json:1:9: not valid JSON: key must be a string
        a.json:1:2: not valid JSON: key must be a string
        a.json:1:7: not valid JSON: EOF while parsing an object
        a.json:3:3: the key "kind" is here twice: it is already on line 2
        "#
    );
    let set = read_bytes(STDIN_NAME, good.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(set.documents.len(), 1, "standard input may be JSON");
}

#[test]
fn lines_of_secrets_are_never_shown() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n";
    let broken = [
        format!("{secret}  password: \"hunter2\n"),
        format!("{secret}  password: hunter2: x\n"),
        format!("{secret}  password: hunter2\n  password: hunter2\n"),
        format!("{secret}  password: @hunter2\n"),
        format!("{secret}  password: !hunter2 x\n"),
        format!("{secret}  password: *hunter2\n"),
        format!("{secret}  password: {{hunter2\n"),
        "{\"kind\":\n\"Secret\", \"data\": {\"password\": \"hunter2\", }, hunter2: @ }".to_owned(),
        "kind: !!str Secret\ndata: {a: hunter2, a: hunter2}\n".to_owned(),
        "kind: List\napiVersion: v1\nitems:\n- {kind: Secret, data: {a: hunter2, a: 1}}".to_owned(),
    ];
    for text in &broken {
        let set = read(text);
        assert!(!set.errors.is_empty(), "{text}");
        assert!(!rendered(&set).contains("hunter2"), "{}", rendered(&set));
        assert!(!format!("{set:?}").contains("hunter2"), "{text}");
    }
    let set = read(&format!("{secret}  password: hunter2\n"));
    assert!(!format!("{set:?}").contains("hunter2"));
    let error = set.documents[0].error_at("stringData.password", "wrong");
    assert_eq!(error.to_string(), "a.yaml:5:3: wrong");
    assert!(!error.render().contains("hunter2"));
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn aliases_are_bounded() {
    let good = read(&format!(
        "{}base: &base {{a: 1}}\nother: {{<<: *base, b: 2}}\nthird: *base\n",
        object("Environment", "one")
    ));
    assert_eq!(lines(&good), "");
    assert_eq!(good.documents[0].value["other"]["a"], 1);
    assert_eq!(good.documents[0].value["third"]["a"], 1);
    // An alias is where it is used.
    assert_eq!(good.documents[0].locate("third").map(|at| at.line), Some(6));

    let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let below = format!("*a{},", level - 1).repeat(10);
        laughs += &format!("a{level}: &a{level} [{below}]\n");
    }
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(500_000), "*a,".repeat(900));
    let recursive = "a: &a\n  b: *a\n".to_owned();
    for text in [laughs, long, recursive] {
        let set = read(&text);
        assert_eq!(set.documents.len(), 0);
        assert!(lines(&set).contains("alias"), "{}", lines(&set));
    }
}

#[test]
fn nesting_is_bounded() {
    let deep_map: String = (0..1400).map(|depth| " ".repeat(depth) + "a:\n").collect();
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(10_000),
        "- ".repeat(500_000),
        "? ".repeat(500_000),
        "- ? ".repeat(200_000),
        "[{a: ".repeat(100_000),
        "a: {<<: ".repeat(100_000),
        "- !!seq ".repeat(100_000),
        "(".repeat(1_000_000),
        "a: ".repeat(300_000),
        deep_map,
    ] {
        let set = read(&text);
        assert!(!set.errors.is_empty());
        assert!(lines(&set).len() < 500, "{}", lines(&set).len());
    }
    // What is allowed works, on the small stack of a test's thread, too.
    let one = object("Environment", "one");
    let deep_list = format!("{one}a: {}{}\n", "[".repeat(62), "]".repeat(62));
    let deep_map: String = (0..62).map(|depth| " ".repeat(depth) + "a:\n").collect();
    for text in [deep_list, one + &deep_map] {
        assert_eq!(lines(&read(&text)), "");
    }
}

#[test]
fn a_folder_is_read_whole() {
    let one = object("Environment", "one");
    let two = object("Environment", "two");
    let three = object("Environment", "three");
    let dir = folder(&[
        ("one.yaml", &one),
        ("deep/er/two.yml", &two),
        (
            "three.JSON",
            "{\"apiVersion\": \"v1\", \"kind\": \"A\", \"metadata\": {\"name\": \"b\"}}",
        ),
        (".hidden.yaml", "kind: ["),
        (".github/workflow.yaml", "kind: ["),
        ("README.md", "no manifest"),
        ("yaml", "no manifest"),
        ("values.yaml", "a: 1"),
        ("chart/values.yaml", "a: 1"),
        (".hadesignore", "values.yaml\n!x\n"),
        ("kustomization.yaml", &three),
    ]);
    let set = read_relative(dir.path(), &Limits::default()).unwrap();
    let found: Vec<_> =
        set.documents.iter().map(|each| format!("{} {}", each.file, each.name)).collect();
    assert_eq!(found, ["deep/er/two.yml two", "one.yaml one", "three.JSON b"]);
    assert_eq!(set.files, 4);
    insta::assert_snapshot!(lines(&set), @r"
    .hadesignore:2:1: patterns that begin with ! (take back in) are not supported; name what is to be left out more exactly
    kustomization.yaml: Hades doesn't run kustomize: commit the objects themselves, or name the file in .hadesignore
    ");
}

#[test]
fn an_object_in_two_places_is_an_error_that_names_both() {
    let one = object("Environment", "one");
    let dir = folder(&[
        ("a.yaml", &format!("---\n{one}")),
        ("b.yaml", &format!("{one}---\n{}---\n{one}", object("Template", "one"))),
    ]);
    let mut set = read_relative(dir.path(), &Limits::default()).unwrap();
    insta::assert_snapshot!(rendered(&set), @r"
    error: Environment one is in two files: it is already in a.yaml on line 4
     --> b.yaml:3:12
      |
    3 | metadata: {name: one}
      |            ^

    error: Environment one is in two files: it is already in a.yaml on line 4
      --> b.yaml:11:12
       |
    11 | metadata: {name: one}
       |            ^
    ");
    assert_eq!(set.documents.len(), 2);
    // The same over several arguments of a command line.
    set.errors.clear();
    set.extend(read(&one));
    assert_eq!(
        lines(&set),
        "a.yaml:3:12: Environment one is in this file twice: it is already on line 4"
    );
}

#[test]
fn symbolic_links_are_not_followed() {
    let outside = folder(&[("secret.yaml", "password: hunter2")]);
    let dir = folder(&[("one.yaml", &object("Environment", "one"))]);
    let link = |to: &Path, name: &str| {
        std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
    };
    link(&outside.path().join("secret.yaml"), "link.yaml");
    link(outside.path(), "folder");
    let set = read_relative(dir.path(), &Limits::default()).unwrap();
    assert_eq!(
        lines(&set),
        "link.yaml: a symbolic link, which is not followed: put the manifest itself here"
    );
    assert_eq!(set.notes, ["folder: a symbolic link, which is not followed"]);
    assert_eq!(set.files, 1);
}

#[test]
fn everything_has_a_limit() {
    let dir = folder(&[
        ("a.yaml", &object("Environment", "one")),
        ("b.yaml", &object("Environment", "two")),
    ]);
    let limited = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        read_relative(dir.path(), &limits)
    };
    let set = limited(|limits| limits.file_bytes = 10).unwrap();
    insta::assert_snapshot!(lines(&set), @r"
    a.yaml: the file is larger than 10 bytes; split it, or name it in .hadesignore if it is no manifest
    b.yaml: the file is larger than 10 bytes; split it, or name it in .hadesignore if it is no manifest
    ");
    assert!(matches!(
        limited(|limits| limits.files = 1),
        Err(ReadError::TooManyFiles { limit: 1 })
    ));
    assert!(matches!(
        limited(|limits| limits.total_bytes = 100),
        Err(ReadError::TooManyBytes { limit: 100 })
    ));
    assert!(matches!(
        limited(|limits| limits.documents = 1),
        Err(ReadError::TooManyDocuments { limit: 1 })
    ));
    assert!(limited(|limits| limits.files = 2).is_ok());
}

#[test]
fn the_digest_is_of_paths_and_contents() {
    let digest = |files: &[(&str, &str)]| {
        let dir = folder(files);
        read_dir(dir.path(), &Limits::default()).unwrap().digest
    };
    let one = digest(&[("a.yaml", "x: 1"), ("b.yaml", "")]);
    assert_eq!(one.len(), 64);
    assert_eq!(one, digest(&[("b.yaml", ""), ("a.yaml", "x: 1"), ("c.md", "x")]));
    assert_ne!(one, digest(&[("a.yaml", "x: 2"), ("b.yaml", "")]));
    assert_ne!(one, digest(&[("c.yaml", "x: 1"), ("b.yaml", "")]));
    assert_ne!(one, digest(&[("a.yaml", "x: 1")]));
}

#[test]
fn single_files_of_any_name() {
    let dir = folder(&[("manifest", &object("Environment", "one"))]);
    let set = read_path(&dir.path().join("manifest"), &Limits::default()).unwrap();
    assert_eq!(set.documents.len(), 1);
    assert_eq!(read_path(dir.path(), &Limits::default()).unwrap().files, 0);
    let missing = read_path(&dir.path().join("nothing"), &Limits::default());
    assert!(matches!(missing, Err(ReadError::Io { .. })));
}

#[test]
fn bytes_that_are_no_text() {
    let set = read_bytes("a.yaml", b"a: 1\nb: \xff\xfe\n", &Limits::default()).unwrap();
    assert_eq!(lines(&set), "a.yaml: not UTF-8 text (line 2)");
}

#[test]
fn carets_stand_below_their_column() {
    let set = read("\u{e4}\u{f6}: \u{1b}[31m \u{4e2d}\nb\u{e9}: \"x\" y\n");
    let shown = rendered(&set);
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_panic_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for name in ["a.yaml", "a.json"] {
            let set = read_bytes(name, &bytes, &Limits::default()).unwrap();
            for error in &set.errors { error.render(); }
        }
    }

    #[test]
    fn no_yaml_like_text_panics_the_parser(
        text in "([a-c]|: |\n|  |- |\"|'|\\[|\\]|\\{|\\}|, |&a|\\*a|<<|---\n|\\.\\.\\.\n|#|!|\\||>|%|\t|\u{e9}|kind: |apiVersion: v1\n|~|0x|1e9|\\\\){0,60}",
        path in "[a-c.\\[\\]/'\"0-9]{0,12}",
    ) {
        let set = read(&text);
        for error in &set.errors {
            error.render();
            // Every place is one of the file.
            if let Some(at) = error.position {
                prop_assert!(at.line >= 1 && at.line as usize <= text.lines().count() + 1, "{error}");
            }
        }
        for document in &set.documents { document.locate(&path); document.locate_nearest(&path); }
    }

    #[test]
    fn values_come_through_unchanged(values in proptest::collection::btree_map("[a-z]{1,8}", "\\PC{0,20}", 0..8)) {
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": values,
        });
        let yaml = serde_saphyr::to_string(&object).unwrap();
        for (name, text) in [("a.yaml", &yaml), ("a.json", &object.to_string())] {
            let set = read_bytes(name, text.as_bytes(), &Limits::default()).unwrap();
            prop_assert_eq!(lines(&set), "");
            prop_assert_eq!(&set.documents[0].value, &object);
        }
    }
}
