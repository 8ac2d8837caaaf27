//! A child process that ends when we end, however we do, and what it says on standard error, which tells whether it
//! is ready and whether it has ended.
//!
//! We hold the child's life in a pipe: a watcher beside it reads the other end, and the system closes ours even after
//! `kill -9`. Left to others: which program, and how long to wait for what.

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

use super::account::Account;
use super::error::{PrivateError, failed};

/// How long a child may take to end after a signal, before it gets the next one.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How many of a child's lines are kept, to be told if it fails.
const TAIL: usize = 20;

/// Runs `$2 …` in its own process, beside a watcher that stops it and removes the folder `$1` as soon as standard
/// input ends; a line on standard input sends the watcher away.
// The watcher is started by a subshell that ends at once, so that the program never meets a child it does not know;
// it leaves standard output and error alone, so that their readers see the end.
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

/// A child process that ends when we end, however we do. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Tied {
    child: Child,
    log: Arc<Log>,
    /// What stops it, the gentlest first.
    signals: &'static [Signal],
}

impl Tied {
    /// Starts a program; if we are killed before [`Tied::finish`], the folder `doomed` goes too.
    pub(super) fn spawn(
        account: Account,
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
        let log = Arc::new(Log::default());
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            thread::spawn(move || log.follow(stderr));
        }
        Ok(Self { child, log, signals })
    }

    /// The program's process: the shell that started it has become it.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for `condition`, at most for `limit`, and tells how things stand then.
    pub(super) fn wait_until(&self, limit: Duration, condition: impl Fn(&Progress) -> bool) -> Progress {
        let mut progress = self.log.progress.lock();
        self.log.changed.wait_while_for(&mut progress, |progress| !condition(progress), limit);
        progress.clone()
    }

    /// Sends the watcher away and reaps the child, which has ended or is about to; whether all went well with it.
    // In this order: the child's process id must not get free while the watcher may still use it.
    pub(super) fn finish(&mut self) -> bool {
        if let Some(mut stdin) = self.child.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        // `Child::wait` drops standard input, which is why it was taken before.
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

/// How far a child has come, as told by its standard error; it has ended when that has.
#[derive(Debug, Default, Clone)]
pub(super) struct Progress {
    tail: VecDeque<String>,
    /// Whether it accepts connections.
    pub(super) ready: bool,
    /// Whether it has ended.
    pub(super) ended: bool,
}

impl Progress {
    /// The last lines.
    pub(super) fn lines(mut self) -> String {
        self.tail.make_contiguous().join("\n")
    }

    /// Why the child failed that was to work on `cluster`.
    pub(super) fn failure(self, cluster: &Path) -> PrivateError {
        let log = self.lines();
        if log.contains("No space left on device") || log.contains("Disk quota exceeded") {
            return PrivateError::DiskFull { path: cluster.into() };
        }
        PrivateError::Failed { log }
    }
}

/// A child's progress, and a bell for those who wait for it.
#[derive(Debug, Default)]
struct Log {
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Log {
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
