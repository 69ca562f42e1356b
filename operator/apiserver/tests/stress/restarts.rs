//! The server stops and starts again under controllers, reflectors and a writer:
//! what was acknowledged is there, versions only grow, and everybody catches up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use hades_apiserver::{ApiServer, Identity};
use http::{Request, Response};
use kube::api::PostParams;
use kube::client::Body;
use kube::{Client, ResourceExt};

use crate::controllers::{self, Context};
use crate::run::{Run, Tasks, repeat};
use crate::support::{Server, barn};

/// Where requests go: to the server that runs now, or nowhere.
#[derive(Clone, Default)]
struct Switch(Arc<Mutex<Option<Router>>>);

impl Switch {
    fn turn(&self, server: Option<&ApiServer>) {
        *self.0.lock().unwrap() = server.map(ApiServer::router);
    }

    /// A client that outlives servers.
    fn client(&self) -> Client {
        let switch = self.clone();
        let service = tower::service_fn(move |mut request: Request<Body>| {
            request.extensions_mut().insert(Identity::controller("tester"));
            let router = switch.0.lock().unwrap().clone();
            async move {
                let Some(router) = router else {
                    let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure",
                        "reason":"ServiceUnavailable","message":"down","code":503}"#;
                    let answer = Response::builder().status(503).body(status.into()).unwrap();
                    return Ok::<Response<axum::body::Body>, std::convert::Infallible>(answer);
                };
                tower::ServiceExt::oneshot(router, request).await
            }
        });
        Client::new(service, "default")
    }
}

/// Creates barns in order, each until it is acknowledged.
async fn write(context: Arc<Context>, count: u64, acknowledged: Arc<Mutex<Vec<u64>>>) {
    for index in 0..count {
        let object = barn(&format!("w{index}"), 14);
        loop {
            context.run.note("writer", format!("creates w{index}"));
            match context.barns.create(&PostParams::default(), &object).await {
                Ok(made) => {
                    let version = made.resource_version().unwrap().parse().unwrap();
                    acknowledged.lock().unwrap().push(version);
                    break;
                }
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    // The commit was done, its answer was lost.
                    break;
                }
                // The server is down: a Status, or a connection that broke off.
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
        context.run.dawdle(3).await;
    }
    context.run.note("writer", "done");
}

async fn open(run: &Run, directory: &tempfile::TempDir) -> ApiServer {
    ApiServer::open(run.config(directory)).await.unwrap()
}

async fn life(run: Arc<Run>) {
    let Server { mut server, directory } = run.server().await;
    let switch = Switch::default();
    switch.turn(Some(&server));
    let context = Context::new(&run, switch.client());
    let mut tasks = Tasks::default();
    controllers::controller(&context, &mut tasks);
    let listed = controllers::reflect(&context.barns, false, &mut tasks);
    let streamed = controllers::reflect(&context.barns, true, &mut tasks);
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut writer = Tasks::default();
    writer.spawn(write(Arc::clone(&context), 12, Arc::clone(&acknowledged)));
    for restart in 0..2 {
        tokio::time::sleep(Duration::from_millis(run.below(25))).await;
        run.note("main", format!("restart {restart}: the server stops"));
        if run.below(2) == 0 {
            // Gone for its clients first, or caught in the middle of requests.
            switch.turn(None);
        }
        server.shutdown().await;
        switch.turn(None);
        drop(server);
        run.note("main", format!("restart {restart}: the server starts"));
        server = open(&run, &directory).await;
        switch.turn(Some(&server));
    }
    run.note("main", "waits for the writer");
    writer.join().await;
    let settled = || async {
        if let Some(missing) = controllers::unsettled(&context).await {
            return Some(missing);
        }
        let copies = [("listing reflector", &listed), ("streaming reflector", &streamed)];
        controllers::difference(&context.barns, &copies).await
    };
    run.until("everything settles", settled).await;
    assert_eq!(controllers::of_server(&context.barns).await.len(), 12);
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.is_sorted_by(|a, b| a < b), "versions went back: {acknowledged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_catches_up_after_a_restart() {
    repeat("restarts", 60, life).await;
}
