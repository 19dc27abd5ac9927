//! open(2), openat(2), openat2(2): from a path to a descriptor.
//!
//! Decides that it is close-on-exec and may be larger than 2 GiB. Which paths may be opened is the
//! caller's; that nothing escapes a directory is left to the kernel ([`ResolveFlags::BENEATH`]).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use bitflags::bitflags;
use nix::fcntl::{self, AT_FDCWD, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::Mode;

use super::Result;
use super::error::retry;

/// The directory of the process, for [`openat`] and [`openat2`].
pub const CURRENT_DIRECTORY: BorrowedFd<'static> = AT_FDCWD;

bitflags! {
    /// How to open; read-only if neither [`WRONLY`](Self::WRONLY) nor [`RDWR`](Self::RDWR) is set.
    /// The values are those of Node's `fs.constants`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct OpenFlags: i32 {
        /// Only to be written.
        const WRONLY = libc::O_WRONLY;
        /// To be read and written.
        const RDWR = libc::O_RDWR;
        /// Create the file if there is none.
        const CREAT = libc::O_CREAT;
        /// With `CREAT`: `EEXIST` if there is one.
        const EXCL = libc::O_EXCL;
        /// Make an existing file empty.
        const TRUNC = libc::O_TRUNC;
        /// Write at the end only. Such a file takes no splice, sendfile or `copy_file_range`.
        const APPEND = libc::O_APPEND;
        /// Do not wait: not for the other end of a FIFO, which is why a server opens with it.
        const NONBLOCK = libc::O_NONBLOCK;
        /// `ELOOP` if the last component is a symbolic link.
        const NOFOLLOW = libc::O_NOFOLLOW;
        /// `ENOTDIR` if it is none.
        const DIRECTORY = libc::O_DIRECTORY;
        /// Name the file without opening it: good for stat and as a directory to start from.
        const PATH = libc::O_PATH;
        /// Go round the page cache, with aligned memory, offsets and lengths only.
        const DIRECT = libc::O_DIRECT;
        /// Leave the access time alone; `EPERM` unless the file is ours.
        const NOATIME = libc::O_NOATIME;
        /// A terminal opened here does not become ours.
        const NOCTTY = libc::O_NOCTTY;
        /// A file without a name, in the directory given.
        const TMPFILE = libc::O_TMPFILE;

        const _ = !0;
    }
}

bitflags! {
    /// What [`openat2`] may not do on its way along the path.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ResolveFlags: u64 {
        /// `EXDEV` on leaving the directory: by `..`, an absolute path or a symbolic link.
        const BENEATH = libc::RESOLVE_BENEATH;
        /// The directory is `/` for this one call.
        const IN_ROOT = libc::RESOLVE_IN_ROOT;
        /// `ELOOP` at links that are doors, as in /proc/self/fd.
        const NO_MAGICLINKS = libc::RESOLVE_NO_MAGICLINKS;
        /// `ELOOP` at any symbolic link.
        const NO_SYMLINKS = libc::RESOLVE_NO_SYMLINKS;
        /// `EXDEV` at a mount point.
        const NO_XDEV = libc::RESOLVE_NO_XDEV;
        /// `EAGAIN` instead of asking a disk for anything (Linux 5.12).
        const CACHED = libc::RESOLVE_CACHED;

        const _ = !0;
    }
}

/// Opens `path`. `mode` is for a file that is created: its permissions, before the umask.
///
/// `ENOENT`, `EACCES`, `EISDIR`, `ELOOP`, `ENAMETOOLONG`, `EMFILE`, `ENFILE`, `EROFS`, `ETXTBSY` as
/// open(2) says; `EINVAL` also for a path with a zero byte; `ENXIO`: a socket, or a FIFO that
/// nobody reads.
pub fn open(path: impl AsRef<Path>, flags: OpenFlags, mode: u32) -> Result<OwnedFd> {
    openat(CURRENT_DIRECTORY, path, flags, mode)
}

/// Opens `path` as seen from `directory`; an absolute path is taken as it is.
pub fn openat(directory: impl AsFd, path: impl AsRef<Path>, flags: OpenFlags, mode: u32) -> Result<OwnedFd> {
    let mode = Mode::from_bits_retain(mode);
    retry(|| fcntl::openat(&directory, path.as_ref(), to_nix(flags), mode))
}

/// Opens `path` only if every step of it is in the kernel's caches; `EAGAIN` says: on a thread that
/// may wait, please; so it always says to [`OpenFlags::CREAT`] and [`OpenFlags::TRUNC`]. Errors as
/// [`openat2`].
pub fn open_cached(path: impl AsRef<Path>, flags: OpenFlags) -> Result<OwnedFd> {
    openat2(CURRENT_DIRECTORY, path, flags, 0, ResolveFlags::CACHED)
}

/// Opens `path` as seen from `directory`, under the rules of `resolve`.
///
/// - `EXDEV`, `ELOOP`: a rule was broken. `EAGAIN`: not cached, or a rename on the way left it open
///   whether one was; with [`ResolveFlags::CACHED`] an escape can look like this too. Ask again
///   without.
/// - `EINVAL`: flags that contradict each other, or a `mode` though nothing is created: openat2 is
///   strict where open is not. `E2BIG`: a field this kernel does not have.
/// - `ENOSYS`: before Linux 5.6. `EPERM`: a sandbox older than the call.
pub fn openat2(
    directory: impl AsFd,
    path: impl AsRef<Path>,
    flags: OpenFlags,
    mode: u32,
    resolve: ResolveFlags,
) -> Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(to_nix(flags))
        .mode(Mode::from_bits_retain(mode))
        .resolve(ResolveFlag::from_bits_retain(resolve.bits()));
    retry(|| fcntl::openat2(&directory, path.as_ref(), how))
}

fn to_nix(flags: OpenFlags) -> OFlag {
    OFlag::from_bits_retain(flags.bits()) | OFlag::O_CLOEXEC | OFlag::O_LARGEFILE
}
