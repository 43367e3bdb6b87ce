//! One server: its folder, its parent shell, its end.
//!
//! The shell between us and the server holds the other end of a pipe. When we end, however we end, the pipe
//! closes, the shell stops the server at once and removes the folder. A word written into the pipe first asks
//! for something else: `fast` and `quit` stop the server and keep the folder.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixStream,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use super::{PostgresError, failed, find, last_lines};

/// `$0 "$@"` is the server. A signal to the shell itself counts as the end of the pipe.
pub(super) const PARENT: &str = r#"
"$0" "$@" & pid=$!
gone() { kill -QUIT $pid 2>/dev/null; wait $pid; cd /; rm -rf -- "$FOLDER"; exit 0; }
trap gone TERM INT HUP
read -r word || gone
case "$word" in fast) kill -INT $pid;; *) kill -QUIT $pid;; esac 2>/dev/null
wait $pid
"#;

/// How long a server may take to answer or to let go of its memory.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a throw-away server is set up.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether commits reach the disk: only a test that pulls the plug needs it, and it costs time. They outlive
    /// [`ThrowAwayPostgres::kill`] in any case.
    pub durable: bool,
    /// Postgres' `max_connections`.
    pub max_connections: u16,
    /// Whether the server also listens on a free port of 127.0.0.1.
    pub tcp: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { durable: false, max_connections: 200, tcp: false }
    }
}

/// A Postgres server of our own, gone with its folder when this value or its process is.
#[derive(Debug)]
pub struct ThrowAwayPostgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    settings: Settings,
    owner: Option<(u32, u32)>,
    parent: Mutex<Option<Child>>,
}

impl ThrowAwayPostgres {
    /// Starts a server with the default [`Settings`]; takes about a second and blocks.
    pub fn start() -> Result<Self, PostgresError> {
        Self::start_with(Settings::default())
    }

