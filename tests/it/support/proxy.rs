//! A TCP proxy to the test cluster's unix socket, for outages of the database.

use std::net::SocketAddr;
use std::path::PathBuf;

use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use tokio::io::copy_bidirectional;
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
}

impl Proxy {
    /// Opens a proxy to the server of these options.
    pub fn open_to(options: &PgConnectOptions) -> Self {
        let port = reusable();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = port.local_addr().unwrap();
        let socket = PathBuf::from(options.get_host()).join(format!(".s.PGSQL.{}", options.get_port()));
        let (cuts, silences) = (watch::Sender::new(0), watch::Sender::new(0));
        let proxy = Self { address, socket, _port: port, listening: Mutex::default(), cuts, silences };
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
        let listening = tokio::spawn(accept_connections(
            listener,
            self.socket.clone(),
            self.cuts.subscribe(),
            self.silences.subscribe(),
        ));
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

async fn accept_connections(
    listener: TcpListener,
    socket: PathBuf,
    cuts: watch::Receiver<u32>,
    silences: watch::Receiver<u32>,
) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (socket, mut cuts, mut silences) = (socket.clone(), cuts.clone(), silences.clone());
        cuts.mark_unchanged();
        silences.mark_unchanged();
        tokio::spawn(async move {
            let Ok(mut server) = UnixStream::connect(socket).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = cuts.changed() => {}
                _ = silences.changed() => drop(cuts.changed().await),
            }
        });
    }
}
