//! What lies between a client and its server: a TCP relay that can be cut, frozen and slowed.
//!
//! The simulator breaks answers, which is what a feed does. Networks break connections: in the middle of
//! anything, in silence, or between a `commit` and its answer. The rule: bytes are never changed or reordered,
//! only held up or lost together with their connection.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// The end of a `commit` sent to Postgres as a simple query.
const COMMIT: &[u8] = b"commit\0";
/// The most that is relayed at once.
const PIECE: usize = 16 * 1024;
/// No connection is cut for the bytes it carried.
const UNLIT: i64 = -1;

/// What the way is like, for all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Bytes pass.
    Clear,
    /// Connections are refused; those that are open go on.
    Refusing,
    /// Connections are accepted and stay open, and nothing passes in either direction: a half-open peer.
    Silent,
    /// Every piece waits this long.
    Slow(Duration),
    /// Answers come in small pieces.
    Drip {
        /// Bytes a piece.
        bytes: usize,
        /// Time between two pieces.
        every: Duration,
    },
}

/// What happens to a transaction at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitTrouble {
    /// The `commit` waits this long on its way.
    Delayed(Duration),
    /// The connection is reset before the `commit` arrives.
    LostBefore,
    /// The `commit` takes place, and its answer never arrives.
    LostAfter,
}

/// A relay to one server; stops, and resets its connections, when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    weather: watch::Sender<Weather>,
    /// Counts the calls of [`Proxy::cut`].
    cuts: watch::Sender<u64>,
    /// Bytes of answers until the connection that carries the last of them is reset.
    fuse: AtomicI64,
    commits: Mutex<VecDeque<CommitTrouble>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and relays to a server, which need not be there yet.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            weather: watch::Sender::new(Weather::Clear),
            cuts: watch::Sender::new(0),
            fuse: AtomicI64::new(UNLIT),
            commits: Mutex::default(),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, for open connections too.
    pub fn set(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Resets every open connection.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Resets the connection that carries the nth byte of answers from now on, behind that byte.
    pub fn cut_after(&self, bytes: u32) {
        self.shared.fuse.store(bytes.into(), SeqCst);
    }

    /// Troubles the next transaction that ends here; several wait in a row.
    pub fn at_commit(&self, trouble: CommitTrouble) {
        self.shared.commits().push_back(trouble);
    }

    /// Ends all troubles; what was cut stays cut.
    pub fn clear(&self) {
        self.shared.commits().clear();
        self.shared.fuse.store(UNLIT, SeqCst);
        self.set(Weather::Clear);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn commits(&self) -> MutexGuard<'_, VecDeque<CommitTrouble>> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of so many bytes pass before the fuse is burnt, if it is.
    fn burn(&self, bytes: usize) -> Option<usize> {
        let length = i64::try_from(bytes).unwrap_or(i64::MAX);
        let before = self.fuse.fetch_update(SeqCst, SeqCst, |left| match left {
            UNLIT => None,
            left if left <= length => Some(UNLIT),
            left => Some(left - length),
        });
        before.ok().filter(|left| *left <= length).and_then(|left| usize::try_from(left).ok())
    }
}

/// Accepts until dropped; while refusing there is no listener at all.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let Ok(address) = listener.local_addr() else { return };
    let mut listener = Some(listener);
    let mut weather = shared.weather.subscribe();
    let mut relays = JoinSet::new();
    loop {
        let refusing = *weather.borrow_and_update() == Weather::Refusing;
        if refusing {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await.ok(),
                None if refusing => std::future::pending().await,
                // Somebody else has the port for the moment.
                None => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    None
                }
            }
        };
        tokio::select! {
            accepted = accept => {
                if let Some((client, _)) = accepted {
                    relays.spawn(relay(client, Arc::clone(&shared)));
                }
            }
            _ = weather.changed() => {}
            Some(_) = relays.join_next() => {}
        }
    }
}

/// Carries one connection to its end, or to its reset.
async fn relay(mut client: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    cuts.mark_unchanged();
    let carried = async {
        let mut server = TcpStream::connect(shared.upstream).await?;
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let swallow = AtomicBool::new(false);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        // Whichever side ends first ends both: nobody here closes one half and reads on.
        tokio::select! {
            ended = questions(from_client, to_server, &shared, &swallow) => ended,
            ended = answers(from_server, to_client, &shared, &swallow) => ended,
            _ = cuts.changed() => Err(io::ErrorKind::ConnectionReset.into()),
        }
    };
    if carried.await.is_err() {
        // A close would look like an orderly end.
        let _ = client.set_zero_linger();
    }
}

async fn questions(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
    swallow: &AtomicBool,
) -> io::Result<()> {
    let mut weather = shared.weather.subscribe();
    let mut buffer = vec![0; PIECE];
    while let Some(piece) = next(&mut from, &mut buffer).await? {
        wait_out(&mut weather).await;
        if piece.windows(COMMIT.len()).any(|bytes| bytes == COMMIT) {
            let trouble = shared.commits().pop_front();
            match trouble {
                Some(CommitTrouble::Delayed(time)) => tokio::time::sleep(time).await,
                Some(CommitTrouble::LostBefore) => return Err(io::ErrorKind::ConnectionReset.into()),
                Some(CommitTrouble::LostAfter) => swallow.store(true, SeqCst),
                None => {}
            }
        }
        to.write_all(piece).await?;
    }
    Ok(())
}

async fn answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
    swallow: &AtomicBool,
) -> io::Result<()> {
    let mut weather = shared.weather.subscribe();
    let mut buffer = vec![0; PIECE];
    while let Some(piece) = next(&mut from, &mut buffer).await? {
        if swallow.load(SeqCst) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        wait_out(&mut weather).await;
        if let Some(passed) = shared.burn(piece.len()) {
            to.write_all(&piece[..passed]).await?;
            to.flush().await?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let dripping = *weather.borrow();
        if let Weather::Drip { bytes, every } = dripping {
            for drop in piece.chunks(bytes.max(1)) {
                to.write_all(drop).await?;
                tokio::time::sleep(every).await;
            }
        } else {
            to.write_all(piece).await?;
        }
    }
    Ok(())
}

/// What came next; `None` at the end of its sender.
async fn next<'b>(from: &mut (impl AsyncRead + Unpin), buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
    let length = from.read(buffer).await?;
    Ok((length > 0).then_some(&buffer[..length]))
}

/// Waits until a piece may pass.
async fn wait_out(weather: &mut watch::Receiver<Weather>) {
    loop {
        let now = *weather.borrow_and_update();
        match now {
            Weather::Silent => {
                if weather.changed().await.is_err() {
                    return;
                }
            }
            Weather::Slow(time) => return tokio::time::sleep(time).await,
            Weather::Clear | Weather::Refusing | Weather::Drip { .. } => return,
        }
    }
}
