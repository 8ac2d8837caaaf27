//! A child process that ends when we end, however that happens. Its standard error shows its progress.
//!
//! A pipe ties the child to us. A watcher beside the child reads one end; the system closes ours, even after `kill -9`.
//! Left to [`super::programs`]: the program to run, and its time limits.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, kill_process};

use super::account::OsAccount;
use super::error::{PrivateError, failed};

/// Time limit of a child to end after a signal, before it gets the next one.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Number of a child's last lines kept for the message of a failure.
const TAIL: usize = 20;

/// Runs `$2 …` in its own process, beside a watcher. At the end of standard input, the watcher stops the program and
/// removes the folder `$1`. A line on standard input dismisses the watcher.
// A subshell starts the watcher and ends at once, so that the program never gets an unknown child.
// The watcher does not hold standard output and error, so that their readers see the end.
const TIE: &str = r#"
folder=$1
shift
exec 3<&0 </dev/null
({
    trap '' HUP INT TERM
    read -r line <&3 || {
        kill -QUIT $$
        n=0
        while [ $n -lt 4 ] && kill -0 $$; do sleep 1; n=$((n + 1)); done
        kill -KILL $$
        rm -rf -- "$folder/postgres" && rm -rf -- "$folder"
    }
} >/dev/null 2>&1 &)
exec "$@" 3<&-
"#;

/// A child process that ends when we end, however that happens. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Tied {
    child: Child,
    log: Arc<ProcessLog>,
    /// The signals that stop it, the gentlest first.
    signals: &'static [Signal],
}

impl Tied {
    /// Starts a program. If we are killed before [`Tied::finish`], the folder `doomed` is removed too.
    pub(super) fn spawn(
        account: OsAccount,
        program: &Path,
        args: &[OsString],
        doomed: &Path,
        signals: &'static [Signal],
    ) -> Result<Self, PrivateError> {
        let mut command = account.command("/bin/sh");
        command.args(["-c", TIE, "sh"]).args([doomed, program]).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Out of the terminal's foreground, so that Ctrl-C reaches us only.
        command.process_group(0);
        let mut child = command.spawn().map_err(failed("run", program))?;
        let log = Arc::new(ProcessLog::default());
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            thread::spawn(move || log.follow(stderr));
        }
        Ok(Self { child, log, signals })
    }

    /// Returns the program's process id: the program has replaced the shell that started it.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for `condition`, at most for `limit`, and returns the progress by then.
    pub(super) fn wait_until(&self, limit: Duration, condition: impl Fn(&ProcessState) -> bool) -> ProcessState {
        let mut progress = self.log.progress.lock();
        self.log.changed.wait_while_for(&mut progress, |progress| !condition(progress), limit);
        progress.clone()
    }

    /// Dismisses the watcher and reaps the child, which has ended or is about to. Returns whether the child succeeded.
    // In this order: the child's process id must not become free while the watcher may still use it.
    pub(super) fn finish(&mut self) -> bool {
        if let Some(mut stdin) = self.child.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        // Taken first, because `Child::wait` drops standard input.
        self.child.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        for &signal in self.signals.iter().chain(&[Signal::KILL]) {
            if self.log.progress.lock().ended {
                break;
            }
            let _ = kill_process(Pid::from_child(&self.child), signal);
            self.wait_until(STOP_LIMIT, |progress| progress.ended);
        }
        self.finish();
    }
}

/// The progress of a child, read from its standard error. The child has ended when its standard error has.
#[derive(Debug, Default, Clone)]
pub(super) struct ProcessState {
    tail: VecDeque<String>,
    /// True once it accepts connections.
    pub(super) ready: bool,
    /// True once it has ended.
    pub(super) ended: bool,
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

/// A child's progress, and the notification of its changes.
#[derive(Debug, Default)]
struct ProcessLog {
    progress: Mutex<ProcessState>,
    changed: Condvar,
}

impl ProcessLog {
    /// Reads a child's standard error to its end.
    fn follow(&self, stderr: impl Read) {
        for bytes in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            tracing::debug!(target: "postgres", "{line}");
            let mut progress = self.progress.lock();
            progress.ready |= line.contains("ready to accept connections");
            progress.tail.push_back(line);
            if progress.tail.len() > TAIL {
                progress.tail.pop_front();
            }
            self.changed.notify_all();
        }
        self.progress.lock().ended = true;
        self.changed.notify_all();
    }
}
