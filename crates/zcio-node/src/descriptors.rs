//! Descriptors that TypeScript owns: those of a `Pipe`, of files it has opened, and duplicates of the caller's.

use std::os::fd::IntoRawFd;

use napi_derive::napi;
use zcio::sys;

use crate::convert::{Descriptor, take_descriptor};

/// `fcntl(F_DUPFD_CLOEXEC)`: another descriptor of the same open file, or a negative errno.
#[napi]
pub fn duplicate(descriptor: Descriptor) -> i32 {
    sys::duplicate(descriptor).map_or_else(|errno| -errno.raw(), IntoRawFd::into_raw_fd)
}

/// `close(2)` of a descriptor that this package opened.
#[napi]
pub fn close(descriptor: i32) {
    drop(take_descriptor(descriptor));
}

/// Whether it has `O_NONBLOCK`; what is not open has not.
#[napi]
pub fn is_nonblocking(descriptor: Descriptor) -> bool {
    sys::status_flags(descriptor).is_ok_and(|flags| flags.contains(sys::StatusFlags::NONBLOCK))
}
