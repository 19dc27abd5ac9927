//! The kernel's calls, one man page a file.
//!
//! Decides the shape of a call and nothing about when to make it: that is the engine's. This is the
//! only folder that names `nix` or `libc`, the only one with `unsafe`, and the only place where
//! `EINTR` is retried. What follows holds for every call here:
//!
//! - A call is made once and never loops; a short count is a result like any other.
//! - Descriptors come as `impl AsFd` and stay the caller's; new ones are close-on-exec.
//! - The two ends are `source` and `sink`, in the order of the man page.
//! - An offset is a `u64`. `None` stands for the descriptor's own position, which then moves;
//!   `Some` is moved on by the count instead. More than `i64::MAX` is [`Errno::OVERFLOW`] before
//!   the kernel is asked, so that no number can wrap around to another place in the file.
//! - A length above [`MAX_COUNT`] is cut to it, as the kernel cuts its own: a few calls would
//!   rather answer `EINVAL` to what does not fit an `ssize_t`.

#![allow(unsafe_code, reason = "the one folder of the crate that speaks C")]

mod copy_file_range;
mod epoll;
mod error;
mod eventfd;
mod fd;
mod file;
mod memfd;
mod offset;
mod open;
mod pages;
mod pipe;
mod poll;
mod priority;
mod readlink;
mod reflink;
mod seek;
mod sendfile;
mod signal;
mod socket;
mod splice;
mod stat;
mod tee;
mod vmsplice;

pub use copy_file_range::copy_file_range;
pub use epoll::{Epoll, Event, EventBuffer};
pub use error::{Errno, Result};
pub use eventfd::EventFd;
pub use fd::{Fd, StatusFlags, duplicate, reopen, set_nonblocking, status_flags};
pub use file::{
    advise_dontneed, advise_willneed, pread, pwrite, read, read_resident, truncate, write, write_vectored,
};
pub use memfd::{Seals, add_seals, memfd, seals};
pub use open::{CURRENT_DIRECTORY, OpenFlags, ResolveFlags, open, open_cached, openat, openat2};
pub use pages::{Pages, page_size};
pub use pipe::{buffered, pipe, pipe_capacity, set_pipe_capacity};
pub use poll::{Events, Interest, PollFd, poll, readiness, wait_readable, wait_writable};
pub use priority::stand_back;
pub use readlink::readlinkat;
pub use reflink::{reflink, reflink_range};
pub use seek::{seek_by, seek_data, seek_hole, seek_position, seek_to};
pub use sendfile::{MAX_COUNT, sendfile};
pub use signal::{
    Quiet, block_all_signals, may_raise, without_signals, without_signals_if, without_signals_of,
};
pub use socket::{
    How, ReceiveFlags, SendFlags, SocketDomain, SocketType, is_listening, is_tcp, receive, send,
    send_vectored, set_tcp_cork, set_tcp_nodelay, shutdown, socket_domain, socket_type, take_error,
    tcp_nodelay,
};
pub use splice::{SpliceFlags, splice};
pub use stat::{FileSystem, FileType, Stat, file_system, stat};
pub use tee::tee;
pub use vmsplice::{vmsplice, vmsplice_read};
