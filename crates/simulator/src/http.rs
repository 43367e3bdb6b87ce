//! HTTP/1.1 by hand, because a simulator must be able to break it.
//!
//! A real server library keeps every answer well-formed; we also have to reset a connection before the first
//! byte, promise more bytes than we send, and drip. Only what a reader of feeds sends is understood.

use std::{fmt::Write as _, future::Future, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// More than this in front of a body is no request.
const HEAD_LIMIT: usize = 128 * 1024;

/// A request as it arrived; nothing is decoded.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An answer, and how badly it is to be delivered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) delivery: Delivery,
}

/// What happens to the bytes on their way out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delivery {
    Whole,
    /// The connection is reset before a byte is sent.
    Never,
    /// `Content-Length` promises all, the connection closes (or is reset) after this many bytes.
    Broken {
        after: usize,
        reset: bool,
    },
    Drip {
        bytes: usize,
        every: Duration,
    },
}

impl Request {
    /// The first header of that name, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status, headers, body, delivery: Delivery::Whole }
    }
}

/// Answers every connection until the future is dropped; open connections end with it.
pub(crate) async fn serve<H, F>(listener: TcpListener, handler: H)
where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send,
{
    let handler = Arc::new(handler);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let handler = Arc::clone(&handler);
                    connections.spawn(async move {
                        // A client that goes away in the middle is its own affair.
                        let _ = converse(stream, &*handler).await;
                    });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse<H, F>(mut stream: TcpStream, handler: &H) -> io::Result<()>
where
    H: Fn(Request) -> F + Sync,
    F: Future<Output = Response>,
{
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await? {
        let keep = !request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let response = handler(request).await;
        if !write(&mut stream, response).await? || !keep {
            break;
        }
    }
    Ok(())
}

/// The next request, or `None` if the client is done or speaks something else.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        if buffer.len() > HEAD_LIMIT || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end);
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (first.next(), first.next()) else {
        return Ok(None);
    };
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
    };
    let body: usize = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while buffer.len() < body {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    request.body = buffer.drain(..body).collect();
    Ok(Some(request))
}

/// Sends the answer; whether the connection is still good for another one.
async fn write(stream: &mut TcpStream, response: Response) -> io::Result<bool> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    for (name, value) in &response.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "Content-Length: {}\r\n\r\n", response.body.len());
    match response.delivery {
        Delivery::Whole => {
            let mut bytes = head.into_bytes();
            bytes.extend_from_slice(&response.body);
            stream.write_all(&bytes).await?;
            return Ok(true);
        }
        Delivery::Never => stream.set_zero_linger()?,
        Delivery::Broken { after, reset } => {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&response.body[..after.min(response.body.len())]).await?;
            stream.flush().await?;
            if reset {
                stream.set_zero_linger()?;
            }
        }
        Delivery::Drip { bytes, every } => {
            stream.write_all(head.as_bytes()).await?;
            for drop in response.body.chunks(bytes.max(1)) {
                stream.write_all(drop).await?;
                tokio::time::sleep(every).await;
            }
            return Ok(true);
        }
    }
    Ok(false)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 | 302 | 307 | 308 => "Moved",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        414 => "URI Too Long",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Other",
    }
}
