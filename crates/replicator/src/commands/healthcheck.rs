//! `healthcheck`: asks a running daemon whether it is alive, with nothing but a socket, for containers without
//! curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::{load, print};
use crate::cli::{Global, Healthcheck};
use crate::exit::{Exit, refuse};

/// The longest for each step.
const PATIENCE: Duration = Duration::from_secs(3);

/// More than our answer ever has.
const MOST: u64 = 4_096;

pub(super) fn run(global: &Global, arguments: &Healthcheck) -> anyhow::Result<Exit> {
    let address = match arguments.address {
        Some(address) => address,
        None => load(global)?.config.server.listen,
    };
    let address = reachable(address);
    match ask(address) {
        Ok(answer) if answer.starts_with("HTTP/1.") && answer.get(8..13) == Some(" 200 ") => {
            print("alive");
            Ok(Exit::Done)
        }
        Ok(answer) => {
            let said = answer.lines().next().unwrap_or("nothing");
            Err(refuse(Exit::Failed, format!("http://{address}/healthz is not well: {said}")))
        }
        Err(error) => {
            Err(refuse(Exit::Unavailable, format!("http://{address}/healthz does not answer: {error}")))
        }
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whoever listens everywhere is asked at home.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
