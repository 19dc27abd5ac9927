//! What a system call may answer instead of a result: [`Errno`], and [`Result`] around it.
//!
//! Decides how an error number is named and told to a reader: as Node does, so that `code` and
//! `message` of an error from here equal those of `fs.*`. What an error means for a transfer is
//! decided where it is matched. Here too is the one place that retries `EINTR`.

use std::fmt;

use nix::errno::Errno as NixErrno;

/// The result of one system call.
pub type Result<T> = std::result::Result<T, Errno>;

/// An error number of Linux, as errno(3) lists them.
///
/// The constants are the names of the man page without their `E`. Two differ: `E2BIG` is
/// [`Errno::TOOBIG`], and [`Errno::OPNOTSUPP`] answers to the name Node gives it, `ENOTSUP`, which
/// is the same number on Linux.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

impl Errno {
    /// The error with this number, also one that nobody has a name for (some NFS kernels leak 524).
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// The number: positive, as the C library has it. Node's `error.errno` is its negative.
    pub const fn raw(self) -> i32 {
        self.0
    }

    pub(super) fn from_nix(error: NixErrno) -> Self {
        match error {
            // nix folds the numbers it does not know into one; the thread still holds the real one.
            NixErrno::UnknownErrno => Self(NixErrno::last_raw()),
            known => Self(known as i32),
        }
    }
}

/// Makes `call` again for as long as a signal interrupts it.
///
/// A nonblocking call can be interrupted too: splice(2) answers `EINTR` whenever a signal is
/// pending, before it has moved anything.
pub(super) fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(NixErrno::EINTR) => {}
            result => return result.map_err(Errno::from_nix),
        }
    }
}

/// A count that C returned in place of an error, and which is therefore not negative.
pub(super) fn count<T>(returned: T) -> usize
where
    usize: TryFrom<T>,
{
    usize::try_from(returned).unwrap_or(0)
}

impl fmt::Display for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.name(), self.description())?;
        match self.name() {
            UNKNOWN => write!(formatter, " {}", self.0),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::error::Error for Errno {}

impl From<Errno> for std::io::Error {
    fn from(error: Errno) -> Self {
        Self::from_raw_os_error(error.0)
    }
}

const UNKNOWN: &str = "UNKNOWN";

macro_rules! errnos {
    ($($constant:ident $name:ident $description:literal,)*) => {
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($name), "`: ", $description, ".")]
                pub const $constant: Self = Self(libc::$name);
            )*

            /// The symbolic name, `"ENOSPC"`: what Node puts in `error.code`. `"UNKNOWN"` where
            /// there is none.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $(libc::$name => stringify!($name),)*
                    _ => UNKNOWN,
                }
            }

            /// The sentence for a reader, `"no space left on device"`: what Node puts in
            /// `error.message`.
            pub const fn description(self) -> &'static str {
                match self.0 {
                    $(libc::$name => $description,)*
                    _ => "unknown error",
                }
            }
        }
    };
}

