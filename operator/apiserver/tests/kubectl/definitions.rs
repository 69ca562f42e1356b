//! Custom resource definitions by kubectl: in the style of those in the wild.

use crate::cluster::Cluster;
use crate::contains;
use crate::release::Release;

const FILE: &str = include_str!("files/certificates-crd.yaml");

async fn all_of(cluster: &Cluster, lines: &[(&str, &[&str])]) {
    for (line, parts) in lines {
        contains(&cluster.ok(line).await, parts);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_from_the_wild_is_applied_used_and_deleted() {
    let Some(kubectl) = Release::newest() else {
        return;
    };
    let cluster = Cluster::start(&kubectl.program).await;
    let (definition, certificate) = FILE.split_once("\n---\n").unwrap();
    contains(&cluster.ok_with("apply -f -", definition).await, &["certificates.certs.example created"]);
    contains(&cluster.ok_with("apply -f -", certificate).await, &["certificate.certs.example/shop created"]);
    contains(&cluster.ok_with("apply -f -", FILE).await, &["certs.example unchanged", "shop unchanged"]);
    contains(
        &cluster.ok_with("apply --server-side --force-conflicts -f -", FILE).await,
        &["serverside-applied"],
    );
    let lines: &[(&str, &[&str])] = &[
        ("wait --for=condition=Established crd/certificates.certs.example", &["condition met"]),
        ("get cert", &["NAME", "READY", "SECRET", "AGE", "shop-tls"]),
        ("get certs -o wide", &["ISSUER", "letsencrypt"]),
        ("get certificates.v1beta1.certs.example -o yaml", &["apiVersion: certs.example/v1beta1"]),
        ("get cert shop -o jsonpath={.spec.privateKey.algorithm}{.spec.webhookConfig.zone.id}{.spec.template.data.a}", &["RSA7b"]),
        ("explain cert.spec.privateKey.algorithm", &["Of the key.", "enum: RSA, ECDSA, Ed25519", "RSA"]),
        ("explain certificate --recursive --api-version=certs.example/v1", &["issuerRef", "conditions"]),
        ("explain crd.spec.versions.schema --recursive", &["openAPIV3Schema", "x-kubernetes-validations", "additionalProperties"]),
        ("explain crd.spec.versions.additionalPrinterColumns", &["jsonPath"]),
        ("scale cert/shop --replicas=3", &["scaled"]),
        ("scale cert shop --replicas=4 --current-replicas=3", &["scaled"]),
        ("get cert shop -o jsonpath={.spec.replicas}", &["4"]),
        ("get cert shop --subresource=scale", &["DESIRED", "4"]),
        ("patch cert shop --subresource=scale --type=merge -p {\"spec\":{\"replicas\":2}}", &["patched"]),
        ("get cert shop -o jsonpath={.spec.replicas}", &["2"]),
        ("api-resources --api-group=certs.example", &["cert,certs", "certs.example/v1", "Certificate"]),
        ("describe crd certificates.certs.example", &["Accepted Names", "Established"]),
        ("get crd", &["certificates.certs.example", "barns.farm.example"]),
    ];
    all_of(&cluster, lines).await;
    let version = cluster.ok("get cert shop -o jsonpath={.metadata.resourceVersion}").await;
    let scale = format!("scale cert shop --replicas=5 --resource-version={version}");
    contains(&cluster.ok(&scale).await, &["scaled"]);
    contains(&cluster.fails(&scale, "").await, &["Expected resource version"]);
    contains(
        &cluster.fails("scale cert shop --replicas=1 --current-replicas=9", "").await,
        &["Expected replicas to be 9, was 5"],
    );
    let bad = certificate.replace("shop-tls", "other").replace("port: https", "port: 1.5");
    contains(
        &cluster.fails("apply -f -", &bad).await,
        &["secretName can't be changed", "spec.port"],
    );
    let unknown = certificate.replace("dnsNames", "dnsName");
    contains(&cluster.fails("apply -f -", &unknown).await, &["unknown field", "spec.dnsName"]);
    let typo = definition.replacen("additionalPrinterColumns", "additionalPrinterColumn", 1);
    contains(
        &cluster.fails("apply -f -", &typo).await,
        &["unknown field", "spec.versions[0].additionalPrinterColumn"],
    );
    let webhook = definition.replace("  scope: Namespaced", "  scope: Namespaced\n  conversion: {strategy: Webhook}");
    contains(&cluster.fails("apply -f -", &webhook).await, &["spec.conversion.strategy: Unsupported value: \"Webhook\""]);
    contains(
        &cluster.fails("delete crd barns.farm.example", "").await,
        &["it comes with the server"],
    );
    contains(&cluster.ok("delete crd certificates.certs.example").await, &["deleted"]);
    contains(&cluster.fails("get cert", "").await, &["the server doesn't have a resource type \"cert\""]);
    contains(&cluster.ok_with("apply -f -", definition).await, &["created"]);
    assert_eq!(cluster.ok("get cert -o name").await, "");
    cluster.stop().await;
}
