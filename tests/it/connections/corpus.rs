//! A corpus of raw requests. Each gets the answers that are right, in one write and byte by byte. None brings a 5xx, a
//! panic, a second answer, or growth.

mod exchange;
mod mutations;
mod requests;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::support::{Database, Program, count, database};
use exchange::{Ending, exchange};
use requests::{GET, Raw, requests, whole};

/// Longest request that is also sent byte by byte.
const SLOW: usize = 2000;
/// Short limits, for requests that are never whole.
const SHORT: [&str; 6] = ["--header-timeout", "300ms", "--body-timeout", "300ms", "--idle-timeout", "300ms"];

/// Returns the number of stored outputs.
async fn stored(database: &Database) -> usize {
    usize::try_from(count(database, "select count(*) from concierge_request_outputs").await).unwrap()
}

/// Stops a program, and checks that it logged no trouble.
async fn assert_calm(program: Program) {
    let lines = program.ended_by_stop().await;
    let is_trouble = |line: &&String| ["ERROR", "WARN", "panicked"].iter().any(|word| line.contains(word));
    let trouble: Vec<&String> = lines.iter().filter(is_trouble).collect();
    assert!(trouble.is_empty(), "{trouble:?}");
}

/// Sends a request in these pieces, and returns what is wrong with its answers.
async fn wrong(program: &Program, raw: &Raw, pieces: usize) -> Option<String> {
    let found = exchange(program.address(), raw.bytes.chunks(pieces.max(1)), Ending::Half).await;
    let is_right = found.list.join(", ") == raw.answers && found.rest.is_empty();
    (!is_right).then(|| format!("{} in pieces of {pieces}: {found:?}, not {}", raw.name, raw.answers))
}

#[tokio::test]
async fn raw_requests_get_the_right_answers() {
    database(async |database| {
        let program = database.program(&[]).await;
        let (mut mistakes, mut expected) = (Vec::new(), 0);
        for raw in requests() {
            let slow = (raw.bytes.len() <= SLOW).then_some(1);
            for pieces in [Some(raw.bytes.len()), slow].into_iter().flatten() {
                mistakes.extend(wrong(&program, &raw, pieces).await);
                // what came in the body of another request was not carried out
                expected += raw.answers.matches("201").count();
                let stored = stored(database).await;
                if stored != expected {
                    mistakes.push(format!("{} in pieces of {pieces}: {stored} outputs, not {expected}", raw.name));
                    expected = stored;
                }
            }
        }
        assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
        program.create_output().await;
        assert_calm(program).await;
    })
    .await;
}

#[tokio::test]
async fn raw_requests_leave_nothing_behind() {
    /// Number of rounds at a time.
    const ABREAST: usize = 2;
    database(async |database| {
        let arguments = [&SHORT[..], &["--database-connections", "4"]].concat();
        let program = database.program(&arguments).await;
        let requests = requests();
        let rounds = async |rounds: usize| {
            for _ in 0..rounds / ABREAST {
                let all = || requests.iter().cycle().take(requests.len() * ABREAST);
                let found = all().map(|raw| exchange(program.address(), [&raw.bytes[..]], Ending::Open));
                for (raw, found) in all().zip(join_all(found).await) {
                    found.assert_sound(&raw.bytes);
                }
            }
        };
        // memory goes up and down by a tenth without growing, so several samples are compared
        let samples = async || {
            let mut samples = Vec::new();
            for _ in 0..5 {
                rounds(ABREAST).await;
                samples.push(resident(&program));
            }
            samples
        };
        // fills the request log and the pool of connections to the database
        rounds(20).await;
        let before = samples().await;
        let files = descriptors(&program);
        rounds(20).await;
        let after = samples().await;
        let closing = async {
            while descriptors(&program).len() > files.len() {
                program.get("/_sandbox/health/live").await;
            }
        };
        let closed = timeout(Duration::from_secs(20), closing).await;
        assert!(closed.is_ok(), "{:?} after {files:?}", descriptors(&program));
        let (most, least) = (*before.iter().max().unwrap(), *after.iter().min().unwrap());
        assert!(least <= most + most / 10, "{after:?} KiB after {before:?} KiB");
        program.create_output().await;
        assert_calm(program).await;
    })
    .await;
}

/// Lists the open files of a program.
fn descriptors(program: &Program) -> Vec<PathBuf> {
    let files = fs::read_dir(format!("/proc/{}/fd", program.id())).unwrap();
    files.filter_map(|file| fs::read_link(file.ok()?.path()).ok()).collect()
}

/// Returns the memory of a program, in KiB.
fn resident(program: &Program) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[tokio::test]
async fn requests_cut_anywhere_are_answered_or_ended() {
    database(async |database| {
        let program = database.program(&SHORT).await;
        let (request, mut expected) = (whole(), 0);
        let head = request.find("\r\n\r\n").unwrap() + 4;
        let both = request.clone() + GET;
        let cuts: Vec<usize> = (0..=both.len()).filter(|cut| cut % 7 == 0 || cut.abs_diff(request.len()) < 3).collect();
        for (cuts, ending) in cuts.chunks(16).flat_map(|cuts| [(cuts, Ending::Open), (cuts, Ending::Half)]) {
            let found = cuts.iter().map(|cut| exchange(program.address(), [&both.as_bytes()[..*cut]], ending));
            for (cut, found) in cuts.iter().zip(join_all(found).await) {
                let is_open = matches!(ending, Ending::Open);
                let answers = match *cut {
                    0 => "",
                    cut if cut < head => ["", "408 head_timeout"][usize::from(is_open)],
                    cut if cut < request.len() => "408 body_timeout",
                    cut if cut == request.len() => "201",
                    cut if cut < both.len() => ["201", "201, 408 head_timeout"][usize::from(is_open)],
                    _ => "201, 200",
                };
                assert_eq!(found.list.join(", "), answers, "{cut} {ending:?} {found:?}");
                expected += answers.matches("201").count();
            }
        }
        assert_eq!(stored(database).await, expected);
        assert_calm(program).await;
    })
    .await;
}
