//! An image registry with one image, as far as an engine asks for it.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry on this machine; ends with its runtime. It has `app:1` and
/// `app:latest`; for `private` it wants to know who asks.
pub struct Registry {
    pub address: String,
}

struct Content {
    manifest: Vec<u8>,
    blobs: Vec<Vec<u8>>,
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Content {
    /// One layer without files; `unique` makes the image another one.
    fn new(unique: &str) -> Self {
        // An empty archive is two blocks of zeros.
        let layer = vec![0; 1024];
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Labels":{{"unique":"{unique}"}}}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            digest(&layer)
        )
        .into_bytes();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{{"mediaType":"application/vnd.docker.container.image.v1+json","size":{},"digest":"{}"}},"layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","size":{},"digest":"{}"}}]}}"#,
            config.len(),
            digest(&config),
            layer.len(),
            digest(&layer),
        );
        Self { manifest: manifest.into_bytes(), blobs: vec![config, layer] }
    }
}

impl Registry {
    pub async fn start(unique: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let content = Arc::new(Content::new(unique));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let content = content.clone();
                tokio::spawn(async move {
                    let _ = serve(stream, &content).await;
                });
            }
        });
        Self { address }
    }
}

async fn serve(stream: TcpStream, content: &Content) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    let (status, kind, body) = answer(path, content);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Docker-Content-Digest: {}\r\nConnection: close\r\n\r\n",
        body.len(),
        digest(&body)
    );
    stream.write_all(head.as_bytes()).await?;
    if !request.starts_with("HEAD") {
        stream.write_all(&body).await?;
    }
    stream.flush().await
}

fn answer(path: &str, content: &Content) -> (&'static str, &'static str, Vec<u8>) {
    let json = "application/json";
    let manifests = ["/v2/app/manifests/1".to_owned(), "/v2/app/manifests/latest".to_owned()];
    let by_digest = format!("/v2/app/manifests/{}", digest(&content.manifest));
    if path == "/v2/" {
        return ("200 OK", json, b"{}".to_vec());
    }
    if path == by_digest || manifests.iter().any(|known| known == path) {
        return ("200 OK", MANIFEST_TYPE, content.manifest.clone());
    }
    let wanted = path.strip_prefix("/v2/app/blobs/");
    if let Some(blob) = content.blobs.iter().find(|blob| wanted == Some(&*digest(blob))) {
        return ("200 OK", "application/octet-stream", blob.clone());
    }
    if path.starts_with("/v2/private/") {
        let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        return ("401 Unauthorized", json, body.to_vec());
    }
    if path.starts_with("/v2/busy/") {
        let body = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"try again later"}]}"#;
        return ("429 Too Many Requests", json, body.to_vec());
    }
    let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    ("404 Not Found", json, body.to_vec())
}
