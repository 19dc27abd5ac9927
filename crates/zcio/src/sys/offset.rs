//! Offsets: `u64` for us, a signed `loff_t` for the kernel.
//!
//! Decides that a number which does not fit is refused here, before it can become another number.

use super::{Errno, Result};

/// `offset` as the kernel counts, in whatever width the call takes.
pub(super) fn checked<T: TryFrom<u64>>(offset: u64) -> Result<T> {
    T::try_from(offset).map_err(|_| Errno::OVERFLOW)
}

/// An offset lent to the kernel for one call, stored back only when the call has moved it.
pub(super) struct Offset<'caller> {
    caller: Option<&'caller mut u64>,
    kernel: Option<i64>,
}

impl<'caller> Offset<'caller> {
    pub(super) fn lend(caller: Option<&'caller mut u64>) -> Result<Self> {
        let kernel = caller.as_deref().copied().map(checked).transpose()?;
        Ok(Self { caller, kernel })
    }

    pub(super) fn as_kernel(&mut self) -> Option<&mut i64> {
        self.kernel.as_mut()
    }

    pub(super) fn store(self) {
        if let (Some(caller), Some(kernel)) = (self.caller, self.kernel) {
            *caller = kernel.cast_unsigned();
        }
    }
}
