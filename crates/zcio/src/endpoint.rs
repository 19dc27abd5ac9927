//! What a descriptor is: asked once, or told by a caller who knows.
//!
//! The route of a transfer depends on the kinds of its two ends and on a few flags. [`Facts::of`] asks the kernel
//! for them (three to six cheap calls); [`Facts::stream_socket`] is for callers who took the descriptor from a
//! connected socket and need not ask. Nothing here changes a descriptor that was given, and nothing here decides
//! how bytes move: that is [`route`](crate::transfer::route)'s.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, LazyLock};

use crate::config;
use crate::mechanism::Mechanisms;
use crate::sys::{self, Errno, Events, Fd, FileType, OpenFlags, SocketDomain, SocketType, Stat, StatusFlags};

/// The kinds of descriptor that the route table tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file, memfd included.
    File,
    /// A pipe or FIFO.
    Pipe,
    /// A connected stream socket: TCP or `AF_UNIX`.
    Socket,
    /// A character device: a terminal, `/dev/zero`.
    CharDevice,
    /// Anything else that can be read or written: block devices, event descriptors.
    Other,
}

impl Kind {
    /// All kinds, in the order of the route table.
    pub const ALL: [Self; 5] = [Self::File, Self::Pipe, Self::Socket, Self::CharDevice, Self::Other];

    /// The word for it in documentation and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Pipe => "pipe",
            Self::Socket => "socket",
            Self::CharDevice => "character device",
            Self::Other => "other",
        }
    }
}

/// What the engine knows about a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "they are the kernel's flags, one by one")]
pub struct Facts {
    /// Its kind.
    pub kind: Kind,
    /// Open for reading.
    pub readable: bool,
    /// Open for writing.
    pub writable: bool,
    /// `O_NONBLOCK`: a call that would wait fails with `EAGAIN` instead. Files ignore it.
    pub nonblocking: bool,
    /// `O_APPEND`: `splice(2)`, `sendfile(2)` and `copy_file_range(2)` refuse such a sink.
    pub append: bool,
    /// `O_DIRECT`: the page cache is bypassed, so there are no pages to pass by reference.
    pub direct: bool,
    /// The master's side of a terminal, which tells by `EIO` that the other has been closed: pty(7).
    pub is_terminal_master: bool,
    /// Size in bytes when asked; 0 for everything without one, and for the files of /proc.
    pub size: u64,
    /// Where a regular file's position was when asked; 0 for everything else.
    pub position: u64,
    /// Which file: device, inode, and time of last modification (seconds, nanoseconds).
    pub identity: Identity,
    /// What the [configuration](config::Switch) keeps from regular files on this one's file system.
    pub switched_off: Mechanisms,
}

/// Names one version of one file, or one pipe, or one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Identity {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
    /// `st_mtim`.
    pub modified: (i64, i64),
}

