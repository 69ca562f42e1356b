//! Custom resource definitions by kubectl: in the style of those in the wild.

use crate::cluster::{Cluster, Output};
use crate::release::Release;

const FILE: &str = include_str!("files/certificates-crd.yaml");

/// What was printed, against what was expected; told all at once.
#[derive(Default)]
struct Checks {
    complaints: Vec<String>,
}

impl Checks {
    fn contains(&mut self, line: &str, printed: &str, parts: &[&str]) {
        for part in parts.iter().filter(|part| !printed.contains(**part)) {
            self.complaints.push(format!("kubectl {line}\n{part:?} is not in:\n{printed}"));
        }
    }

    async fn ok(&mut self, cluster: &Cluster, line: &str, input: &str, parts: &[&str]) {
        let output = run(cluster, line, input).await;
        if !output.ok {
            self.complaints.push(format!("kubectl {line}\n{}", output.err));
        }
        self.contains(line, &output.out, parts);
    }

    async fn fails(&mut self, cluster: &Cluster, line: &str, input: &str, parts: &[&str]) {
        let output = run(cluster, line, input).await;
        if output.ok {
            self.complaints.push(format!("kubectl {line} should fail\n{}", output.out));
        }
        self.contains(line, &output.err, parts);
    }
}

async fn run(cluster: &Cluster, line: &str, input: &str) -> Output {
    let arguments: Vec<&str> = line.split_whitespace().collect();
    cluster.kubectl(&arguments, input).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_from_the_wild_is_applied_used_and_deleted() {
    let Some(kubectl) = Release::newest() else {
        return;
    };
    let cluster = Cluster::start(&kubectl.program).await;
    let mut checks = Checks::default();
    let (definition, certificate) = FILE.split_once("\n---\n").unwrap();
    let created = "certificates.certs.example created";
    checks.ok(&cluster, "apply -f -", definition, &[created]).await;
    checks
        .ok(&cluster, "apply -f -", certificate, &["certificate.certs.example/shop created"])
        .await;
    let version = "get crd certificates.certs.example -o jsonpath={.metadata.resourceVersion}";
    let before = cluster.ok(version).await;
    checks.ok(&cluster, "apply -f -", FILE, &["shop unchanged"]).await;
    assert_eq!(cluster.ok(version).await, before, "nothing was written");
    let apply = "apply --server-side --force-conflicts -f -";
    checks.ok(&cluster, apply, FILE, &["serverside-applied"]).await;
    let lines: &[(&str, &[&str])] = &[
        ("wait --for=condition=Established crd/certificates.certs.example", &["condition met"]),
        ("get cert", &["NAME", "READY", "SECRET", "AGE", "shop-tls"]),
        ("get certs -o wide", &["ISSUER", "letsencrypt"]),
        ("get certificates.v1beta1.certs.example -o yaml", &["apiVersion: certs.example/v1beta1"]),
        (
            "get cert shop -o jsonpath={.spec.privateKey.algorithm}{.spec.webhookConfig.zone.id}\
             {.spec.template.data.a}",
            &["RSA7b"],
        ),
        ("explain cert.spec.privateKey.algorithm", &["Of the key.", "Ed25519"]),
        ("explain cert --recursive --api-version=certs.example/v1", &["issuerRef", "conditions"]),
        (
            "explain crd.spec.versions.schema --recursive",
            &["openAPIV3Schema", "x-kubernetes-validations", "additionalProperties"],
        ),
        ("explain crd.spec.versions.additionalPrinterColumns", &["jsonPath"]),
        ("scale cert/shop --replicas=3", &["scaled"]),
        ("scale cert shop --replicas=4 --current-replicas=3", &["scaled"]),
        ("get cert shop -o jsonpath={.spec.replicas}", &["4"]),
        ("get cert shop --subresource=scale", &["DESIRED", "4"]),
        (
            "patch cert shop --subresource=scale --type=merge -p {\"spec\":{\"replicas\":2}}",
            &["patched"],
        ),
        ("get cert shop -o jsonpath={.spec.replicas}", &["2"]),
        ("api-resources --api-group=certs.example", &["cert,certs", "certs.example/v1"]),
        ("describe crd certificates.certs.example", &["Accepted Names", "Established"]),
        ("get crd", &["certificates.certs.example", "barns.farm.example"]),
    ];
    for (line, parts) in lines {
        checks.ok(&cluster, line, "", parts).await;
    }
    let version = cluster.ok("get cert shop -o jsonpath={.metadata.resourceVersion}").await;
    let scale = format!("scale cert shop --replicas=5 --resource-version={version}");
    checks.ok(&cluster, &scale, "", &["scaled"]).await;
    checks.fails(&cluster, &scale, "", &["resource version"]).await;
    let scale = "scale cert shop --replicas=1 --current-replicas=9";
    checks.fails(&cluster, scale, "", &["Expected replicas to be 9, was 5"]).await;
    let refused = [
        (
            certificate
                .replace("shop-tls", "other")
                .replace("dnsNames:", "isCA: true\n  dnsNames:"),
            ["secretName can't be changed", "an authority has no DNS names"],
        ),
        (certificate.replace("port: https", "port: 1.5"), ["spec.port", "Invalid value"]),
        (certificate.replace("dnsNames", "dnsName"), ["unknown field", "spec.dnsName"]),
        (
            definition.replacen("additionalPrinterColumns", "additionalPrinterColumn", 1),
            ["unknown field", "spec.versions[0].additionalPrinterColumn"],
        ),
        (
            definition.replace("  scope:", "  conversion: {strategy: Webhook}\n  scope:"),
            ["spec.conversion.strategy: Unsupported value: \"Webhook\"", "None"],
        ),
    ];
    for (input, parts) in &refused {
        checks.fails(&cluster, "apply -f -", input, parts).await;
    }
    let line = "delete crd barns.farm.example";
    checks.fails(&cluster, line, "", &["it comes with the server"]).await;
    checks.ok(&cluster, "delete crd certificates.certs.example", "", &["deleted"]).await;
    checks.fails(&cluster, "get cert", "", &["could not find the requested resource"]).await;
    checks.ok(&cluster, "apply -f -", definition, &[created]).await;
    let left = cluster.ok("get cert -o name").await;
    cluster.stop().await;
    assert!(checks.complaints.is_empty(), "{}", checks.complaints.join("\n\n"));
    assert_eq!(left, "", "a new definition starts empty");
}
