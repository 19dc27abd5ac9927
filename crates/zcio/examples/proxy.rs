//! `proxy LISTEN TARGET`: a TCP proxy for thousands of connections, on one thread that accepts and one that relays.
//!
//! No byte enters this process, and no connection has a thread or a buffer of its own: an idle one holds two sockets.

use std::env;
use std::error::Error;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use zcio::{Bridge, Endpoint, Reactor};

/// The thread that accepts waits for the target: not for long.
const CONNECT: Duration = Duration::from_secs(1);

/// Peers that have vanished without a word are given up.
const IDLE: Duration = Duration::from_secs(600);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [listen, target] = &arguments[..] else { return Err("usage: proxy LISTEN TARGET".into()) };
    let target = target.to_socket_addrs()?.next().ok_or("the target has no address")?;
    let listener = TcpListener::bind(listen)?;
    println!("{} -> {target}", listener.local_addr()?);
    loop {
        if let Err(error) = accept(&listener, target) {
            eprintln!("{error}");
            // Without descriptors the next attempt would fail as well: not at full speed.
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn accept(listener: &TcpListener, target: SocketAddr) -> Result<(), Box<dyn Error>> {
    let (client, peer) = listener.accept()?;
    let server = TcpStream::connect_timeout(&target, CONNECT)?;
    let bridge = Bridge::between([end(client)?, end(server)?], Default::default(), Some(IDLE))?;
    let told = move |ending: zcio::BridgeEnding| {
        if let Some(failure) = ending.failure() {
            eprintln!("{peer}: {failure}");
        }
    };
    Reactor::global()?.carry_out(bridge, told).map_err(|_| "busy")?;
    Ok(())
}

/// An end as the reactor wants it: owned, nonblocking, and sending at once what comes.
fn end(socket: TcpStream) -> Result<Endpoint<zcio::Fd<'static>>, Box<dyn Error>> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    Ok(Endpoint::of(OwnedFd::from(socket))?)
}
