//! What works without a server, as a person sees it.

mod support;

use support::Shell;

#[test]
fn starter_repository() {
    let shell = Shell::offline();
    let session = shell.session(&[
        "init fleet",
        "apply -f fleet --dry-run=client",
        "render -f fleet",
        "init fleet",
        "init fleet/shop/base.yaml",
    ]);
    assert_golden!("starter_repository", session);
    let schema =
        std::fs::read_to_string(shell.folder.path().join("fleet/schemas/environment.json"));
    let schema: serde_json::Value = serde_json::from_str(&schema.unwrap()).unwrap();
    assert_eq!(schema["title"], "Environment");
    // Each manifest names a schema that is there.
    for manifest in ["project", "base", "production"] {
        let path = shell.folder.path().join(format!("fleet/shop/{manifest}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap();
        let schema = text.lines().next().unwrap().split_once("$schema=").unwrap().1;
        assert!(path.parent().unwrap().join(schema).is_file(), "{schema}");
    }
}

const BASE: &str = "\
apiVersion: hades.dev/v1alpha1
kind: EnvironmentTemplate
metadata: {name: base, namespace: shop}
spec:
  env: {LOG_LEVEL: info}
  services:
    api: {image: 'api:1', replicas: 2}
";

const PRODUCTION: &str = "\
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: production, namespace: shop}
spec:
  templateRef: {name: base}
  services:
    api: {replicas: 3}
";

#[test]
fn render() {
    let shell = Shell::offline();
    shell.write("all/base.yaml", BASE);
    shell.write("all/production.yaml", PRODUCTION);
    shell.write("alone.yaml", PRODUCTION);
    shell.write("other.yaml", &PRODUCTION.replace("name: base", "name: bas"));
    assert_golden!(
        "render",
        shell.session(&[
            "render -f all",
            "render shop/production -f all -o json",
            "render shop/prod -f all",
            "render -f alone.yaml",
            "render -f other.yaml -f all/base.yaml",
            "render -f - < all/production.yaml",
        ])
    );
}

#[test]
fn what_only_shows_once_it_is_merged() {
    let shell = Shell::offline();
    shell.write(
        "m/project.yaml",
        "apiVersion: hades.dev/v1alpha1\nkind: HadesProject\nmetadata: {name: shop}\nspec: {env: {REGION: eu, LOG_LEVEL: debug}, policy: {capabilities: [NET_ADMIN]}}\n",
    );
    let base = BASE.replace(
        "replicas: 2}",
        "resources: {limits: {memory: 256m}}, healthCheck: {http: {path: /}, interval: 5s}}",
    );
    shell.write("m/base.yaml", &base);
    let files = "files: {/etc/app.conf: {content: 'a = 1', mode: '0640'}, /key: {secretKeyRef: {name: s, key: k}}}";
    let api = |more: &str| PRODUCTION.replace("{replicas: 3}", &format!("{{{files}, {more}}}"));
    shell.write("m/production.yaml", &api("capAdd: [SYS_ADMIN], tmpfs: {/etc: {size: 1Mi}}"));
    let wrong = shell.session(&["apply -f m --dry-run=client"]);
    shell.write("m/base.yaml", &base.replace("256m", "256Mi"));
    shell.write("m/production.yaml", &api("capAdd: [NET_ADMIN], healthCheck: {tcp: {port: 80}}"));
    let right = shell.session(&["apply -f m --dry-run=client", "render -f m"]);
    assert_golden!("once_it_is_merged", format!("{wrong}{right}"));
}

#[test]
fn broken_manifests() {
    let shell = Shell::offline();
    shell.write(
        "m/a.yaml",
        &format!("{PRODUCTION}---\napiVersion: hades.dev/v1alpha1\nkind: Environement\nmetadata: {{name: x}}\n"),
    );
    shell.write("m/b.yaml", "apiVersion: hades.dev/v1alpha1\nkind: Environment\nmetadata:\n  name: b\nspec:\n  services:\n    web:\n      imag: nginx\n      ports: [80, eighty, '8080:0']\n   bad indent: 1\n");
    shell.write("m/c.yaml", "apiVersion: hades.dev/v1alpha1\nkind: Environment\nmetadata:\n  name: c\n  namespace: shop\nspec:\n  services:\n    web:\n      imag: nginx\n      ports: [80, eighty, '8080:0']\n      replicas: many\n");
    shell.write("m/d.yaml", PRODUCTION);
    shell.write("empty/README.md", "nothing");
    assert_golden!(
        "broken_manifests",
        shell.session(&[
            "apply -f m --dry-run=client",
            "apply -f empty --dry-run=client",
            "apply -f nowhere.yaml --dry-run=client",
            "apply -f - --dry-run=client < m/c.yaml",
            "apply -f m/d.yaml --dry-run=client -p blog",
        ])
    );
}

#[test]
fn no_server() {
    let shell = Shell::offline();
    shell.write(
        "kubeconfig",
        "apiVersion: v1\nkind: Config\nclusters: [{name: h, cluster: {server: 'https://127.0.0.1:1'}}]\n\
         contexts: [{name: hades, context: {cluster: h, user: u}}]\nusers: [{name: u, user: {token: t}}]\n\
         current-context: hades\n",
    );
    shell.write("broken", "clusters: 5\n");
    assert_golden!(
        "no_server",
        shell.session(&[
            "version --client",
            "version",
            "get env --kubeconfig nowhere",
            "get env --kubeconfig broken",
            "get env --kubeconfig kubeconfig --context hade",
            "get env --kubeconfig kubeconfig",
            "diff shop/production --kubeconfig kubeconfig",
        ])
    );
}

#[test]
fn wrong_calls() {
    let shell = Shell::offline();
    assert_golden!(
        "wrong_calls",
        shell.session(&[
            "gte env",
            "logs shop/Production",
            "logs a/b/c/d",
            "logs shop/production --replica 1",
            "logs shop/production --since soon",
            "wait shop/production --for healthy",
            "completion tcsh",
        ])
    );
}

#[test]
fn completion_scripts() {
    let shell = Shell::offline();
    for (name, sign) in
        [("bash", "_hadesctl()"), ("zsh", "#compdef hadesctl"), ("fish", "complete -c hadesctl")]
    {
        let outcome = shell.run(&format!("completion {name}"));
        assert_eq!(outcome.status, 0);
        assert!(outcome.stdout.contains(sign), "{name}");
        assert!(outcome.stdout.contains("render"), "{name} knows the commands");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let shell = Shell::offline();
    let mut child =
        shell.command("completion zsh").stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn piped_output_is_plain_unless_asked() {
    let shell = Shell::offline();
    let plain = shell.run("logs a/b/c/d");
    assert!(!plain.stderr.contains('\u{1b}'));
    let coloured = shell.run("logs a/b/c/d --color always");
    assert!(coloured.stderr.contains('\u{1b}'));
}
