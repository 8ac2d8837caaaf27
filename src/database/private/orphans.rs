//! Processes that a killed PostgreSQL leaves behind.
//!
//! The system gives them to process 1, or to a nearer process that adopts orphans. If that is us, we have to reap them.
//! Only Linux shows them; on other systems process 1 is never ours.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// The ids of the children with an owner in this process, who reaps them.
static OWNED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Notes a child that its owner will reap.
pub(super) fn know(pid: u32) {
    OWNED.lock().insert(pid);
}

/// Forgets a child that its owner has reaped.
pub(super) fn forget(pid: u32) {
    OWNED.lock().remove(&pid);
}

#[cfg(target_os = "linux")]
pub use linux::adopt;
#[cfg(target_os = "linux")]
pub(super) use linux::reap;

/// Does nothing on this system.
#[cfg(not(target_os = "linux"))]
pub fn adopt() {}

/// Does nothing on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn reap() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, WaitOptions, getpid, pidfd_open, set_child_subreaper, waitpid};

    use super::OWNED;

    /// Time for an orphan to end: its standard error is closed already.
    const ENDING: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

    /// Adopts what a killed PostgreSQL leaves behind, so that it is left to no process that never reaps.
    pub fn adopt() {
        // without it, process 1 adopts them as usual
        let _ = set_child_subreaper(Some(getpid()));
    }

    /// Reaps the adopted processes of a PostgreSQL that has ended.
    pub fn reap() {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
        for pid in pids.filter(|pid| is_orphan(*pid)) {
            if let Ok(end) = pidfd_open(pid, PidfdFlags::empty()) {
                let _ = poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&ENDING));
            }
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }

    /// Returns whether a process is a PostgreSQL of ours without an owner.
    // As in "42 (postgres) Z 1 …": the name, the state, the parent.
    fn is_orphan(pid: Pid) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        let Some((beginning, rest)) = stat.rsplit_once(") ") else { return false };
        let parent = rest.split(' ').nth(1).and_then(|parent| parent.parse().ok());
        let is_ours = beginning.ends_with("(postgres") && parent == Some(getpid().as_raw_nonzero().get());
        is_ours && !OWNED.lock().contains(&pid.as_raw_nonzero().get().cast_unsigned())
    }
}
