//! Pipes to relay through: lent while bytes are in flight, destroyed when they come back with any left.
//!
//! A relay between two ends that are not pipes needs one in between, but only while bytes are in it: ten thousand
//! idle tunnels hold none. Past the pool's limit, or the system's, there is no pipe, and the relay copies instead.
//! What pipes may take of the user's memory is shared with all the user's processes (`pipe-user-pages-soft`), so
//! only a quarter of it is spent on making busy ones larger.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::capabilities;
use crate::kernel::Kernel;
use crate::sys::{self, Errno, Result};

/// A pipe in the engine's hands.
#[derive(Debug)]
pub struct Conduit<H> {
    /// The end to drain.
    pub reader: H,
    /// The end to fill.
    pub writer: H,
    /// Bytes it can take when every slot holds a full page.
    pub capacity: usize,
}

/// What a pipe has at first: 16 pages. One with less (for a user past the soft limit) is not worth relaying through.
const SLOTS: usize = 16;

/// What a busy pipe is grown to: pipe-max-size, for an unprivileged user.
const GROWN: usize = 1 << 20;

/// Pipes kept for the next relay; making one costs a microsecond.
const KEPT: usize = 16;

/// Pipes lent at once, of which each takes two descriptors.
const LENT: usize = 512;

/// How long no pipe is grown after the kernel has refused to.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// What a driver lends to its transfers: the kernel, and pipes.
#[derive(Debug, Default)]
pub struct Plumbing<K: Kernel> {
    /// The calls.
    pub kernel: K,
    /// The pipes.
    pub pipes: PipePool<K>,
}

impl<K: Kernel> Plumbing<K> {
    /// That of a kernel, with no pipe yet.
    #[must_use]
    pub fn new(kernel: K) -> Self {
        Self { kernel, pipes: PipePool::default() }
    }
}

/// The pipes of one reactor, or of one transfer on a thread of its own.
#[derive(Debug)]
pub struct PipePool<K: Kernel> {
    state: Mutex<State<K::Handle>>,
}

#[derive(Debug)]
struct State<H> {
    kept: Vec<Conduit<H>>,
    lent: usize,
    /// Bytes by which pipes may still be grown; asked for when first needed.
    budget: Option<usize>,
    refused: Option<Instant>,
}

impl<K: Kernel> Default for PipePool<K> {
    fn default() -> Self {
        Self { state: Mutex::new(State { kept: Vec::new(), lent: 0, budget: None, refused: None }) }
    }
}

impl<K: Kernel> PipePool<K> {
    /// An empty pipe.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`; `ENOBUFS` past the pool's limit, or where the pipes there are have become too small.
    pub fn lend(&self, kernel: &K) -> Result<Conduit<K::Handle>> {
        let mut state = self.state();
        if state.lent >= LENT {
            return Err(Errno::NOBUFS);
        }
        let conduit = match state.kept.pop() {
            Some(conduit) => conduit,
            None => make(kernel)?,
        };
        state.lent += 1;
        Ok(conduit)
    }

    /// Takes back an empty pipe.
    pub fn give_back(&self, conduit: Conduit<K::Handle>) {
        let mut state = self.state();
        state.lent -= 1;
        if state.kept.len() < KEPT {
            state.kept.push(conduit);
        } else {
            state.release(&conduit);
        }
    }

    /// Destroys a pipe that still has bytes in it: nobody else may ever see them.
    #[allow(clippy::needless_pass_by_value, reason = "it is taken to be destroyed")]
    pub fn discard(&self, conduit: Conduit<K::Handle>) {
        let mut state = self.state();
        state.lent -= 1;
        state.release(&conduit);
    }

    /// Makes a pipe larger whose transfer keeps filling it, as far as the budget goes.
    pub fn grow(&self, kernel: &K, conduit: &mut Conduit<K::Handle>) {
        let mut state = self.state();
        let wanted = GROWN.saturating_sub(conduit.capacity);
        if wanted == 0 || wanted > *state.budget.get_or_insert_with(budget) {
            return;
        }
        if state.refused.is_some_and(|since| since.elapsed() < REFUSED_FOR) {
            return;
        }
        match kernel.set_pipe_capacity(&conduit.writer, GROWN) {
            Ok(capacity) => {
                state.budget = state.budget.map(|left| left.saturating_sub(capacity - conduit.capacity));
                conduit.capacity = capacity;
            }
            Err(_) => state.refused = Some(Instant::now()),
        }
    }

    /// Closes what is kept: an idle engine holds no pipe.
    pub fn clear(&self) {
        let mut state = self.state();
        for conduit in std::mem::take(&mut state.kept) {
            state.release(&conduit);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K::Handle>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H> State<H> {
    /// What a grown pipe had of the budget can be had by another.
    fn release(&mut self, conduit: &Conduit<H>) {
        let grown = conduit.capacity.saturating_sub(SLOTS * sys::page_size());
        self.budget = self.budget.map(|left| left + grown);
    }
}

fn make<K: Kernel>(kernel: &K) -> Result<Conduit<K::Handle>> {
    let (reader, writer) = kernel.pipe()?;
    let capacity = kernel.pipe_capacity(&writer)?;
    if capacity < SLOTS * sys::page_size() {
        return Err(Errno::NOBUFS);
    }
    Ok(Conduit { reader, writer, capacity })
}

/// A quarter of what the user may have in pipes before new ones shrink.
fn budget() -> usize {
    let pages = capabilities::pipe_user_pages_soft().unwrap_or(0);
    usize::try_from(pages).unwrap_or(0).saturating_mul(sys::page_size()) / 4
}
