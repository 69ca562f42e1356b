//! Somebody with a token, who asks the server.

use hades_api::User;
use http::{Method, Request, StatusCode};
use kube::client::Body;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::{Client, CustomResourceExt};
use serde_json::{Value, json};

use crate::hades::Hades;

/// Somebody with a token.
pub struct Person {
    pub client: Client,
    pub kubeconfig: std::path::PathBuf,
}

/// The administrator, by the kubeconfig of the server.
pub async fn administrator(hades: &Hades) -> Person {
    person(hades.kubeconfig()).await
}

async fn person(kubeconfig: std::path::PathBuf) -> Person {
    let config = Kubeconfig::read_from(&kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(config, &options).await.unwrap();
    Person { client: Client::try_from(config).unwrap(), kubeconfig }
}

impl Person {
    /// Asks; the code and the body of the answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, String) {
        let kind = if method == Method::PATCH { "merge-patch+json" } else { "json" };
        let body = body.map_or_else(Vec::new, |body| serde_json::to_vec(body).unwrap());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", format!("application/{kind}"))
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    /// Asks for what everybody may see, in the name of somebody else.
    pub async fn ask_in_the_name(&self, mask: &[(&'static str, String)]) -> (StatusCode, String) {
        let mut request = Request::get("/version").body(Body::empty()).unwrap();
        for (header, value) in mask {
            request.headers_mut().insert(*header, value.parse().unwrap());
        }
        self.send(request).await
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.client.send(request).await.unwrap();
        let code = response.status();
        let body = response.into_body().collect_bytes().await.unwrap();
        (code, String::from_utf8_lossy(&body).into_owned())
    }

    /// Makes a user, if there is none, and a token for him; `spec` is that of the token.
    pub async fn token(&self, hades: &Hades, user: &str, name: &str, spec: Value) -> Person {
        let object = json!({
            "apiVersion": User::crd().spec.group.clone() + "/v1alpha1", "kind": "User",
            "metadata": {"name": user}, "spec": {},
        });
        let (code, answer) =
            self.ask(Method::POST, "/apis/hades.dev/v1alpha1/users", Some(&object)).await;
        assert!(code.is_success() || code == StatusCode::CONFLICT, "{answer}");
        let path = format!("/apis/operations.hades.dev/v1alpha1/users/{user}/tokens");
        let token = json!({"metadata": {"name": name}, "spec": spec});
        let (code, answer) = self.ask(Method::POST, &path, Some(&token)).await;
        assert!(code.is_success(), "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let token = answer["status"]["token"].as_str().unwrap();
        let mut config = Kubeconfig::read_from(hades.kubeconfig()).unwrap();
        let auth = config.auth_infos[0].auth_info.as_mut().unwrap();
        auth.token = Some(token.to_owned().into());
        let file = hades.dir.path().join(format!("{user}-{name}.kubeconfig"));
        std::fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
        person(file).await
    }
}
