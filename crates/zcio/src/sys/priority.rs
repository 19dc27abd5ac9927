//! nice(2): giving way to other threads.

use nix::libc;

/// Adds to the nice value of this thread alone: Linux keeps one for each thread, whatever POSIX says. Where a
/// sandbox forbids it, it stays as it is.
pub fn stand_back(by: u16) {
    // SAFETY: it takes a number only. What it returns may be the new value or an error, and tells neither.
    let _ = unsafe { libc::nice(i32::from(by)) };
}
