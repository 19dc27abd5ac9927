//! send(2), recv(2), shutdown(2), getsockopt(2): what only sockets do.
//!
//! Decides that a send never raises SIGPIPE. When to cork, and that an option of a borrowed socket
//! is put back, is the engine's. `ENOTSOCK` everywhere: not a socket.

use std::ffi::{c_int, c_void};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};

use bitflags::bitflags;
use nix::errno::Errno as NixErrno;
use nix::sys::socket::{self, MsgFlags, Shutdown};

use super::error::retry;
use super::file::IOV_MAX;
use super::{Errno, Result};

bitflags! {
    /// How to send.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SendFlags: i32 {
        /// More will follow at once; a TCP socket may hold back what does not fill a packet, for
        /// 200 ms if nothing comes. A later send of nothing does not release it: setting
        /// [`set_tcp_nodelay`] does.
        const MORE = libc::MSG_MORE;
        /// `EAGAIN` instead of waiting, even on a blocking socket.
        const DONTWAIT = libc::MSG_DONTWAIT;

        const _ = !0;
    }
}

bitflags! {
    /// How to receive.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ReceiveFlags: i32 {
        /// `EAGAIN` instead of waiting, even on a blocking socket.
        const DONTWAIT = libc::MSG_DONTWAIT;
        /// Leave the bytes where they are.
        const PEEK = libc::MSG_PEEK;

        const _ = !0;
    }
}

/// Which direction [`shutdown`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// Nothing more is received.
    Read,
    /// Nothing more is sent: the peer gets the end after what was sent before.
    Write,
    /// Both.
    Both,
}

/// The type of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketType {
    /// Bytes in order, without boundaries.
    Stream,
    /// Datagrams.
    Datagram,
    /// Packets in order.
    SeqPacket,
    /// Another one, by its number.
    Other(i32),
}

/// The family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketDomain {
    /// `AF_UNIX`: what Node calls a pipe, and the stdio of its children.
    Unix,
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
    /// Another one, by its number.
    Other(i32),
}

/// Sends from `bytes`, possibly only the beginning. No SIGPIPE.
///
/// What is counted is accepted, not delivered: the first send after the peer has gone succeeds.
/// `EPIPE`: shut down or never connected. `ECONNRESET`: the peer has given up. `EMSGSIZE`: too much
/// for one datagram. `ENOBUFS`, `EAGAIN`: full.
pub fn send(sink: impl AsFd, bytes: &[u8], flags: SendFlags) -> Result<usize> {
    let sink = sink.as_fd().as_raw_fd();
    retry(|| socket::send(sink, bytes, to_nix(flags)))
}

/// Sends the slices one behind the other, as [`send`]; no more than the first 1024 of them.
pub fn send_vectored(sink: impl AsFd, slices: &[IoSlice<'_>], flags: SendFlags) -> Result<usize> {
    let sink = sink.as_fd().as_raw_fd();
    let slices = &slices[..slices.len().min(IOV_MAX)];
    retry(|| socket::sendmsg::<()>(sink, slices, &[], to_nix(flags), None))
}

/// Receives into `buffer`; 0 is the peer's end, or an empty datagram.
///
/// `ECONNRESET` comes after what arrived before the reset. `ENOTCONN`: never connected.
pub fn receive(source: impl AsFd, buffer: &mut [u8], flags: ReceiveFlags) -> Result<usize> {
    let source = source.as_fd().as_raw_fd();
    let flags = MsgFlags::from_bits_retain(flags.bits());
    retry(|| socket::recv(source, buffer, flags))
}

/// Ends one direction or both, now and for every duplicate of the descriptor.
///
/// Unlike a close, which sends no FIN before the last duplicate is gone. Wakes whoever waits.
/// `ENOTCONN`: not connected, or the peer has reset.
pub fn shutdown(fd: impl AsFd, how: How) -> Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    let how = match how {
        How::Read => Shutdown::Read,
        How::Write => Shutdown::Write,
        How::Both => Shutdown::Both,
    };
    retry(|| socket::shutdown(fd, how))
}

