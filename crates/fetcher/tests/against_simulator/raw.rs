//! A server of bytes: for answers that no server library would let through.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::{Client, settings};

/// Answers each connection with the next of its answers, the last one again and again.
pub(crate) struct Raw {
    pub(crate) base_url: String,
    task: JoinHandle<()>,
}

impl Raw {
    pub(crate) async fn answering(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/OData", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            for turn in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                read_request(&mut stream).await;
                // The client may go away in the middle of an answer that is too long for it.
                let _ = stream.write_all(&answers[turn.min(answers.len() - 1)]).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { base_url, task }
    }

    /// Begins every answer with `head` and goes on with `piece` for as long as somebody takes it.
    pub(crate) async fn without_end(head: &'static str, piece: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/OData", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                read_request(&mut stream).await;
                let mut sent = stream.write_all(head.as_bytes()).await;
                while sent.is_ok() {
                    sent = stream.write_all(&piece).await;
                }
            }
        });
        Self { base_url, task }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(settings(&self.base_url, "raw-token"))
    }
}

async fn read_request(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap_or(0) > 0 {}
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole answer.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    bytes.push_str("\r\n");
    [bytes.replace("\r\n\r\n\r\n", "\r\n\r\n").as_bytes(), body].concat()
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}