    /// Starts a server and waits until it answers; blocks.
    pub fn start_with(settings: Settings) -> Result<Self, PostgresError> {
        let programs = find::programs().ok_or(PostgresError::NotInstalled)?;
        let owner = if geteuid().is_root() {
            Some(find::unprivileged().ok_or(PostgresError::NoOtherUser)?)
        } else {
            None
        };
        // /tmp and a short name: the path of a Unix socket ends at 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix("spark-pg-")
            .tempdir_in("/tmp")
            .map_err(system("make a folder in /tmp"))?;
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group)).map_err(system("give the folder away"))?;
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .map_err(system("open the folder"))?;

        let port = if settings.tcp { free_port()? } else { 5432 };
        let parent = Mutex::new(None);
        let server = Self { programs, folder: folder.path().to_path_buf(), port, settings, owner, parent };
        let made = server
            .run("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "-D"])
            .arg(server.data())
            .output()
            .map_err(system("run initdb"))?;
        if !made.status.success() {
            return Err(failed("initdb", &made));
        }
        server.start_again()?;
        // From here on the shell or our own drop removes the folder.
        let _ = folder.keep();
        Ok(server)
    }

    /// A URL that sqlx and libpq take: `postgres://postgres@localhost/name?host=%2Ftmp%2F..&port=5432`.
    pub fn url(&self, database: &str) -> String {
        let socket = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@localhost/{database}?host={socket}&port={}", self.port)
    }

    /// The same over 127.0.0.1, if the settings asked for `tcp`.
    pub fn tcp_url(&self, database: &str) -> Option<String> {
        let port = self.port;
        self.settings.tcp.then(|| format!("postgres://postgres@127.0.0.1:{port}/{database}"))
    }

    /// The port, of the socket and of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with the socket, `data` and the server's `log`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The process id of the server, while it runs.
    pub fn pid(&self) -> Option<u32> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }

    /// Creates a database with Postgres' own `createdb`; a template must have no connections.
    pub fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), PostgresError> {
        let mut createdb = self.client("createdb");
        if let Some(template) = template {
            createdb.args(["-T", template]);
        }
        let output = createdb.arg(name).output().map_err(system("run createdb"))?;
        if output.status.success() { Ok(()) } else { Err(failed("createdb", &output)) }
    }

    /// Drops a database and whoever is connected to it.
    pub fn drop_database(&self, name: &str) -> Result<(), PostgresError> {
        let output = self
            .client("dropdb")
            .args(["--if-exists", "--force", name])
            .output()
            .map_err(system("run dropdb"))?;
        if output.status.success() { Ok(()) } else { Err(failed("dropdb", &output)) }
    }

    /// Stops the server in order: sessions end, what is committed is written. The folder stays.
    pub fn stop(&self) {
        self.end("fast\n");
    }

    /// Kills the postmaster with SIGKILL, as the kernel would when memory is short. The folder stays.
    pub fn kill(&self) {
        if let Some(pid) = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.end("quit\n");
    }

    /// Stops the server and starts it again on the same data.
    pub fn restart(&self) -> Result<(), PostgresError> {
        self.stop();
        self.start_again()
    }

    /// Starts a stopped or killed server again on the same data, and waits until it answers.
    pub fn start_again(&self) -> Result<(), PostgresError> {
        let begun = Instant::now();
        loop {
            let mut parent = self.spawn()?;
            loop {
                if UnixStream::connect(self.socket()).is_ok() && self.accepts() {
                    *self.parent.lock().unwrap_or_else(PoisonError::into_inner) = Some(parent);
                    return Ok(());
                }
                // After a kill the old backends hold the shared memory for a moment longer. The shell does not
                // see that its server has given up: it waits for our word.
                let in_the_way = self.log().contains("still in use");
                let ended = parent.try_wait().map_err(system("watch the server"))?.is_some();
                if in_the_way || ended || begun.elapsed() > PATIENCE {
                    let said = self.said();
                    dismiss(&mut parent, "quit\n");
                    if begun.elapsed() > PATIENCE {
                        return Err(PostgresError::Silent { folder: self.folder.clone(), said });
                    }
                    if !in_the_way {
                        return Err(PostgresError::Failed { program: "postgres", said });
                    }
                    break;
                }
                // A poll for a state that Postgres announces in no other way.
                thread::sleep(Duration::from_millis(10));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn spawn(&self) -> Result<Child, PostgresError> {
        // A new file: a server that was killed may have backends that still write into the old one.
        let _ = fs::remove_file(self.folder.join("log"));
        let log = fs::File::create(self.folder.join("log")).map_err(system("open the server's log"))?;
        let errors = log.try_clone().map_err(system("open the server's log"))?;
        let listen = if self.settings.tcp { "127.0.0.1" } else { "" };
        let sync = if self.settings.durable { "on" } else { "off" };
        let mut shell = self.command(Path::new("/bin/sh"));
        shell.args(["-c", PARENT]).arg(self.programs.join("postgres"));
        shell.arg("-D").arg(self.data()).arg("-k").arg(&self.folder).arg("-p").arg(self.port.to_string());
        for (name, value) in [
            ("listen_addresses", listen),
            ("fsync", sync),
            ("full_page_writes", sync),
            ("max_connections", &self.settings.max_connections.to_string()),
            ("shared_buffers", "64MB"),
            // A restart waits for whoever was cut off before it said its name: a minute, by default.
            ("authentication_timeout", "5s"),
            ("max_wal_size", "2GB"),
            ("log_line_prefix", "%m %d %a "),
        ] {
            shell.arg("-c").arg(format!("{name}={value}"));
        }
        shell
            .env("FOLDER", &self.folder)
            // A group of its own: Ctrl-C must reach us first, so that we can end in order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(errors))
            .spawn()
            .map_err(system("start /bin/sh"))
    }

    fn end(&self, word: &str) {
        let parent = self.parent.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut parent) = parent {
            dismiss(&mut parent, word);
        }
    }

    /// Whether a session gets through: the socket is there before recovery is over.
    fn accepts(&self) -> bool {
        match self.client("pg_isready").output() {
            Ok(answer) => answer.status.success(),
            // Some packages leave out the client programs; the log says the same.
            Err(_) => self.log().contains("ready to accept connections"),
        }
    }

    fn client(&self, program: &str) -> Command {
        let mut command = self.run(program);
        command.arg("-h").arg(&self.folder).args(["-U", "postgres", "-p"]).arg(self.port.to_string());
        command
    }

    fn run(&self, program: &str) -> Command {
        self.command(&self.programs.join(program))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env_clear().env("LC_ALL", "C").env("TZ", "UTC");
        command.env("PATH", "/usr/bin:/bin");
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{}", self.port))
    }

    fn said(&self) -> String {
        last_lines(&self.log())
    }
}

impl Drop for ThrowAwayPostgres {
    fn drop(&mut self) {
        let parent = self.parent.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut parent) = parent {
            drop(parent.stdin.take());
            let _ = parent.wait();
        }
        // A stopped server has no shell left to remove the folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Gives a shell its word and waits for its end; the folder stays.
fn dismiss(parent: &mut Child, word: &str) {
    if let Some(mut pipe) = parent.stdin.take() {
        // It may be gone already.
        let _ = pipe.write_all(word.as_bytes());
    }
    let _ = parent.wait();
}

pub(super) fn system(doing: &'static str) -> impl Fn(std::io::Error) -> PostgresError {
    move |source| PostgresError::System { doing, source }
}

pub(super) fn free_port() -> Result<u16, PostgresError> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(system("find a free port"))?;
    Ok(listener.local_addr().map_err(system("find a free port"))?.port())
}