/// The type of the socket (`SO_TYPE`).
pub fn socket_type(fd: impl AsFd) -> Result<SocketType> {
    Ok(match option(fd, libc::SOL_SOCKET, libc::SO_TYPE)? {
        libc::SOCK_STREAM => SocketType::Stream,
        libc::SOCK_DGRAM => SocketType::Datagram,
        libc::SOCK_SEQPACKET => SocketType::SeqPacket,
        other => SocketType::Other(other),
    })
}

/// The family of the socket (`SO_DOMAIN`).
pub fn socket_domain(fd: impl AsFd) -> Result<SocketDomain> {
    Ok(match option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN)? {
        libc::AF_UNIX => SocketDomain::Unix,
        libc::AF_INET => SocketDomain::Inet,
        libc::AF_INET6 => SocketDomain::Inet6,
        other => SocketDomain::Other(other),
    })
}

/// Whether it is a TCP socket (`SO_PROTOCOL`), so that corking and `TCP_NODELAY` apply.
pub fn is_tcp(fd: impl AsFd) -> Result<bool> {
    Ok(option(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL)? == libc::IPPROTO_TCP)
}

/// Whether it accepts connections (`SO_ACCEPTCONN`) and therefore moves no bytes itself.
pub fn is_listening(fd: impl AsFd) -> Result<bool> {
    Ok(option(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)? != 0)
}

/// Takes the error that waits on the socket (`SO_ERROR`); the next call will not find it again.
pub fn take_error(fd: impl AsFd) -> Result<Option<Errno>> {
    Ok(match option(fd, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => None,
        error => Some(Errno::from_raw(error)),
    })
}

/// Whether small packets leave at once. `EOPNOTSUPP`: not TCP.
pub fn tcp_nodelay(fd: impl AsFd) -> Result<bool> {
    Ok(option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY)? != 0)
}

/// Sets whether small packets leave at once. Setting it also sends what
/// [`MORE`](SendFlags::MORE) has held back, even if it was set before.
pub fn set_tcp_nodelay(fd: impl AsFd, nodelay: bool) -> Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, nodelay.into())
}

/// Corks the socket, so that only full packets leave (a part waits 200 ms), or uncorks it, which
/// sends the rest at once.
pub fn set_tcp_cork(fd: impl AsFd, cork: bool) -> Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_CORK, cork.into())
}

fn to_nix(flags: SendFlags) -> MsgFlags {
    MsgFlags::from_bits_retain(flags.bits()) | MsgFlags::MSG_NOSIGNAL
}

#[allow(clippy::cast_possible_truncation, reason = "the size of an int")]
const OPTION_SIZE: libc::socklen_t = size_of::<c_int>() as libc::socklen_t;

/// Any option that is one `int`. nix has most of them, but fails on the types it has no name for.
fn option(fd: impl AsFd, level: c_int, name: c_int) -> Result<c_int> {
    let fd = fd.as_fd().as_raw_fd();
    let mut value: c_int = 0;
    let mut size = OPTION_SIZE;
    let target = (&raw mut value).cast::<c_void>();
    retry(|| {
        // SAFETY: the kernel stores at most `size` bytes at `target`: `value`, an int, is as large.
        let asked = unsafe { libc::getsockopt(fd, level, name, target, &raw mut size) };
        NixErrno::result(asked)
    })?;
    Ok(value)
}

fn set_option(fd: impl AsFd, level: c_int, name: c_int, value: c_int) -> Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    let source = (&raw const value).cast::<c_void>();
    retry(|| {
        // SAFETY: the kernel reads `OPTION_SIZE` bytes at `source`: `value` is as large.
        let set = unsafe { libc::setsockopt(fd, level, name, source, OPTION_SIZE) };
        NixErrno::result(set).map(drop)
    })
}