// In libuv's words (`util.getSystemErrorMap()`); those libuv does not have in strerror(3)'s.
errnos! {
    PERM EPERM "operation not permitted",
    NOENT ENOENT "no such file or directory",
    SRCH ESRCH "no such process",
    INTR EINTR "interrupted system call",
    IO EIO "i/o error",
    NXIO ENXIO "no such device or address",
    TOOBIG E2BIG "argument list too long",
    NOEXEC ENOEXEC "exec format error",
    BADF EBADF "bad file descriptor",
    CHILD ECHILD "no child processes",
    AGAIN EAGAIN "resource temporarily unavailable",
    NOMEM ENOMEM "not enough memory",
    ACCES EACCES "permission denied",
    FAULT EFAULT "bad address in system call argument",
    NOTBLK ENOTBLK "block device required",
    BUSY EBUSY "resource busy or locked",
    EXIST EEXIST "file already exists",
    XDEV EXDEV "cross-device link not permitted",
    NODEV ENODEV "no such device",
    NOTDIR ENOTDIR "not a directory",
    ISDIR EISDIR "illegal operation on a directory",
    INVAL EINVAL "invalid argument",
    NFILE ENFILE "file table overflow",
    MFILE EMFILE "too many open files",
    NOTTY ENOTTY "inappropriate ioctl for device",
    TXTBSY ETXTBSY "text file is busy",
    FBIG EFBIG "file too large",
    NOSPC ENOSPC "no space left on device",
    SPIPE ESPIPE "invalid seek",
    ROFS EROFS "read-only file system",
    MLINK EMLINK "too many links",
    PIPE EPIPE "broken pipe",
    DOM EDOM "numerical argument out of domain",
    RANGE ERANGE "result too large",
    DEADLK EDEADLK "resource deadlock avoided",
    NAMETOOLONG ENAMETOOLONG "name too long",
    NOLCK ENOLCK "no locks available",
    NOSYS ENOSYS "function not implemented",
    NOTEMPTY ENOTEMPTY "directory not empty",
    LOOP ELOOP "too many symbolic links encountered",
    NOMSG ENOMSG "no message of desired type",
    IDRM EIDRM "identifier removed",
    CHRNG ECHRNG "channel number out of range",
    L2NSYNC EL2NSYNC "level 2 not synchronized",
    L3HLT EL3HLT "level 3 halted",
    L3RST EL3RST "level 3 reset",
    LNRNG ELNRNG "link number out of range",
    UNATCH EUNATCH "protocol driver not attached",
    NOCSI ENOCSI "no CSI structure available",
    L2HLT EL2HLT "level 2 halted",
    BADE EBADE "invalid exchange",
    BADR EBADR "invalid request descriptor",
    XFULL EXFULL "exchange full",
    NOANO ENOANO "no anode",
    BADRQC EBADRQC "invalid request code",
    BADSLT EBADSLT "invalid slot",
    BFONT EBFONT "bad font file format",
    NOSTR ENOSTR "device not a stream",
    NODATA ENODATA "no data available",
    TIME ETIME "timer expired",
    NOSR ENOSR "out of streams resources",
    NONET ENONET "machine is not on the network",
    NOPKG ENOPKG "package not installed",
    REMOTE EREMOTE "object is remote",
    NOLINK ENOLINK "link has been severed",
    ADV EADV "advertise error",
    SRMNT ESRMNT "srmount error",
    COMM ECOMM "communication error on send",
    PROTO EPROTO "protocol error",
    MULTIHOP EMULTIHOP "multihop attempted",
    DOTDOT EDOTDOT "RFS specific error",
    BADMSG EBADMSG "bad message",
    OVERFLOW EOVERFLOW "value too large for defined data type",
    NOTUNIQ ENOTUNIQ "name not unique on network",
    BADFD EBADFD "file descriptor in bad state",
    REMCHG EREMCHG "remote address changed",
    LIBACC ELIBACC "can not access a needed shared library",
    LIBBAD ELIBBAD "accessing a corrupted shared library",
    LIBSCN ELIBSCN ".lib section in a.out corrupted",
    LIBMAX ELIBMAX "attempting to link in too many shared libraries",
    LIBEXEC ELIBEXEC "cannot exec a shared library directly",
    ILSEQ EILSEQ "illegal byte sequence",
    RESTART ERESTART "interrupted system call should be restarted",
    STRPIPE ESTRPIPE "streams pipe error",
    USERS EUSERS "too many users",
    NOTSOCK ENOTSOCK "socket operation on non-socket",
    DESTADDRREQ EDESTADDRREQ "destination address required",
    MSGSIZE EMSGSIZE "message too long",
    PROTOTYPE EPROTOTYPE "protocol wrong type for socket",
    NOPROTOOPT ENOPROTOOPT "protocol not available",
    PROTONOSUPPORT EPROTONOSUPPORT "protocol not supported",
    SOCKTNOSUPPORT ESOCKTNOSUPPORT "socket type not supported",
    OPNOTSUPP ENOTSUP "operation not supported on socket",
    PFNOSUPPORT EPFNOSUPPORT "protocol family not supported",
    AFNOSUPPORT EAFNOSUPPORT "address family not supported",
    ADDRINUSE EADDRINUSE "address already in use",
    ADDRNOTAVAIL EADDRNOTAVAIL "address not available",
    NETDOWN ENETDOWN "network is down",
    NETUNREACH ENETUNREACH "network is unreachable",
    NETRESET ENETRESET "network dropped connection on reset",
    CONNABORTED ECONNABORTED "software caused connection abort",
    CONNRESET ECONNRESET "connection reset by peer",
    NOBUFS ENOBUFS "no buffer space available",
    ISCONN EISCONN "socket is already connected",
    NOTCONN ENOTCONN "socket is not connected",
    SHUTDOWN ESHUTDOWN "cannot send after transport endpoint shutdown",
    TOOMANYREFS ETOOMANYREFS "too many references: cannot splice",
    TIMEDOUT ETIMEDOUT "connection timed out",
    CONNREFUSED ECONNREFUSED "connection refused",
    HOSTDOWN EHOSTDOWN "host is down",
    HOSTUNREACH EHOSTUNREACH "host is unreachable",
    ALREADY EALREADY "connection already in progress",
    INPROGRESS EINPROGRESS "operation now in progress",
    STALE ESTALE "stale file handle",
    UCLEAN EUCLEAN "structure needs cleaning",
    NOTNAM ENOTNAM "not a XENIX named type file",
    NAVAIL ENAVAIL "no XENIX semaphores available",
    ISNAM EISNAM "is a named type file",
    REMOTEIO EREMOTEIO "remote I/O error",
    DQUOT EDQUOT "disk quota exceeded",
    NOMEDIUM ENOMEDIUM "no medium found",
    MEDIUMTYPE EMEDIUMTYPE "wrong medium type",
    CANCELED ECANCELED "operation canceled",
    NOKEY ENOKEY "required key not available",
    KEYEXPIRED EKEYEXPIRED "key has expired",
    KEYREVOKED EKEYREVOKED "key has been revoked",
    KEYREJECTED EKEYREJECTED "key was rejected by service",
    OWNERDEAD EOWNERDEAD "owner died",
    NOTRECOVERABLE ENOTRECOVERABLE "state not recoverable",
    RFKILL ERFKILL "operation not possible due to RF-kill",
    HWPOISON EHWPOISON "memory page has hardware error",
}
