use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get};
use futures::stream;
use tower::ServiceExt;

use super::*;

fn limits(reads: usize, bodies: usize) -> Arc<Limits> {
    Arc::new(Limits {
        reads: Arc::new(Semaphore::new(reads)),
        writes: Arc::new(Semaphore::new(1)),
        bodies: Arc::new(Semaphore::new(bodies)),
        rates: Rates::new(1.0, 3.0),
        queue_time: Duration::from_millis(50),
        body_pause: Duration::from_millis(50),
        judged_for: JudgedFor::default(),
    })
}

fn parts(limits: &Arc<Limits>, length: Option<usize>) -> request::Parts {
    let connection = Connection::new(CancellationToken::new(), Arc::clone(limits));
    let mut request = axum::http::Request::builder().extension(connection);
    if let Some(length) = length {
        request = request.header(header::CONTENT_LENGTH, length);
    }
    request.body(()).unwrap().into_parts().0
}

fn parts_of(length: usize, count: usize) -> Body {
    let parts = (0..count).map(move |_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; length])));
    Body::from_stream(stream::iter(parts))
}

#[tokio::test]
async fn a_body_is_put_together_from_its_parts() {
    let limits = limits(1, BODIES);
    for (length, count) in [(0, 0), (5, 1), (5, 3), (SMALL_BODY, 3)] {
        let held = read_body(&parts(&limits, None), parts_of(length, count)).await.unwrap();
        assert_eq!(held.bytes.len(), length * count);
        drop(held);
        assert_eq!(limits.bodies.available_permits(), BODIES, "the room is given back");
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_off_and_a_long_one_is_not_even_read() {
    let limits = limits(1, BODIES);
    let endless = Body::from_stream(stream::repeat_with(|| {
        Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 4096]))
    }));
    let error = read_body(&parts(&limits, None), endless).await.err().unwrap();
    assert_eq!(error.code(), 413);
    let never = || Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let error = read_body(&parts(&limits, Some(MAX_BODY + 1)), never()).await.err().unwrap();
    assert_eq!(error.code(), 413);
    let error = read_body(&parts(&limits, Some(10)), never()).await.err().unwrap();
    assert_eq!((error.code(), error.reason()), (408, "Timeout"));
}

#[tokio::test]
async fn large_bodies_wait_for_room_and_small_ones_do_not() {
    let limits = limits(1, 200_000);
    let first = read_body(&parts(&limits, Some(150_000)), parts_of(150_000, 1)).await.unwrap();
    for declared in [Some(150_000), None] {
        let body = parts_of(75_000, 2);
        let error = read_body(&parts(&limits, declared), body).await.err().unwrap();
        assert_eq!(error.code(), 429);
    }
    let small = read_body(&parts(&limits, Some(10)), parts_of(10, 1)).await.unwrap();
    assert_eq!(small.bytes.len(), 10);
    drop(first);
    assert!(read_body(&parts(&limits, Some(150_000)), parts_of(150_000, 1)).await.is_ok());
}

#[tokio::test]
async fn too_many_requests_at_once_are_told_to_come_back() {
    let limits = limits(1, BODIES);
    let (entered, mut entries) = tokio::sync::mpsc::unbounded_channel();
    let release = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&release);
    let slow = get(move || async move {
        entered.send(()).unwrap();
        let _pass = gate.acquire().await.unwrap();
        "done"
    });
    let router = Router::new()
        .route("/slow", slow)
        .route("/quick", any(|| async { "done" }))
        .layer(axum::middleware::from_fn(take_turns));
    let send = |method: Method, path: &str, limits: Option<&Arc<Limits>>| {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(limits) = limits {
            let ends = CancellationToken::new();
            request = request.extension(Connection::new(ends, Arc::clone(limits)));
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let first = tokio::spawn(send(Method::GET, "/slow", Some(&limits)));
    entries.recv().await.unwrap();
    let refused = send(Method::GET, "/quick", Some(&limits)).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    let write = send(Method::POST, "/quick", Some(&limits)).await.unwrap();
    assert_eq!(write.status(), StatusCode::OK, "writes have turns of their own");
    let inside = send(Method::GET, "/quick", None).await.unwrap();
    assert_eq!(inside.status(), StatusCode::OK, "controllers don't wait for clients");
    release.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
    let next = send(Method::GET, "/quick", Some(&limits)).await.unwrap();
    assert_eq!(next.status(), StatusCode::OK);
}
