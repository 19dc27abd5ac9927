//! pthread_sigmask(3), sigtimedwait(2): keeping our signals from the application.
//!
//! Decides that splice and sendfile, which have no `MSG_NOSIGNAL`, can never kill or call on a
//! process that uses them. On which threads and around which calls, is the drivers'.

use std::cell::Cell;
use std::marker::PhantomData;
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
/// Three system calls, one where the thread is [`Quiet`].
pub fn without_signals<T>(call: impl FnOnce() -> T) -> T {
    let _swallowing = Swallowing::begin();
    call()
}

/// The same, mostly one system call cheaper: `call` says with its result whether a signal may have been raised, and
/// only then is one looked for. See [`may_raise`].
pub fn without_signals_if<T>(call: impl FnOnce() -> (T, bool)) -> T {
    let mut swallowing = Swallowing::begin();
    let (result, raised) = call();
    swallowing.is_needed = raised;
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

thread_local! {
    static QUIET: Cell<Keepers> = const { Cell::new(Keepers { count: 0, were_blocked: [false; 2] }) };
}

/// Who keeps this thread quiet.
#[derive(Clone, Copy)]
struct Keepers {
    count: usize,
    /// Which of our signals were blocked before the first came: they stay so, and may have been pending.
    were_blocked: [bool; OURS.len()],
}

impl Keepers {
    /// What of ours the thread had not blocked itself.
    fn to_unblock(self) -> SigSet {
        OURS.into_iter().zip(self.were_blocked).filter(|(_, was)| !was).map(|(signal, _)| signal).collect()
    }
}

/// A thread on which SIGPIPE and SIGXFSZ are blocked for as long as this lives, so that the calls in between need not
/// do it one by one: [`without_signals`] and its like then cost nothing, unless there is a signal to swallow.
///
/// What the application's own calls raise meanwhile is delivered afterwards, except a signal that one of ours raises
/// too: of two that are pending the kernel keeps one, and that is swallowed.
#[derive(Debug)]
pub struct Quiet {
    /// It is this thread's.
    _not_send: PhantomData<*const ()>,
}

impl Quiet {
    /// One system call, none where the thread is quiet already.
    #[must_use]
    pub fn begin() -> Self {
        let mut keepers = QUIET.get();
        if keepers.count == 0 {
            let mask = block(&OURS.into_iter().collect());
            keepers.were_blocked = OURS.map(|signal| mask.contains(signal));
        }
        keepers.count += 1;
        QUIET.set(keepers);
        Self { _not_send: PhantomData }
    }
}

/// The last one restores the thread, also when a call panics: no more of it than was changed.
impl Drop for Quiet {
    fn drop(&mut self) {
        let mut keepers = QUIET.get();
        keepers.count -= 1;
        QUIET.set(keepers);
        if keepers.count == 0 {
            let restored = keepers.to_unblock().thread_unblock();
            debug_assert!(restored.is_ok(), "pthread_sigmask fails for an unknown verb only: {restored:?}");
        }
    }
}

/// Takes what has been raised out of the pending signals when it goes, and then ends its [`Quiet`].
struct Swallowing {
    is_needed: bool,
    /// What was pending before, and stays.
    spared: Option<SigSet>,
    _quiet: Quiet,
}

impl Swallowing {
    fn begin() -> Self {
        let quiet = Quiet::begin();
        let spared = QUIET.get().were_blocked.contains(&true).then(pending);
        Self { is_needed: true, spared, _quiet: quiet }
    }
}

impl Drop for Swallowing {
    fn drop(&mut self) {
        if !self.is_needed {
            return;
        }
        let is_spared = |signal| self.spared.is_some_and(|spared| spared.contains(signal));
        let signals = OURS.into_iter().filter(|&signal| !is_spared(signal)).collect();
        while take_pending(&signals) {}
    }
}

/// What a call that moves bytes may raise.
const OURS: [Signal; 2] = [Signal::SIGPIPE, Signal::SIGXFSZ];

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
