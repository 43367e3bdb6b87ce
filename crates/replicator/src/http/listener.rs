//! A listener whose connections are few, and never silent or alive for long.
//!
//! axum waits without limit for a client that sends half a header, and takes any number of clients. Here a
//! connection ends after some time without a byte and in any case after a few minutes, and while all places are
//! taken the next client waits in the kernel's queue.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Clients at a time.
const PLACES: usize = 64;

/// How long a client may be silent: more than the usual minute between two scrapes.
const SILENCE: Duration = Duration::from_secs(75);

/// How long a connection lasts at most.
const LIFE: Duration = Duration::from_mins(5);

/// The listener.
pub(super) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A client.
pub(super) struct Client {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    end: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(PLACES)) }
    }
}

impl Listener for Bounded {
    type Io = Client;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Client, SocketAddr) {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let (silence, end) = (Box::pin(sleep(SILENCE)), Box::pin(sleep(LIFE)));
                    return (Client { stream, silence, end, _place: place }, address);
                }
                Err(error) => {
                    // Out of file descriptors, or a client that is gone already: later is better.
                    tracing::debug!(error = &error as &dyn std::error::Error, "a client was not accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Client {
    fn poll_limits(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let over =
            self.silence.as_mut().poll(context).is_ready() || self.end.as_mut().poll(context).is_ready();
        if over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_limits(context)?;
        ready!(pin!(&mut self.stream).poll_read(context, buf))?;
        self.silence.as_mut().reset(Instant::now() + SILENCE);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_limits(context)?;
        pin!(&mut self.stream).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_in_its_header_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut served, _) = Bounded::new(listener).accept().await;
        client.write_all(b"GET / HT").await.unwrap();
        let mut got = [0; 64];
        assert_eq!(served.read(&mut got).await.unwrap(), 8);
        assert_eq!(served.read(&mut got).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
