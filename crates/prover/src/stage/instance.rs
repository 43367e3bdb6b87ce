//! One instance of the program: a process that is killed, stopped, and started again as systemd would.

use std::{
    fs::File,
    io,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Error, system};

/// A process, or the place of one that ended.
#[derive(Debug)]
pub(crate) struct Instance {
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    /// Whether its end is our doing.
    expected: Option<End>,
    /// Whether it was told to kill itself somewhere.
    armed: bool,
    /// How often this process was asked to end.
    asked: u32,
}

/// How an instance came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By SIGKILL, ours or its own at a failpoint.
    Killed,
    /// By SIGTERM.
    Terminated,
}

impl Instance {
    pub(crate) fn new(
        program: PathBuf,
        config: PathBuf,
        log: PathBuf,
        environment: Vec<(String, String)>,
    ) -> Self {
        Self { program, config, log, environment, child: None, expected: None, armed: false, asked: 0 }
    }

    /// The program with these arguments and our configuration, and none of the caller's variables.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SPARK_REPLICATOR") {
                command.env_remove(name);
            }
        }
        command.args(arguments).arg("--config").arg(&self.config).stdin(Stdio::null());
        command
    }

    /// Starts it; `failpoint` is the variable that tells it where to kill itself.
    pub(crate) fn start(&mut self, failpoint: Option<(&str, &str)>) -> Result<(), Error> {
        let open = || -> io::Result<(File, File)> {
            let log = File::options().create(true).append(true).open(&self.log)?;
            Ok((log.try_clone()?, log))
        };
        let (out, err) = open().map_err(system("open a log"))?;
        let mut command = self.program(&["run"]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::from(out)).stderr(Stdio::from(err));
        self.expected = None;
        (self.armed, self.asked) = (failpoint.is_some(), 0);
        command.envs(failpoint);
        self.child = Some(command.spawn().map_err(system("start the program"))?);
        Ok(())
    }

    /// Whether a process is there, stopped ones included.
    pub(crate) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Whether it was started to kill itself and has not done so.
    pub(crate) fn awaits_its_end(&self) -> bool {
        self.child.is_some() && self.armed
    }

    /// Sends a signal, which may end it.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.asked += u32::from(signal == Signal::TERM);
        self.expected = match signal {
            Signal::KILL => Some(End::Killed),
            Signal::TERM => Some(End::Terminated),
            _ => self.expected,
        };
        if let Some(pid) = self.child.as_ref().and_then(|child| Pid::from_raw(child.id().cast_signed())) {
            // It may have ended by itself; then its end is found by the next look.
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether it has ended since the last look; an end that is nobody's doing is an accusation.
    pub(crate) fn ended(&mut self) -> Option<Result<End, String>> {
        use std::os::unix::process::ExitStatusExt;
        let status: ExitStatus = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        let killed = status.signal() == Some(Signal::KILL.as_raw());
        Some(match self.expected.take() {
            Some(End::Killed) if killed => Ok(End::Killed),
            _ if killed && self.armed => Ok(End::Killed),
            Some(End::Terminated) if status.code() == Some(0) => Ok(End::Terminated),
            // A second signal stops it at once, and it says so.
            Some(End::Terminated) if status.code() == Some(143) && self.asked > 1 => Ok(End::Terminated),
            // It was told to end by SIGTERM when it had hardly begun to listen for it.
            Some(End::Terminated) if status.signal() == Some(Signal::TERM.as_raw()) => Ok(End::Terminated),
            _ => Err(format!("it ended by itself: {status}")),
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
