//! mmap(2), munmap(2): memory that a pipe may refer to for longer than we do.
//!
//! Decides that such memory has one owner, is never lent out twice and goes back to the kernel
//! only. When its owner lets go is the caller's.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::slice;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::unistd::{SysconfVar, sysconf};

use super::error::retry;
use super::{Errno, Result};

/// Whole pages of zeros, mapped shared and anonymous: memory for [`vmsplice`](super::vmsplice()).
///
/// Dropping them unmaps them. Pages that a pipe or a socket still refers to live on in the kernel
/// until the last reader is through, and nobody is given them meanwhile: that is what memory of an
/// allocator cannot promise. Shared, so that a fork does not part us from what the pipe refers to.
#[derive(Debug)]
pub struct Pages {
    start: NonNull<c_void>,
    length: NonZeroUsize,
}

impl Pages {
    /// Maps `length` bytes, and the rest of the last page, which stays out of sight.
    ///
    /// `EINVAL`: 0. `ENOMEM`: more than there is, or than the process may have.
    pub fn new(length: usize) -> Result<Self> {
        let length = NonZeroUsize::new(length).ok_or(Errno::INVAL)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: without an address to put it at, a new mapping touches no other memory.
        let start = retry(|| unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_SHARED) })?;
        Ok(Self { start, length })
    }

    /// Where they begin, aligned to a page.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr().cast()
    }

    /// How many bytes were asked for.
    #[allow(clippy::len_without_is_empty, reason = "there are no empty pages")]
    pub fn len(&self) -> usize {
        self.length.get()
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the mapping is `length` bytes long, filled with zeros at first, and lives as long
        // as `self`; without `unsafe` nobody writes to it while `self` is borrowed.
        unsafe { slice::from_raw_parts(self.as_ptr(), self.len()) }
    }

    /// The bytes, to be written: before they are spliced, never after.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.as_ptr(), self.len()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `start` and `length` are those of our own mapping, and no borrow outlives `self`.
        let unmapped = unsafe { munmap(self.start, self.len()) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours cannot be unmapped: {unmapped:?}");
    }
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Pages {}

// SAFETY: what can be done through `&Pages` without `unsafe` only reads.
unsafe impl Sync for Pages {}

/// The size of a page, and of a pipe's slot: 4096 mostly, 16 or 64 KiB on some arm64.
pub fn page_size() -> usize {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    // Linux always has an answer; 4096 is the smallest page it knows.
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
}
