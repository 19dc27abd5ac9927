//! Transfers on the calling thread, against the kernel this runs on: real files, pipes, sockets and processes.
//!
//! Numbers like oven-sh/bun#36758 name the bug of a peer that a test keeps out of here.

#[path = "../common/mod.rs"]
mod common;

mod failures;
mod limits;
mod options;
mod positions;
mod refusals;
mod relay;
mod relay_edges;
mod relay_failures;
mod routes;
mod same_file;
mod signals;
