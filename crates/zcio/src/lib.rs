//! Zero-copy I/O on Linux: bytes from one descriptor to another, never through user space.
//!
//! A loop of `read(2)` and `write(2)` copies every byte twice and crosses into the kernel twice for each buffer.
//! `sendfile(2)`, `splice(2)`, `tee(2)`, `vmsplice(2)` and `copy_file_range(2)` let the kernel do both halves at
//! once, by passing references to pages instead of their contents. They come with a hundred conditions: which
//! descriptors, which file systems, who blocks on what. This crate knows them:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = std::fs::File::open("film.mp4")?;
//! let sink = std::net::TcpStream::connect("127.0.0.1:8080")?;
//! let outcome = zcio::transfer(&source, &sink)?;
//! println!("{} bytes by {}", outcome.bytes, outcome.mechanism.name());
//! # Ok(())
//! # }
//! ```
//!
//! **By reference.** What is sent is the file as it is while the receiver reads it: a file that changes during a
//! transfer arrives changed. [`Request::snapshot`] copies instead.
//!
//! # Layers
//!
//! Each knows only those before it.
//!
//! | layer | decides |
//! |---|---|
//! | [`sys`] | nothing: one man page a file; the only place with `unsafe`, nix or libc |
//! | [`config`], [`stats`] | what the process' owner may set, and may know |
//! | [`kernel`] | which calls the engine may make; tests put a simulated kernel here |
//! | [`endpoint`], [`pipe`], [`beneath`] | what a descriptor is; what a pipe of our own is; what lies beneath a directory |
//! | [`pool`] | how many pipes there are, how large, and who has one; with the kernel it is what a driver lends |
//! | [`transfer`](mod@transfer) | which call next ([`transfer::route`] is the table), and what its answer means; never waits |
//! | [`drivers`] | who waits: the calling thread ([`drivers::blocking`]), one for all ([`Reactor`]), tokio (`zcio::tokio`), or nobody ([`drivers::inline`]) |
//!
//! # Features
//!
//! None is on by default. `tokio`: the verbs of this page as futures, in `zcio::tokio`.

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod beneath;
pub mod capabilities;
pub mod config;
pub mod drivers;
pub mod endpoint;
pub mod kernel;
mod mechanism;
pub mod pipe;
pub mod pool;
pub mod stats;
pub mod sys;
pub mod transfer;

pub use drivers::blocking::{bridge, fan_out, transfer, transfer_with};
pub use drivers::reactor::{Reactor, Ticket};
#[cfg(feature = "tokio")]
pub use drivers::tokio;
pub use endpoint::{Endpoint, Facts, Kind};
pub use kernel::{Kernel, Linux};
pub use mechanism::{Mechanism, Mechanisms};
pub use pipe::Pipe;
pub use pool::{PipePool, Plumbing};
pub use sys::{Errno, Fd};
pub use transfer::{
    Bridge, BridgeEnding, Call, Cause, Ending, Failure, Fallback, FanOut, FanOutEnding, FanOutRequest, Gift,
    Operation, Outcome, Patience, Request, Side, SinkEnding, Step, Task, Transfer, Turn,
};
