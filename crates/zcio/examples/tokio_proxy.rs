//! `tokio_proxy LISTEN TARGET`: a TCP proxy on tokio whose bytes stay in the kernel.
//!
//! What differs from any other proxy on tokio is one line: `zcio::tokio::bridge` where `copy_bidirectional` was.

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::sleep;

/// Peers that have vanished without a word are given up.
const IDLE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [listen, target] = &arguments[..] else { return Err("usage: tokio_proxy LISTEN TARGET".into()) };
    let target = lookup_host(target).await?.next().ok_or("the target has no address")?;
    let listener = TcpListener::bind(listen).await?;
    println!("{} -> {target}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((client, peer)) => drop(tokio::spawn(serve(client, peer, target))),
            Err(error) => {
                eprintln!("{error}");
                // Without descriptors the next attempt would fail as well: not at full speed.
                sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn serve(client: TcpStream, peer: SocketAddr, target: SocketAddr) {
    if let Err(error) = relay(client, target).await {
        eprintln!("{peer}: {error}");
    }
}

async fn relay(client: TcpStream, target: SocketAddr) -> Result<(), Box<dyn Error + Send + Sync>> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ending = zcio::tokio::bridge(&client, &server, Some(IDLE)).await?;
    ending.failure().map_or(Ok(()), |failure| Err(failure.clone().into()))
}
