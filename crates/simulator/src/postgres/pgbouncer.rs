//! A PgBouncer before a throw-away server, in transaction mode: each transaction may meet another session.

use std::{
    fs, io,
    io::Write,
    net::{SocketAddr, TcpStream},
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::geteuid;
use tempfile::TempDir;

use super::{
    PostgresError, ThrowAwayPostgres, find, last_lines,
    server::{PARENT, free_port, system},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// A PgBouncer of our own, gone when this value or its process is.
#[derive(Debug)]
pub struct PgBouncer {
    address: SocketAddr,
    parent: Child,
    folder: TempDir,
}

impl PgBouncer {
    /// Starts one, 1.21 or newer, before a server that listens on TCP; these users may pass, without a password.
    /// Blocks until it answers.
    pub fn start(
        program: &Path,
        server: &ThrowAwayPostgres,
        users: &[String],
    ) -> Result<Self, PostgresError> {
        let port = free_port()?;
        let folder = tempfile::Builder::new().prefix("spark-pgbouncer-").tempdir_in("/tmp");
        let folder = folder.map_err(system("make a folder in /tmp"))?;
        let path = |name: &str| folder.path().join(name);
        let names: Vec<String> = users.iter().map(|user| format!("\"{user}\" \"\"\n")).collect();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\nlogfile = {}\n\
             pool_mode = transaction\nmax_prepared_statements = 100\ndefault_pool_size = 8\n\
             ignore_startup_parameters = extra_float_digits\n",
            server.port(),
            path("users").display(),
            path("log").display()
        );
        let place = || -> io::Result<()> {
            fs::write(path("users"), names.concat())?;
            fs::write(path("pgbouncer.ini"), settings)
        };
        place().map_err(system("write PgBouncer's settings"))?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", PARENT]).arg(program).arg("-q").arg(path("pgbouncer.ini"));
        shell.env("FOLDER", folder.path()).process_group(0).stdin(Stdio::piped());
        shell.stdout(Stdio::null()).stderr(Stdio::null()).current_dir(folder.path());
        if geteuid().is_root() {
            let (user, group) = find::unprivileged().ok_or(PostgresError::NoOtherUser)?;
            chown(folder.path(), Some(user), Some(group)).map_err(system("give the folder away"))?;
            shell.uid(user).gid(group);
        }
        let parent = shell.spawn().map_err(system("start /bin/sh"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let bouncer = Self { address, parent, folder };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begun.elapsed() > PATIENCE {
                let said = fs::read_to_string(bouncer.folder.path().join("log")).unwrap_or_default();
                return Err(PostgresError::Failed { program: "pgbouncer", said: last_lines(&said) });
            }
            // A poll for a state that nothing announces.
            thread::sleep(Duration::from_millis(10));
        }
        Ok(bouncer)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.parent.stdin.take() {
            // The shell may be gone, and PgBouncer with it.
            let _ = pipe.write_all(b"quit\n");
        }
        let _ = self.parent.wait();
    }
}
