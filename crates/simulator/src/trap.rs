//! A listener that must never be reached: where a foreign link or a redirect would lead.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    clock::Clock,
    http::{self, Response},
    journal::{Entry, Journal},
};

/// Records whatever reaches it and answers with an empty page; stops when dropped.
#[derive(Debug)]
pub struct Trap {
    address: SocketAddr,
    journal: Journal,
    task: JoinHandle<()>,
}

impl Trap {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let journal = Journal::default();
        let (book, clock) = (journal.clone(), Clock::default());
        let task = tokio::spawn(http::serve(listener, move |request| {
            let number = book.open(Entry::of(&request, clock.now()));
            book.close(number, |entry| entry.status = Some(200));
            async { Response::new(200, "application/json", br#"{"value":[]}"#.to_vec()) }
        }));
        Ok(Self { address, journal, task })
    }

    /// `http://127.0.0.1:PORT`, without a path.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What reached it.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.task.abort();
    }
}
