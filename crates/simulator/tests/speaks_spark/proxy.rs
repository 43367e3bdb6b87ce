//! The relay before a server: it holds bytes up or loses them with their connection, and never changes one.

use std::{io::ErrorKind, time::Duration};

use spark_simulator::{CommitTrouble, Proxy, Weather};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, timeout},
};

const PATIENCE: Duration = Duration::from_secs(10);
/// Nothing is expected within this long; the one place where a test waits for what must not come.
const SILENCE: Duration = Duration::from_millis(150);

/// A server that answers every piece with itself, a relay before it, and what has arrived at the server.
async fn echo() -> (Proxy, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let (arrived, arrivals) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let arrived = arrived.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 1_024];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    let _ = arrived.send(buffer[..length].to_vec());
                    let _ = stream.write_all(&buffer[..length]).await;
                }
            });
        }
    });
    (proxy, arrivals)
}

async fn say(stream: &mut TcpStream, words: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    stream.write_all(words).await.map_err(|error| error.kind())?;
    let mut answer = vec![0; words.len()];
    match timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap() {
        Ok(_) => Ok(answer),
        Err(error) => Err(error.kind()),
    }
}

#[tokio::test]
async fn what_is_cut_is_reset_and_the_next_connection_passes() {
    let (proxy, _arrivals) = echo().await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut stream, b"hello").await.unwrap(), b"hello");
    proxy.cut();
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut next, b"again").await.unwrap(), b"again");
}

#[tokio::test]
async fn a_fuse_cuts_behind_its_byte() {
    let (proxy, _arrivals) = echo().await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.cut_after(3);
    stream.write_all(b"hello").await.unwrap();
    let mut passed = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut passed)).await.unwrap();
    assert_eq!((passed.as_slice(), end.unwrap_err().kind()), (b"hel".as_slice(), ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_silent_way_stays_open_and_passes_on_what_waited() {
    let (proxy, _arrivals) = echo().await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.set(Weather::Silent);
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    assert!(timeout(SILENCE, stream.read_exact(&mut answer)).await.is_err(), "something passed");
    proxy.clear();
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"hello");
}

#[tokio::test]
async fn a_refusing_way_has_nobody_listening_until_it_clears() {
    let (proxy, _arrivals) = echo().await;
    let mut open = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut open, b"hello").await.unwrap(), b"hello");
    proxy.set(Weather::Refusing);
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(proxy.address()).await.is_ok() {
        assert!(Instant::now() < until, "it still accepts");
    }
    assert_eq!(say(&mut open, b"there").await.unwrap(), b"there", "open connections go on");
    proxy.clear();
    let mut next = loop {
        match TcpStream::connect(proxy.address()).await {
            Ok(stream) => break stream,
            Err(_) => assert!(Instant::now() < until, "it never listens again"),
        }
    };
    assert_eq!(say(&mut next, b"again").await.unwrap(), b"again");
}

#[tokio::test]
async fn a_commit_is_lost_before_or_after_it_took_place() {
    let (proxy, mut arrivals) = echo().await;
    proxy.at_commit(CommitTrouble::LostBefore);
    proxy.at_commit(CommitTrouble::LostAfter);
    let mut first = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut first, b"insert\0").await.unwrap(), b"insert\0");
    assert_eq!(arrivals.recv().await.unwrap(), b"insert\0");
    assert_eq!(say(&mut first, b"select 1; commit\0").await.unwrap_err(), ErrorKind::ConnectionReset);
    let mut second = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut second, b"select 2; commit\0").await.unwrap_err(), ErrorKind::ConnectionReset);
    assert_eq!(arrivals.recv().await.unwrap(), b"select 2; commit\0", "the first must not have arrived");
    let mut third = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut third, b"select 3; commit\0").await.unwrap(), b"select 3; commit\0");
}
