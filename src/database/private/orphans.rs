//! Processes that a killed PostgreSQL leaves behind.
//!
//! The system gives them to process 1, or to a nearer process that adopts orphans. If that is us, we have to reap them.
//! Only Linux shows them; on other systems process 1 is never ours.

use std::collections::BTreeSet;
#[cfg(target_os = "linux")]
use std::fs;

use parking_lot::Mutex;
#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(target_os = "linux")]
use rustix::process::{Pid, PidfdFlags, WaitOptions, getpid, pidfd_open, set_child_subreaper, waitpid};

/// Time for an orphan to end: its standard error is closed already.
#[cfg(target_os = "linux")]
const ENDING: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The ids of the children with an owner in this process, who reaps them.
static OWNED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Notes a child that its owner will reap.
pub(super) fn know_child(pid: u32) {
    OWNED.lock().insert(pid);
}

/// Forgets a child that its owner has reaped.
pub(super) fn forget_child(pid: u32) {
    OWNED.lock().remove(&pid);
}

/// Adopts what a killed PostgreSQL leaves behind, so that it is left to no process that never reaps.
pub fn adopt() {
    // without it, process 1 adopts them as usual
    #[cfg(target_os = "linux")]
    let _ = set_child_subreaper(Some(getpid()));
}

/// Reaps the adopted processes of a PostgreSQL that has ended.
pub(super) fn reap_orphans() {
    #[cfg(target_os = "linux")]
    for pid in processes().filter(|pid| is_orphan(*pid)) {
        if let Ok(end) = pidfd_open(pid, PidfdFlags::empty()) {
            let _ = poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&ENDING));
        }
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

/// Returns the ids of all processes.
#[cfg(target_os = "linux")]
fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
}

/// Returns whether a process is a PostgreSQL of ours without an owner.
// As in "42 (postgres) Z 1 …": the name, the state, the parent.
#[cfg(target_os = "linux")]
fn is_orphan(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let Some((beginning, rest)) = stat.rsplit_once(") ") else { return false };
    let parent = rest.split(' ').nth(1).and_then(|parent| parent.parse().ok());
    let is_ours = beginning.ends_with("(postgres") && parent == Some(getpid().as_raw_nonzero().get());
    is_ours && !OWNED.lock().contains(&pid.as_raw_nonzero().get().cast_unsigned())
}
