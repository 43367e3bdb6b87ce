//! The endpoints over real sockets, with a database that is not there.

use std::sync::atomic::{AtomicBool, Ordering};

use spark_store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;

struct Served {
    address: SocketAddr,
    alive: Arc<AtomicBool>,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

async fn served() -> Served {
    // Nobody listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://nobody:hush@127.0.0.1:{free}/nothing");
    let store = Store::connect(&spark_store::Settings { url, max_connections: 2 }).unwrap();
    let (alive, stop) = (Arc::new(AtomicBool::new(true)), CancellationToken::new());
    let sources = Sources {
        latest: Arc::new(Latest::new(store, std::collections::BTreeMap::new())),
        metrics: Arc::new(|| "spark_replicator_db_up 0\n".to_owned()),
        alive: {
            let alive = Arc::clone(&alive);
            Arc::new(move || alive.load(Ordering::Relaxed))
        },
    };
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(serve(listener, sources, stop.clone()));
    Served { address, alive, stop, task }
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn liveness_does_not_depend_on_the_database_and_readiness_does() {
    let served = served().await;
    assert!(get(served.address, "/healthz").await.starts_with("HTTP/1.0 200 "));
    let ready = get(served.address, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.0 503 ") && ready.contains("\"ready\":false"), "{ready}");
    assert!(!ready.contains("hush"), "{ready}");
    served.alive.store(false, Ordering::Relaxed);
    assert!(get(served.address, "/healthz").await.starts_with("HTTP/1.0 503 "));
}

#[tokio::test]
async fn the_page_says_that_the_database_is_away_and_may_load_nothing() {
    let served = served().await;
    let page = get(served.address, "/").await;
    assert!(page.starts_with("HTTP/1.0 200 ") && page.contains("The database does not answer"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    let status = get(served.address, "/status").await;
    assert!(status.contains("\"database_away\":{\"at\":\""), "{status}");
    assert!(!page.contains("hush") && !status.contains("hush"));
}

#[tokio::test]
async fn metrics_carry_the_content_type_that_prometheus_demands() {
    let served = served().await;
    let metrics = get(served.address, "/metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.ends_with("spark_replicator_db_up 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_client_that_never_finishes_does_not_keep_us_from_stopping() {
    let served = served().await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET /healthz HT").await.unwrap();
    assert!(get(served.address, "/healthz").await.contains("alive"));
    served.stop.cancel();
    let ended = tokio::time::timeout(FAREWELL * 3, served.task).await;
    assert!(matches!(ended, Ok(Ok(Ok(())))), "{ended:?}");
}
