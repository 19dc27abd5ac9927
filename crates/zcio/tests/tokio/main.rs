//! Transfers, bridges and tasks as futures on tokio.

#[path = "../common/mod.rs"]
mod common;

mod bridge;
mod cancel;
mod runtime;
mod threads;
mod transfer;

use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// One thread for all, and a thread for each core.
fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()]
        .map(|mut builder| builder.enable_all().build().unwrap())
}

/// One that runs on the test's thread, and only while that waits for it.
fn runtime() -> Runtime {
    let [runtime, _] = runtimes();
    runtime
}

/// One that goes on while the test's thread waits for something else.
fn background() -> Runtime {
    let [_, runtime] = runtimes();
    runtime
}

/// What must come to an end, whatever it is.
async fn ends<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it ends")
}

/// A nonblocking socket, and its peer, which is not.
fn socket() -> (UnixStream, UnixStream) {
    let (socket, peer) = UnixStream::pair().unwrap();
    socket.set_nonblocking(true).unwrap();
    (socket, peer)
}
