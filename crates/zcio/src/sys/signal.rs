//! pthread_sigmask(3), sigtimedwait(2): keeping our signals from the application.
//!
//! Decides that splice and sendfile, which have no `MSG_NOSIGNAL`, can never kill or call on a
//! process that uses them. On which threads and around which calls, is the drivers'.

use std::ptr;

use nix::errno::Errno as NixErrno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::time::TimeSpec;

use super::error::retry;
use super::{Errno, Result};

/// Blocks all signals on this thread, which is one of ours: handlers run elsewhere, no call of ours
/// is interrupted, and a SIGPIPE just stays pending until the thread ends.
///
/// Except those by which the processor tells a thread of its own mistake. To block them helps
/// nobody, it only hides a crash from whoever has a handler to report it.
pub fn block_all_signals() {
    use Signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};

    let mut signals = SigSet::all();
    for mistake in [SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP] {
        signals.remove(mistake);
    }
    block(&signals);
}

/// Makes `call` with the SIGPIPE and SIGXFSZ it raises swallowed: on a thread of the application,
/// whatever it does with these signals.
///
/// Both are sent to the thread that made the call, so blocking them here keeps them here. One that
/// was pending before is left pending; one that another process sends in this very moment is lost.
/// Three system calls.
pub fn without_signals<T>(call: impl FnOnce() -> T) -> T {
    let _quiet = Quiet::begin();
    call()
}

/// The same, mostly one system call cheaper: `call` says with its result whether a signal may have been raised, and
/// only then is one looked for. See [`may_raise`].
pub fn without_signals_if<T>(call: impl FnOnce() -> (T, bool)) -> T {
    let mut quiet = Quiet::begin();
    let (result, raised) = call();
    if !raised {
        quiet.swallowed = None;
    }
    result
}

/// The same around one call that moves bytes.
pub fn without_signals_of(asked: usize, call: impl FnOnce() -> Result<usize>) -> Result<usize> {
    without_signals_if(|| {
        let result = call();
        (result, may_raise(asked, result))
    })
}

/// Whether SIGPIPE or SIGXFSZ may have come with this result of a call that moves bytes.
///
/// They come with `EPIPE` and `EFBIG`, or, from a call that goes on from page to page, with a count short of the
/// `asked` one: what had moved before is then the result. A call that raises nothing where it moves anything (it holds
/// a pipe's lock all along, or makes one attempt only) is `asked` 0.
#[must_use]
pub const fn may_raise(asked: usize, result: Result<usize>) -> bool {
    match result {
        Ok(moved) => 0 < moved && moved < asked,
        Err(Errno::PIPE | Errno::FBIG) => true,
        Err(_) => false,
    }
}

/// Restores the thread when it goes, also when the call panics.
struct Quiet {
    mask_before: SigSet,
    /// What is looked for afterwards. An option, since nix compares sets signal by signal.
    swallowed: Option<SigSet>,
}

impl Quiet {
    fn begin() -> Self {
        let mut swallowed = SigSet::empty();
        swallowed.add(Signal::SIGPIPE);
        swallowed.add(Signal::SIGXFSZ);
        let mask_before = block(&swallowed);
        for signal in [Signal::SIGPIPE, Signal::SIGXFSZ] {
            // Only what was blocked before can have been pending before: the rest saves the call.
            if mask_before.contains(signal) && pending().contains(signal) {
                swallowed.remove(signal);
            }
        }
        Self { mask_before, swallowed: Some(swallowed) }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(swallowed) = &self.swallowed {
            while take_pending(swallowed) {}
        }
        let restored = self.mask_before.thread_set_mask();
        debug_assert!(restored.is_ok(), "a mask that was in force is refused: {restored:?}");
    }
}

/// Blocks `signals` besides those that are, and returns the mask as it was.
fn block(signals: &SigSet) -> SigSet {
    let before = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    before.expect("pthread_sigmask fails for an unknown verb only")
}

fn pending() -> SigSet {
    let mut pending = *SigSet::empty().as_ref();
    // SAFETY: sigpending fills the set it is pointed at; it fails for a bad pointer only.
    unsafe { libc::sigpending(&raw mut pending) };
    // SAFETY: it was a valid set before and is one now.
    unsafe { SigSet::from_sigset_t_unchecked(pending) }
}

/// Takes one of `signals` that is pending, without waiting for it; whether there was one.
fn take_pending(signals: &SigSet) -> bool {
    let at_once = TimeSpec::new(0, 0);
    let taken = retry(|| {
        // SAFETY: both pointers are to values that live through the call; no details are wanted.
        let signal = unsafe { libc::sigtimedwait(signals.as_ref(), ptr::null_mut(), at_once.as_ref()) };
        NixErrno::result(signal)
    });
    taken.is_ok()
}
