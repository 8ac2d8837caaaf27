//! A child process that ends when we end, however that happens. Its standard error shows its progress.
//!
//! A pipe ties the child to us. A watcher beside the child reads one end; the system closes ours, even after `kill -9`.
//! Both are our own children, and reaped here. Left to [`super::programs`]: the program to run, and its time limits.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, kill_process};

use super::account::OsAccount;
use super::error::{PrivateError, failed};
use super::orphans::{forget_child, know_child, reap_orphans};

/// Time limit of a child to end after a signal, before it gets the next one.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Number of a child's last lines kept for the message of a failure.
const TAIL: usize = 20;

/// Becomes the program `$@` after a line on standard input: without it, nobody watches the program.
const PROGRAM: &str = r#"read -r line && exec "$@" </dev/null"#;

/// Ends after a line on standard input. At the end of standard input, stops the process `$1` and removes the folder `$2`.
const WATCHER: &str = r#"
trap '' HUP INT TERM
read -r line || {
    kill -QUIT "$1"
    n=0
    while [ $n -lt 4 ] && kill -0 "$1"; do sleep 1; n=$((n + 1)); done
    kill -KILL "$1"
    rm -rf -- "$2/postgres" && rm -rf -- "$2"
}
"#;

/// A child process that ends when we end, however that happens. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Tied {
    child: Child,
    /// Its standard input is open until the end of [`Tied::finish`].
    watcher: Child,
    log: Arc<ProcessLog>,
    /// The signals that stop it, the gentlest first.
    signals: &'static [Signal],
}

impl Tied {
    /// Starts a program, with its progress in `log`. If we are killed before [`Tied::finish`], the folder `doomed` is
    /// removed too.
    pub(super) fn spawn(
        account: OsAccount,
        program: &Path,
        args: &[OsString],
        doomed: &Path,
        signals: &'static [Signal],
        log: &Arc<ProcessLog>,
    ) -> Result<Self, PrivateError> {
        let mut command = account.command("/bin/sh");
        command.args(["-c", PROGRAM, "sh"]).arg(program).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Out of the terminal's foreground, so that Ctrl-C reaches us only.
        command.process_group(0);
        let mut child = command.spawn().map_err(failed("run", program))?;
        know_child(child.id());
        let mut command = account.command("/bin/sh");
        command.args(["-c", WATCHER, "sh", &child.id().to_string()]).arg(doomed);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let watcher = match command.spawn() {
            Ok(watcher) => watcher,
            Err(error) => {
                // Waiting closes its standard input, so that it ends.
                let _ = child.wait();
                forget_child(child.id());
                return Err(failed("run", Path::new("/bin/sh"))(error));
            }
        };
        log.begin(child.id());
        let stderr = child.stderr.take();
        let mut stdin = child.stdin.take();
        let tied = Self { child, watcher, log: Arc::clone(log), signals };
        if let Some(stderr) = stderr {
            let log = Arc::clone(log);
            thread::spawn(move || log.follow(stderr));
        }
        let begun = stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(b"\n"));
        begun.map_err(failed("run", program))?;
        Ok(tied)
    }

    /// Waits for `condition`, at most for `limit`, and returns the progress by then.
    pub(super) fn wait_until(&self, limit: Duration, condition: impl Fn(&ProcessState) -> bool) -> ProcessState {
        self.log.wait_for(limit, condition)
    }

    /// Dismisses the watcher and reaps the child, which has ended or is about to. Returns how the child ended.
    // In this order: the child's process id must not become free while the watcher may still use it.
    pub(super) fn finish(&mut self) -> io::Result<ExitStatus> {
        if let Some(mut stdin) = self.watcher.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        let status = self.child.wait();
        let _ = self.watcher.wait();
        forget_child(self.child.id());
        if !status.as_ref().is_ok_and(ExitStatus::success) {
            reap_orphans();
        }
        status
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        // It is finished, and the log may be that of its successor.
        if self.watcher.stdin.is_none() {
            return;
        }
        for &signal in self.signals.iter().chain(&[Signal::KILL]) {
            if self.log.state.lock().ended {
                break;
            }
            let _ = kill_process(Pid::from_child(&self.child), signal);
            self.wait_until(STOP_LIMIT, |progress| progress.ended);
        }
        let _ = self.finish();
    }
}

/// The owner's wish for a child.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// It runs.
    #[default]
    Run,
    /// It may run, and is not started again.
    Leave,
    /// It stops.
    Stop,
}

/// The progress of a child, read from its standard error. The child has ended when its standard error has.
#[derive(Debug, Default, Clone)]
pub(super) struct ProcessState {
    pub(super) pid: u32,
    tail: VecDeque<String>,
    /// True once it accepts connections.
    pub(super) ready: bool,
    /// True once it has ended.
    pub(super) ended: bool,
    pub(super) wish: Wish,
}

impl ProcessState {
    /// Returns the last lines.
    pub(super) fn lines(mut self) -> String {
        self.tail.make_contiguous().join("\n")
    }

    /// Returns the reason for the failure of a child that worked on `cluster`.
    pub(super) fn failure(self, cluster: &Path) -> PrivateError {
        let log = self.lines();
        if log.contains("No space left on device") || log.contains("Disk quota exceeded") {
            return PrivateError::DiskFull { path: cluster.into() };
        }
        PrivateError::Failed { log }
    }
}

/// A child's progress, and the notification of its changes. A later child may take it over.
#[derive(Debug, Default)]
pub(super) struct ProcessLog {
    state: Mutex<ProcessState>,
    changed: Condvar,
}

impl ProcessLog {
    /// Returns the present progress.
    pub(super) fn state(&self) -> ProcessState {
        self.state.lock().clone()
    }

    /// Waits for `condition`, and returns the progress by then.
    pub(super) fn wait(&self, condition: impl Fn(&ProcessState) -> bool) -> ProcessState {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| !condition(state));
        state.clone()
    }

    /// Waits for `condition`, at most for `limit`, and returns the progress by then.
    pub(super) fn wait_for(&self, limit: Duration, condition: impl Fn(&ProcessState) -> bool) -> ProcessState {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| !condition(state), limit);
        state.clone()
    }

    /// Notes the owner's wish, unless it is an earlier one.
    pub(super) fn wish(&self, wish: Wish) {
        let mut state = self.state.lock();
        state.wish = state.wish.max(wish);
        self.changed.notify_all();
    }

    /// Begins the progress of another child.
    fn begin(&self, pid: u32) {
        let mut state = self.state.lock();
        *state = ProcessState { pid, wish: state.wish, ..ProcessState::default() };
    }

    /// Reads a child's standard error to its end.
    fn follow(&self, stderr: impl Read) {
        for bytes in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            tracing::debug!(target: "postgres", "{line}");
            let mut state = self.state.lock();
            state.ready |= line.contains("ready to accept connections");
            state.tail.push_back(line);
            if state.tail.len() > TAIL {
                state.tail.pop_front();
            }
            self.changed.notify_all();
        }
        self.state.lock().ended = true;
        self.changed.notify_all();
    }
}