impl Identity {
    /// Whether both name the same file, be it at different times.
    #[must_use]
    pub const fn is_same_file(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// Why a descriptor cannot be an end of a transfer at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A call that asked about it failed, or would fail for certain.
    System {
        /// What the kernel said.
        errno: Errno,
        /// The call it said it to.
        call: &'static str,
    },
    /// The kernel would take it, but not as a stream of bytes; says what it is.
    Unsupported(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { errno, call } => write!(f, "{errno}, {call}"),
            Self::Unsupported(what) => write!(f, "{what} cannot be an end of a transfer"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Facts {
    /// Asks the kernel: `fstat(2)`, `fcntl(F_GETFL)`, of files their position, and of sockets their type, domain and whether they listen.
    ///
    /// # Errors
    /// [`Refusal::System`] with `EBADF` for a descriptor opened with `O_PATH`, with `EISDIR` for a directory;
    /// [`Refusal::Unsupported`] for sockets that are not connected byte streams.
    pub fn of(fd: impl AsFd) -> Result<Self, Refusal> {
        let stat = sys::stat(&fd).map_err(|errno| Refusal::System { errno, call: "fstat" })?;
        let flags = sys::status_flags(&fd).map_err(|errno| Refusal::System { errno, call: "fcntl" })?;
        if flags.contains(StatusFlags::PATH) {
            return Err(Refusal::System { errno: Errno::BADF, call: "read" });
        }
        let kind = kind_of(&fd, &stat)?;
        if kind != Kind::File {
            return Ok(Self::new(kind, flags, &stat));
        }
        match sys::seek_position(&fd) {
            Ok(position) => {
                let switched_off = config::switched_off_on(&fd);
                Ok(Self { position, switched_off, ..Self::new(kind, flags, &stat) })
            }
            // A file in name only, such as trace_pipe: it is read as it comes.
            Err(Errno::SPIPE) => Ok(Self::new(Kind::Other, flags, &stat)),
            Err(errno) => Err(Refusal::System { errno, call: "lseek" }),
        }
    }

    /// A descriptor that the caller took from a connected, nonblocking stream socket. No system call.
    #[must_use]
    pub const fn stream_socket() -> Self {
        Self {
            kind: Kind::Socket,
            readable: true,
            writable: true,
            nonblocking: true,
            append: false,
            direct: false,
            is_terminal_master: false,
            size: 0,
            position: 0,
            identity: Identity { device: 0, inode: 0, modified: (0, 0) },
            switched_off: Mechanisms::NONE,
        }
    }

    /// A regular file that the caller has just opened for reading and asked about. No system call.
    #[must_use]
    pub fn opened_file(stat: &Stat) -> Self {
        Self { writable: false, ..Self::new(Kind::File, StatusFlags::empty(), stat) }
    }

    fn new(kind: Kind, flags: StatusFlags, stat: &Stat) -> Self {
        Self {
            kind,
            readable: flags.readable(),
            writable: flags.writable(),
            nonblocking: flags.contains(StatusFlags::NONBLOCK),
            append: flags.contains(StatusFlags::APPEND),
            direct: kind == Kind::File && flags.contains(StatusFlags::DIRECT),
            is_terminal_master: kind == Kind::CharDevice && stat.special_device == PTMX,
            size: stat.size,
            position: 0,
            identity: Identity { device: stat.device, inode: stat.inode, modified: stat.modified },
            switched_off: Mechanisms::NONE,
        }
    }

    /// Whether both are the same file, or the ends of the same pipe. Of sockets nobody asks: one that talks to itself is
    /// an echo.
    #[must_use]
    pub fn is_one_with(&self, other: &Self) -> bool {
        let same = self.kind == other.kind && self.identity.is_same_file(&other.identity);
        same && matches!(self.kind, Kind::File | Kind::Pipe)
    }

    /// Whether a call on it can wait for longer than a disk takes.
    #[must_use]
    pub fn can_block(&self) -> bool {
        self.kind != Kind::File && !self.nonblocking
    }
}

/// 5:2, the device of all masters.
const PTMX: u64 = 0x502;

fn kind_of(fd: impl AsFd, stat: &Stat) -> Result<Kind, Refusal> {
    match stat.file_type() {
        FileType::Regular => Ok(Kind::File),
        FileType::Pipe => Ok(Kind::Pipe),
        FileType::CharDevice => Ok(Kind::CharDevice),
        FileType::Socket => kind_of_socket(fd),
        FileType::Directory => Err(Refusal::System { errno: Errno::ISDIR, call: "read" }),
        _ => Ok(Kind::Other),
    }
}

/// Only what carries a stream of bytes: a datagram or packet socket loses what does not fit one call, and an empty
/// datagram looks like the end.
fn kind_of_socket(fd: impl AsFd) -> Result<Kind, Refusal> {
    let asked = |errno| Refusal::System { errno, call: "getsockopt" };
    if sys::socket_type(&fd).map_err(asked)? != SocketType::Stream {
        return Err(Refusal::Unsupported("a datagram, packet or raw socket"));
    }
    if !matches!(
        sys::socket_domain(&fd).map_err(asked)?,
        SocketDomain::Inet | SocketDomain::Inet6 | SocketDomain::Unix
    ) {
        return Err(Refusal::Unsupported("a socket that is neither TCP nor AF_UNIX"));
    }
    if sys::is_listening(&fd).map_err(asked)? {
        return Err(Refusal::Unsupported("a listening socket"));
    }
    Ok(Kind::Socket)
}

/// One end of a transfer: a handle and what is known about it.
#[derive(Debug)]
pub struct Endpoint<H> {
    /// What the kernel calls take.
    pub handle: H,
    /// What the route depends on. Shared: both directions of a bridge know the same of a socket.
    pub facts: Arc<Facts>,
}

impl<H> Endpoint<H> {
    /// A handle, and what the caller knows about it.
    pub fn new(handle: impl Into<H>, facts: impl Into<Arc<Facts>>) -> Self {
        Self { handle: handle.into(), facts: facts.into() }
    }

    /// A descriptor that the caller took from a connected, nonblocking [stream socket](Facts::stream_socket).
    pub fn stream_socket(handle: impl Into<H>) -> Self {
        /// All of them know the same: ten thousand tunnels hold it once.
        static FACTS: LazyLock<Arc<Facts>> = LazyLock::new(|| Facts::stream_socket().into());
        Self { handle: handle.into(), facts: Arc::clone(&FACTS) }
    }
}

impl<'fd> Endpoint<Fd<'fd>> {
    /// A descriptor, owned, shared or borrowed, and what the kernel says about it.
    ///
    /// # Errors
    /// As of [`Facts::of`].
    pub fn of(handle: impl Into<Fd<'fd>>) -> Result<Self, Refusal> {
        let handle = handle.into();
        let facts = Facts::of(&handle)?.into();
        Ok(Self { handle, facts })
    }

    /// The same end where calls on it do not wait: a pipe or FIFO that lacks `O_NONBLOCK` is opened anew through
    /// /proc, since the flags of the descriptor that was given are its owner's, and of everybody who inherited it. The
    /// end as it was where that cannot be: there is no /proc, no descriptor is left (`EMFILE`), the pipe belongs to
    /// another user (`EACCES`), or nobody reads it any more (`ENXIO`).
    ///
    /// Drop it as soon as it is not needed: while it is open, readers of the pipe do not see its end.
    #[must_use]
    pub fn unblocked(self) -> Self {
        if self.facts.kind != Kind::Pipe || self.facts.nonblocking {
            return self;
        }
        let access = match (self.facts.readable, self.facts.writable) {
            (true, true) => OpenFlags::RDWR,
            (false, true) => OpenFlags::WRONLY,
            _ => OpenFlags::empty(),
        };
        let Ok(own) = sys::reopen(&self.handle, access | OpenFlags::NONBLOCK) else { return self };
        // Who opens a FIFO for reading is told of the end of those who write from then on only.
        let has_hung_up = |fd: BorrowedFd<'_>| sys::readiness(fd).contains(Events::HUP);
        if has_hung_up(self.handle.as_fd()) && !has_hung_up(own.as_fd()) {
            return self;
        }
        Self::new(own, Facts { nonblocking: true, ..*self.facts })
    }
}
