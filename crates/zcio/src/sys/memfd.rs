//! memfd_create(2), and the seals of fcntl(2): a file without a disk or a name.
//!
//! Decides nothing. The engine probes the kernel with one; a sealed one is the only file whose
//! content is known not to change under a receiver.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use bitflags::bitflags;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::Result;
use super::error::retry;

bitflags! {
    /// What can no longer be done to a memfd.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Seals: i32 {
        /// Add seals.
        const SEAL = libc::F_SEAL_SEAL;
        /// Make it shorter.
        const SHRINK = libc::F_SEAL_SHRINK;
        /// Make it longer.
        const GROW = libc::F_SEAL_GROW;
        /// Write to it, in any way.
        const WRITE = libc::F_SEAL_WRITE;
        /// Write to it but through mappings that exist already.
        const FUTURE_WRITE = libc::F_SEAL_FUTURE_WRITE;

        const _ = !0;
    }
}

/// A new empty file in memory. `name` is for readers of /proc/self/fd only.
///
/// Unless `sealable` it is born with [`Seals::SEAL`]. `EINVAL`: the name is longer than 249 bytes.
pub fn memfd(name: &CStr, sealable: bool) -> Result<OwnedFd> {
    let mut flags = MFdFlags::MFD_CLOEXEC;
    flags.set(MFdFlags::MFD_ALLOW_SEALING, sealable);
    retry(|| memfd_create(name, flags))
}

/// Which seals `fd` has. `EINVAL`: not a file that could have any.
pub fn seals(fd: impl AsFd) -> Result<Seals> {
    retry(|| fcntl(&fd, FcntlArg::F_GET_SEALS)).map(Seals::from_bits_retain)
}

/// Seals `fd`, for ever.
///
/// From then on write and splice into it answer `EPERM`. `EBUSY`: a writable mapping stands against
/// [`Seals::WRITE`]. `EPERM`: sealed against sealing, or not open for writing.
pub fn add_seals(fd: impl AsFd, seals: Seals) -> Result<()> {
    let seals = SealFlag::from_bits_retain(seals.bits());
    retry(|| fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))).map(drop)
}
