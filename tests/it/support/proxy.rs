//! A TCP proxy to the test cluster's unix socket, for outages of the database.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy, open at first.
pub struct Proxy {
    address: SocketAddr,
    socket: PathBuf,
    /// Keeps the port while nothing listens on it; never listens itself.
    _port: TcpSocket,
    listening: Mutex<Option<JoinHandle<()>>>,
    /// Counts the cuts: each one ends the connections before it.
    cuts: watch::Sender<u32>,
    /// Counts the silences: each one mutes the connections before it.
    silences: watch::Sender<u32>,
    answers: watch::Sender<Answers>,
}

/// The fate of the answers to questions from now on.
#[derive(Debug, Clone, Copy)]
enum Answers {
    Carried,
    Lost,
    /// Lost from the next question with this text on.
    LostFrom(&'static str),
}

#[derive(Clone)]
struct Signals {
    cuts: watch::Receiver<u32>,
    silences: watch::Receiver<u32>,
    answers: watch::Receiver<Answers>,
}

impl Proxy {
    /// Opens a proxy to the server of these options.
    pub fn open_to(options: &PgConnectOptions) -> Self {
        let port = reusable();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = port.local_addr().unwrap();
        let socket = PathBuf::from(options.get_host()).join(format!(".s.PGSQL.{}", options.get_port()));
        let (cuts, silences) = (watch::Sender::new(0), watch::Sender::new(0));
        let answers = watch::Sender::new(Answers::Carried);
        let proxy = Self { address, socket, _port: port, listening: Mutex::default(), cuts, silences, answers };
        proxy.open();
        proxy
    }

    /// Returns the options of the same database, through this proxy.
    pub fn options(&self, direct: &PgConnectOptions) -> PgConnectOptions {
        direct.clone().host("127.0.0.1").port(self.address.port())
    }

    /// Accepts connections.
    pub fn open(&self) {
        let socket = reusable();
        socket.bind(self.address).unwrap();
        let listener = socket.listen(1024).unwrap();
        let (cuts, silences, answers) = (self.cuts.subscribe(), self.silences.subscribe(), self.answers.subscribe());
        let signals = Signals { cuts, silences, answers };
        let listening = tokio::spawn(accept_connections(listener, self.socket.clone(), signals));
        *self.listening.lock() = Some(listening);
    }

    /// Ends every open connection.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Keeps every open connection, but carries nothing on it any more, not even its end.
    pub fn silence(&self) {
        self.silences.send_modify(|silences| *silences += 1);
    }

    /// Carries questions, but loses their answers.
    pub fn lose_answers(&self) {
        self.answers.send_replace(Answers::Lost);
    }

    /// Loses the answer to the next question with this text on each connection, and all after it.
    pub fn lose_answers_from(&self, text: &'static str) {
        self.answers.send_replace(Answers::LostFrom(text));
    }

    /// Carries answers again, on new connections.
    pub fn carry_answers(&self) {
        self.answers.send_replace(Answers::Carried);
        self.cut();
    }

    /// Returns the URL of the same database, through this proxy.
    pub fn url(&self, direct: &PgConnectOptions) -> String {
        format!("postgres://{}@{}/{}", direct.get_username(), self.address, direct.get_database().unwrap())
    }

    /// Ends every connection and refuses new ones.
    pub async fn close(&self) {
        let listening = self.listening.lock().take();
        if let Some(listening) = listening {
            listening.abort();
            // the listener is gone once its task has ended
            listening.await.ok();
        }
        self.cut();
        assert!(TcpStream::connect(self.address).await.is_err(), "nothing listens");
    }
}

fn reusable() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket
}

async fn accept_connections(listener: TcpListener, socket: PathBuf, signals: Signals) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (socket, mut signals) = (socket.clone(), signals.clone());
        signals.cuts.mark_unchanged();
        signals.silences.mark_unchanged();
        tokio::spawn(async move {
            let Ok(mut server) = UnixStream::connect(socket).await else { return };
            let is_mute = AtomicBool::new(false);
            let (mut client_reader, mut client_writer) = client.split();
            let (mut server_reader, mut server_writer) = server.split();
            let answers = signals.answers.clone();
            let asking = carry(&mut client_reader, &mut server_writer, |question| {
                let answers = *answers.borrow();
                let is_lost = match answers {
                    Answers::Carried => false,
                    Answers::Lost => true,
                    Answers::LostFrom(text) => memchr::memmem::find(question, text.as_bytes()).is_some(),
                };
                is_mute.fetch_or(is_lost, Ordering::SeqCst);
                true
            });
            let answering = carry(&mut server_reader, &mut client_writer, |_| !is_mute.load(Ordering::SeqCst));
            tokio::select! {
                () = asking => {}
                () = answering => {}
                _ = signals.cuts.changed() => {}
                _ = signals.silences.changed() => drop(signals.cuts.changed().await),
            }
        });
    }
}

/// Carries bytes one way until either end closes. `passes` decides for each piece.
async fn carry(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    passes: impl Fn(&[u8]) -> bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if passes(&buffer[..length]) && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
