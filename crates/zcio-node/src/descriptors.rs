//! Descriptors that TypeScript owns: those of a `Pipe`, of files it has opened, and duplicates of the caller's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use napi_derive::napi;
use zcio::sys;

use crate::convert::{Descriptor, take_descriptor};

/// `fcntl(F_DUPFD_CLOEXEC)`: another descriptor of the same open file, or a negative errno. For libuv, which closes it.
#[napi]
pub fn duplicate(descriptor: Descriptor) -> i32 {
    sys::duplicate(descriptor).map_or_else(|errno| -errno.raw(), IntoRawFd::into_raw_fd)
}

/// The same for TypeScript to [`close`].
#[napi]
pub fn duplicate_entrusted(descriptor: Descriptor) -> i32 {
    sys::duplicate(descriptor).map_or_else(|errno| -errno.raw(), entrust)
}

thread_local! {
    /// Files of requests under way and of Node's streams, and ends of pipes. A worker thread can be terminated between
    /// any two steps of its JavaScript: what it has open then goes with the thread.
    static ENTRUSTED: RefCell<HashMap<RawFd, OwnedFd>> = RefCell::default();
}

/// Gives a descriptor to TypeScript, which closes it.
pub fn entrust(file: OwnedFd) -> RawFd {
    let number = file.as_raw_fd();
    let stale = ENTRUSTED.with_borrow_mut(|entrusted| entrusted.insert(number, file));
    // Whose number the kernel gives again has been closed behind our back, and is not to be closed once more.
    let _ = stale.map(IntoRawFd::into_raw_fd);
    number
}

/// `close(2)` of a descriptor that this package opened.
#[napi]
pub fn close(descriptor: i32) {
    let entrusted = ENTRUSTED.with_borrow_mut(|entrusted| entrusted.remove(&descriptor));
    drop(entrusted.unwrap_or_else(|| take_descriptor(descriptor)));
}

/// Whether it has `O_NONBLOCK`; what is not open has not.
#[napi]
pub fn is_nonblocking(descriptor: Descriptor) -> bool {
    sys::status_flags(descriptor).is_ok_and(|flags| flags.contains(sys::StatusFlags::NONBLOCK))
}
