//! The private PostgreSQL under watch: it is started again after its end, and nothing of it is left.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{Ended, Program, client, send, within};

/// A program with a private database, in a folder of the test's own.
struct Private {
    program: Program,
    temp: TempDir,
    data_dir: Option<PathBuf>,
}

impl Private {
    /// Starts it, with data that are kept or not.
    async fn start(is_kept: bool) -> Self {
        let temp = tempfile::tempdir_in("/tmp").unwrap();
        // root runs PostgreSQL as another account
        fs::set_permissions(temp.path(), Permissions::from_mode(0o777)).unwrap();
        let data_dir = is_kept.then(|| temp.path().join("data"));
        let folder = data_dir.as_ref().map(|folder| folder.to_str().unwrap());
        let arguments: Vec<&str> = folder.iter().flat_map(|folder| ["--data-dir", folder]).collect();
        let environment = [("TMPDIR", temp.path().to_str().unwrap()), ("SANDBOX_LISTEN", "127.0.0.1:0")];
        let mut program = Program::run(&arguments, &environment);
        program.ready().await;
        Self { program, temp, data_dir }
    }

    /// Sends a signal to the main process of PostgreSQL.
    fn signal_postgres(&self, signal: Signal) {
        let folder = self.data_dir.clone().unwrap_or_else(|| {
            let mut entries = fs::read_dir(self.temp.path()).unwrap().map(|entry| entry.unwrap().path());
            entries.find(|path| path.join("throw-away.lock").exists()).unwrap()
        });
        let text = fs::read_to_string(folder.join("postgres/postmaster.pid")).unwrap();
        let pid = Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Returns the next log line with these words.
    async fn logged(&mut self, words: &str) -> String {
        let searching = async {
            loop {
                let line = self.program.stderr.next().await.expect("the program goes on");
                if line.contains(words) {
                    return line;
                }
            }
        };
        within(searching).await
    }

    /// Kills PostgreSQL, and waits until it runs again.
    async fn restart(&mut self, signal: Signal) -> String {
        self.signal_postgres(signal);
        let ended = self.logged("the private PostgreSQL ended; it is started again").await;
        self.logged("the private PostgreSQL runs again").await;
        ended
    }

    /// Returns names and states of the program's children, as Linux shows them: a zombie's state is `Z`.
    fn children(&self) -> Vec<(String, String)> {
        let parent = self.program.id().to_string();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let stats = entries.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        let mut children: Vec<_> = stats.filter_map(|stat| child_of(&parent, &stat)).collect();
        children.sort();
        children
    }

    /// Waits for the end of the program, and checks that nothing of PostgreSQL is left.
    async fn ended(self) -> Ended {
        let ended = self.program.ended().await;
        let left: Vec<_> = fs::read_dir(self.temp.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, Vec::from_iter(self.data_dir));
        let ours = self.temp.path().to_str().unwrap();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let commands = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
        let living: Vec<String> = commands.filter(|command| command.contains(ours)).collect();
        assert_eq!(living, [""; 0]);
        ended
    }
}

/// Reads a line of `/proc` such as "42 (postgres) S 1 …", if it is about a child of this parent.
fn child_of(parent: &str, stat: &str) -> Option<(String, String)> {
    let (beginning, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let state = words.next()?;
    let name = beginning.split_once('(')?.1;
    (words.next()? == parent).then(|| (name.to_owned(), state.to_owned()))
}

#[tokio::test]
async fn killed_postgres_is_started_again_with_its_data() {
    for is_kept in [false, true] {
        let mut private = Private::start(is_kept).await;
        let id = private.program.create_output().await;
        let line = private.restart(Signal::KILL).await;
        assert!(line.contains("WARN") && line.contains("signal 9 (SIGKILL)"), "{line}");

        let path = format!("/api/concierge_request_outputs/{id}");
        let answered = async {
            while send(private.program.request(&client(), reqwest::Method::GET, &path)).await.status == 503 {}
        };
        within(answered).await;
        assert_eq!(private.program.get(&path).await["data"]["id"], id);
        assert_ne!(private.program.create_output().await, id);
        if cfg!(target_os = "linux") {
            let children = private.children();
            let names: Vec<&str> = children.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["postgres", "sh"], "PostgreSQL and its watcher: {children:?}");
        }
        private.program.signal(Signal::TERM);
        let ended = private.ended().await;
        assert!(ended.status.success(), "{ended:?}");
        assert!(!ended.stderr.iter().any(|line| line.contains("the private PostgreSQL ended")), "{ended:?}");
    }
}

#[tokio::test]
async fn stopped_postgres_is_started_again() {
    let mut private = Private::start(false).await;
    let line = private.restart(Signal::INT).await;
    assert!(line.contains("exit status 0") && line.contains("LOG:  database system is shut down"), "{line}");
    private.program.signal(Signal::TERM);
    private.ended().await;
}

#[tokio::test]
async fn third_end_within_a_minute_ends_the_program() {
    let mut private = Private::start(false).await;
    private.restart(Signal::KILL).await;
    private.restart(Signal::KILL).await;
    private.signal_postgres(Signal::KILL);
    let ended = private.ended().await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let sentence = ended.stderr.last().unwrap();
    assert!(sentence.starts_with("concierge-sandbox: the private PostgreSQL failed three times"), "{sentence}");
    for words in ["signal 9 (SIGKILL)", "database system is ready to accept connections", "DATABASE_URL"] {
        assert!(sentence.contains(words), "{words}: {sentence}");
    }
}

#[tokio::test]
async fn stopping_while_it_is_started_again_leaves_nothing() {
    let mut private = Private::start(true).await;
    private.signal_postgres(Signal::KILL);
    private.logged("the private PostgreSQL ended; it is started again").await;
    private.program.signal(Signal::TERM);
    let ended = private.ended().await;
    assert!(ended.status.success(), "{ended:?}");
}
