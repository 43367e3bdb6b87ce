//! A listener whose clients are few and take turns.
//!
//! axum waits without limit for a client that sends half a header, takes a header of any size, and any number of
//! clients. Here a request's head must come soon and be small, a connection ends after some time without a byte
//! and in any case after a few minutes. While all places are taken, whoever comes is let in for the one that has
//! kept us waiting for its request longest: a client that sends a byte now and then must not keep out one that
//! asks whether we are alive. Where requests have bodies, it counts as waiting until whoever reads them says that
//! all of one is there.

mod places;

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};

pub(crate) use self::places::Request;
use self::places::{Place, Places};

/// Clients at a time.
const PLACES: usize = 64;

/// How long a client may be silent between two requests: more than the usual minute between two scrapes.
const SILENCE: Duration = Duration::from_secs(75);

/// How long the head of a request may take, from its first byte.
const HEAD: Duration = Duration::from_secs(10);

/// How long a connection lasts at most.
const LIFE: Duration = Duration::from_mins(5);

/// The largest head of a request.
const LARGEST_HEAD: usize = 16 * 1024;

/// What ends a head.
const END: &[u8; 4] = b"\r\n\r\n";

/// The listener.
pub(crate) struct Bounded {
    listener: TcpListener,
    places: Arc<Places>,
    /// The largest body of a request.
    largest_body: usize,
}

/// A client.
pub(crate) struct Client {
    stream: TcpStream,
    place: Place,
    head: Head,
    /// The largest that may lie between the ends of two heads.
    largest: usize,
    /// When we will have waited for long enough.
    patience: Pin<Box<Sleep>>,
    end: Pin<Box<Sleep>>,
}

/// The head that is coming in, as far as it matters here.
#[derive(Debug, Default)]
struct Head {
    length: usize,
    matched: usize,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Places::new(PLACES), largest_body: 0 }
    }

    /// The same for requests that have bodies.
    pub(crate) fn with_bodies(listener: TcpListener, places: usize, largest_body: usize) -> Self {
        Self { listener, places: Places::new(places), largest_body }
    }
}

impl Listener for Bounded {
    type Io = Client;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Client, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let place = Places::take(&self.places).await;
                    let (patience, end) = (Box::pin(sleep(HEAD)), Box::pin(sleep(LIFE)));
                    let (head, largest) = (Head::default(), LARGEST_HEAD + self.largest_body);
                    return (Client { stream, place, head, largest, patience, end }, address);
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

impl Head {
    /// Takes in what was read: whether a head has ended in it, or an error if this one is too large.
    fn take(&mut self, bytes: &[u8], largest: usize) -> io::Result<bool> {
        let mut ended = false;
        for byte in bytes {
            self.length += 1;
            self.matched = match self.matched {
                at if *byte == END[at] => at + 1,
                _ => usize::from(*byte == END[0]),
            };
            if self.matched == END.len() {
                (*self, ended) = (Self::default(), true);
            } else if self.length > largest {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too large"));
            }
        }
        Ok(ended)
    }
}

impl Client {
    fn poll_limits(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let over = self.place.poll_given_away(context).is_ready()
            || self.patience.as_mut().poll(context).is_ready()
            || self.end.as_mut().poll(context).is_ready();
        if over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// The request that it is sending, for whoever reads its body.
    pub(crate) fn request(&self) -> Request {
        self.place.request()
    }

    fn wait_for(&mut self, patience: Duration) {
        self.patience.as_mut().reset(Instant::now() + patience);
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_limits(context)?;
        let before = buf.filled().len();
        ready!(pin!(&mut self.stream).poll_read(context, buf))?;
        let began = self.head.length == 0;
        let largest = self.largest;
        if self.head.take(&buf.filled()[before..], largest)? {
            if largest == LARGEST_HEAD {
                self.place.request().is_complete();
                self.wait_for(SILENCE);
            } else {
                // Its body is still to come.
                self.wait_for(HEAD);
            }
        } else if began {
            self.wait_for(HEAD);
        }
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
        self.place.is_answered();
        if self.largest > LARGEST_HEAD {
            // Its body counted as the begin of another request; the next one is still to come.
            self.head = Head::default();
            self.wait_for(SILENCE);
        }
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

    async fn connected() -> (Bounded, TcpStream, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut bounded = Bounded::new(listener);
        let (served, _) = bounded.accept().await;
        (bounded, client, served)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_in_its_header_is_let_go() {
        let (_bounded, mut client, mut served) = connected().await;
        client.write_all(b"GET / HT").await.unwrap();
        let mut got = [0; 64];
        assert_eq!(served.read(&mut got).await.unwrap(), 8);
        assert_eq!(served.read(&mut got).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_does_not_prolong_a_head() {
        let (_bounded, mut client, mut served) = connected().await;
        let began = Instant::now();
        let mut got = [0; 64];
        let ended = loop {
            client.write_all(b"x").await.unwrap();
            match served.read(&mut got).await {
                Ok(_) => tokio::time::advance(Duration::from_secs(1)).await,
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(ended, io::ErrorKind::TimedOut);
        assert!(began.elapsed() < HEAD + Duration::from_secs(3), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_client_that_does_not_take_its_answer_gives_its_place_away() {
        let (bounded, mut client, mut served) = connected().await;
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let answer = tokio::spawn(async move {
            served.read_exact(&mut [0; 18]).await?;
            served.write_all(&vec![0; 64_000_000]).await
        });
        let began = Instant::now();
        while !answer.is_finished() {
            bounded.places.give_one_away();
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(answer.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < HEAD, "its own patience ended before");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_was_answered_may_be_silent_until_its_next_request_though_it_sent_a_body() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut served, _) = Bounded::with_bodies(listener, 4, 1_000).accept().await;
        let mut got = [0; 64];
        for part in [&b"POST / HTTP/1.1\r\n\r\n"[..], b"a body"] {
            client.write_all(part).await.unwrap();
            assert_eq!(served.read(&mut got).await.unwrap(), part.len());
        }
        served.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        tokio::time::advance(HEAD * 2).await;
        client.write_all(b"POST").await.unwrap();
        assert_eq!(served.read(&mut got).await.unwrap(), 4);
        // But a body that never ends is cut off as a head is.
        client.write_all(b" / HTTP/1.1\r\n\r\nx").await.unwrap();
        let began = Instant::now();
        while served.read(&mut got).await.is_ok() {
            client.write_all(b"x").await.unwrap();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(began.elapsed() < HEAD + Duration::from_secs(3), "{:?}", began.elapsed());
    }

    #[test]
    fn a_head_ends_at_its_empty_line_however_it_is_cut() {
        let text = b"GET / HTTP/1.1\r\nA: \r\r\n\r\nGET";
        for cut in 0..text.len() {
            let mut head = Head::default();
            let ends = [&text[..cut], &text[cut..]].map(|part| head.take(part, LARGEST_HEAD).unwrap());
            assert_eq!((ends.iter().filter(|ended| **ended).count(), head.length), (1, 3), "cut at {cut}");
        }
        assert!(Head::default().take(&[b'x'; LARGEST_HEAD], LARGEST_HEAD).is_ok());
        assert!(Head::default().take(&vec![b'x'; LARGEST_HEAD + 1], LARGEST_HEAD).is_err());
    }
}
