//! The program: reads the command line, starts telemetry, runs the server until a signal.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use concierge_sandbox::clock::Clock;
use concierge_sandbox::config::{Cli, Command, Config, DocumentFormat};
use concierge_sandbox::contract;
use concierge_sandbox::database::{self, Database};
use concierge_sandbox::server::{self, Server};
use concierge_sandbox::telemetry;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::read();
    // half of the cores are left to the database, which usually runs on the same machine
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads((cores / 2).max(1)).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&cli)),
        Err(error) => Err(format!("can't start threads: {error}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("concierge-sandbox: {sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<(), String> {
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(&cli.config).await,
        Command::Migrate => migrate(&cli.config).await,
        Command::Healthcheck => healthcheck(cli.config.listen, cli.config.tls_cert.as_deref()).await,
        Command::Openapi { format } => openapi(&cli.config, format),
    }
}

async fn serve(config: &Config) -> Result<(), String> {
    telemetry::start(&config.log, config.log_format);
    // installed before the ready line, because its reader may stop us at once
    let no_signals = |error| format!("can't receive signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    // in a container we may be process 1; elsewhere we act as it would
    database::private::adopt();
    let starting = Server::start(config, Clock::machine());
    let server = tokio::select! {
        server = starting => server.map_err(|error| error.to_string())?,
        // the database may take its time
        _ = terminate.recv() => return Err("stopped by SIGTERM before it was ready".into()),
        _ = interrupt.recv() => return Err("stopped by Ctrl-C before it was ready".into()),
    };
    let scheme = if config.tls_cert.is_some() { "https" } else { "http" };
    println!("concierge-sandbox is ready on {scheme}://{}", server.address);
    let outcome = tokio::select! {
        _ = terminate.recv() => {
            tracing::info!("SIGTERM: stopping");
            Ok(())
        }
        _ = interrupt.recv() => {
            tracing::info!("Ctrl-C: stopping");
            Ok(())
        }
        sentence = server.lost() => Err(sentence),
    };
    tokio::select! {
        () = server.stop() => outcome,
        _ = interrupt.recv() => Err("stopped at once by a second Ctrl-C; open requests were cut off".into()),
    }
}

async fn migrate(config: &Config) -> Result<(), String> {
    telemetry::start(&config.log, config.log_format);
    let (options, private) = database::locate(config.location()).await.map_err(|error| error.to_string())?;
    let opened = Database::open(options, config.database_connections, config.database_wait).await;
    if let Ok(database) = &opened {
        database.close().await;
        tracing::info!("the schema is up to date");
    }
    if let Some(private) = private {
        tokio::task::spawn_blocking(|| private.stop()).await.ok();
    }
    opened.map(|_| ()).map_err(|error| error.to_string())
}

/// Prints the OpenAPI document.
fn openapi(config: &Config, format: DocumentFormat) -> Result<(), String> {
    let document = contract::document(&server::url(config), &Config::described());
    let text = match format {
        DocumentFormat::Json => Ok(format!("{document:#}\n")),
        DocumentFormat::Yaml => contract::yaml(&document),
    };
    let text = text.map_err(|error| format!("the document can't be rendered: {error}"))?;
    // a reader such as `head` may close the pipe
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("the document can't be written: {error}"))
}

/// Checks that a server is ready. Calls a server that listens on every address on the loopback address.
async fn healthcheck(mut address: SocketAddr, certificate: Option<&Path>) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1].into() });
    }
    let status = tokio::time::timeout(PATIENCE, ask(address, certificate)).await;
    match status {
        Ok(Ok(status)) if status.is_success() => Ok(()),
        Ok(Ok(status)) => Err(format!("the server on {address} is not ready: it answered {status}")),
        Ok(Err(error)) => Err(format!("no server answers on {address}: {error}; name its address with --listen")),
        Err(_) => Err(format!("the server on {address} did not answer within {} s", PATIENCE.as_secs())),
    }
}

async fn ask(address: SocketAddr, certificate: Option<&Path>) -> Result<hyper::StatusCode, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    match certificate {
        None => ask_on(stream, address).await,
        Some(certificate) => ask_on(server::connect(certificate, stream).await?, address).await,
    }
}

async fn ask_on(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
) -> Result<hyper::StatusCode, Box<dyn std::error::Error>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request =
        hyper::Request::get("/_sandbox/health/ready").header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    let status = sender.send_request(request).await?.status();
    connection.abort();
    Ok(status)
}
