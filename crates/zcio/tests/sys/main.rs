//! The calls of `zcio::sys` against the kernel this runs on: real files, pipes and sockets.

mod errors;
mod files;
mod open;
mod pages;
mod pipes;
mod signals;
mod sockets;
mod support;
mod waiting;
