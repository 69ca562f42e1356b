//! A connection to one server as one person.

use std::fmt;
use std::time::Duration;

use http::{Method, Request, header};
use kube::api::DynamicObject;
use kube::client::ClientBuilder;
use kube::client::retry::RetryPolicy;
use kube::{Api, Client, Config};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;
use tower::util::{MapResponseLayer, option_layer};

use crate::{Credential, Error, Kind, Locations, Warnings};

/// How long to try for a connection (seconds): longer only hides a wrong address.
const CONNECT_SECONDS: u64 = 10;

/// Requests that may wait to be sent.
const QUEUED: usize = 64;

/// A server that is busy is asked again for some seconds: somebody waits.
fn retries() -> Option<RetryPolicy> {
    RetryPolicy::new(Duration::from_millis(250), Duration::from_secs(2), 4, false).ok()
}

/// A connection to one server as one person.
#[derive(Clone)]
pub struct Session {
    client: Client,
    server: String,
    project: Option<String>,
    credential: Credential,
    warnings: Option<Warnings>,
}

impl Session {
    /// Reads the kubeconfig and makes a client. Nothing is sent yet. What the
    /// server warns of goes to `warnings`.
    ///
    /// # Errors
    /// [`Error::NoKubeconfig`], [`Error::Kubeconfig`], [`Error::NoContext`].
    pub async fn open(
        locations: &Locations,
        context: Option<&str>,
        warnings: Warnings,
    ) -> Result<Self, Error> {
        let source = locations.find()?;
        Self::of_config(source.config(context).await?, warnings)
    }

    /// To the server of a configuration, as the one whom it names.
    ///
    /// # Errors
    /// When no client can be made of it.
    pub(crate) fn of_config(mut config: Config, warnings: Warnings) -> Result<Self, Error> {
        // A second provider in the program would make rustls refuse to choose.
        // An error says that one was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        config.connect_timeout = Some(Duration::from_secs(CONNECT_SECONDS));
        // The library's own goes on for an hour, as suits a controller.
        config.default_retry = false;
        let credential = Credential::of(&config.auth_info);
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        // No project is called `default`: it is what a kubeconfig without a
        // namespace yields.
        let project =
            Some(config.default_namespace.clone()).filter(|namespace| namespace != "default");
        let told = warnings.clone();
        let listen = MapResponseLayer::new(move |response: http::Response<_>| {
            told.note(response.headers());
            response
        });
        let client = ClientBuilder::try_from(config)
            .map_err(|error| Error::of_call(&server, credential, error))?
            .with_layer(&listen)
            // The library's service can't be cloned, which trying again takes.
            .with_layer(&BufferLayer::new(QUEUED))
            .with_layer(&option_layer(retries().map(RetryLayer::new)))
            .build();
        Ok(Self { client, server, project, credential, warnings: Some(warnings) })
    }

    /// Over a client that is there already.
    pub fn of_client(client: Client, server: impl Into<String>, project: Option<String>) -> Self {
        let credential = Credential::Other;
        Self { client, server: server.into(), project, credential, warnings: None }
    }

    /// The client below.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Address of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Project that the kubeconfig's context names.
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// Calls on objects of a kind; in all projects with no `namespace`.
    pub fn api(&self, kind: &Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace.filter(|_| kind.namespaced) {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind.resource),
            None => Api::all_with(self.client.clone(), &kind.resource),
        }
    }

    /// By what it shows who we are.
    pub fn credential(&self) -> Credential {
        self.credential
    }

    /// Puts an error of a call into words.
    pub fn error(&self, error: kube::Error) -> Error {
        Error::of_call(&self.server, self.credential, error)
    }

    /// Tells something that the person should know of an answer.
    pub(crate) fn warn(&self, text: &str) {
        if let Some(warnings) = &self.warnings {
            warnings.tell(text);
        }
    }

    /// Asks for something that is no object of the usual kind: a small document of
    /// JSON, or none, for another one.
    ///
    /// # Errors
    /// When the server refuses or doesn't answer.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Error> {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(body).map_err(|error| self.protocol(error))?;
        self.client.request(request).await.map_err(|error| self.error(error))
    }

    /// An answer that makes no sense.
    pub(crate) fn protocol(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::Protocol { server: self.server.clone(), source: source.into() }
    }
}

/// Without the client, which holds the token.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("server", &self.server)
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use k8s_openapi::api::core::v1::Namespace;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_server_that_is_busy_for_long_is_given_up_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                count.fetch_add(1, Ordering::SeqCst);
                let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\
                              Connection: close\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: x, users: [],\n\
             clusters: [{{name: x, cluster: {{server: 'http://{address}'}}}}],\n\
             contexts: [{{name: x, context: {{cluster: x, user: ''}}}}]}}"
        );
        std::fs::write(&file, text).unwrap();
        let locations = Locations { flag: Some(file), ..Locations::default() };
        let session = Session::open(&locations, None, Warnings::new(|_| {})).await.unwrap();
        let api: Api<Namespace> = Api::all(session.client().clone());
        assert!(api.get("shop").await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 5);
    }
}
