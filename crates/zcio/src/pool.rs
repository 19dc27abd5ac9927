//! Pipes to relay through: lent while bytes are in flight, destroyed when they come back with any left.
//!
//! A relay between two ends that are not pipes needs one in between, but only while bytes are in it: ten thousand
//! idle tunnels hold none. Past the pool's limit, or the system's, there is no pipe, and the relay copies instead.
//! What pipes may take of the user's memory is shared with all the user's processes (`pipe-user-pages-soft`), so
//! only a quarter of it is spent on making busy ones larger.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::capabilities;
use crate::config;
use crate::kernel::Kernel;
use crate::stats;
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
    entry: Entry,
}

impl<H> Conduit<H> {
    /// The same pipe by other handles.
    pub(crate) fn map<L>(self, convert: impl Fn(H) -> Result<L>) -> Result<Conduit<L>> {
        let Self { reader, writer, capacity, entry } = self;
        Ok(Conduit { reader: convert(reader)?, writer: convert(writer)?, capacity, entry })
    }
}

/// What a pipe counts for in the ledger of the pool that made it, until it is closed, wherever that happens: a
/// transfer may be handed on to another driver, or dropped, with a pipe in its hands.
#[derive(Debug)]
struct Entry {
    ledger: Arc<Ledger>,
    grown: usize,
}

#[derive(Debug, Default)]
struct Ledger {
    pipes: AtomicUsize,
    /// Bytes by which they have been grown.
    grown: AtomicUsize,
}

impl Drop for Entry {
    fn drop(&mut self) {
        stats::PIPES.take();
        self.ledger.pipes.fetch_sub(1, Ordering::Relaxed);
        self.ledger.grown.fetch_sub(self.grown, Ordering::Relaxed);
    }
}

/// What a pipe has at first: 16 pages. One with less (for a user past the soft limit) is not worth relaying through.
const SLOTS: usize = 16;

/// What a busy pipe is grown to: pipe-max-size, for an unprivileged user.
const GROWN: usize = 1 << 20;

/// Pipes kept for the next relay; making and closing one costs some 5 µs. A fan-out to so many pipes needs as many at
/// once, round after round.
const KEPT: usize = 64;

/// Pipes at once, of which each takes two descriptors.
const PIPES: usize = 512;

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
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
struct State<H> {
    #[allow(
        clippy::vec_box,
        reason = "they are lent boxed, so that an idle relay has room for a pointer only"
    )]
    kept: Vec<Box<Conduit<H>>>,
    /// Bytes by which pipes may be grown where nobody has set that; asked for when first needed.
    budget: Option<usize>,
    refused: Option<Instant>,
}

impl<K: Kernel> Default for PipePool<K> {
    fn default() -> Self {
        let state = State { kept: Vec::new(), budget: None, refused: None };
        Self { state: Mutex::new(state), ledger: Arc::default() }
    }
}

impl<K: Kernel> PipePool<K> {
    /// An empty pipe.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`; `ENOBUFS` past the pool's limit, or where the pipes there are have become too small.
    pub fn lend(&self, kernel: &K) -> Result<Box<Conduit<K::Handle>>> {
        let kept = self.state().kept.pop();
        kept.map_or_else(|| self.make(kernel), Ok)
    }

    /// Takes back an empty pipe. One with bytes in it is dropped instead: nobody else may ever see them.
    pub fn give_back(&self, conduit: Box<Conduit<K::Handle>>) {
        let mut state = self.state();
        if state.kept.len() < KEPT {
            state.kept.push(conduit);
        }
    }

    /// Makes a pipe larger whose transfer keeps filling it, as far as the budget goes.
    pub fn grow(&self, kernel: &K, conduit: &mut Conduit<K::Handle>) {
        let mut state = self.state();
        let wanted = GROWN.saturating_sub(conduit.capacity);
        let grown = self.ledger.grown.load(Ordering::Relaxed);
        let budget = config::pipe_budget().unwrap_or_else(|| *state.budget.get_or_insert_with(budget));
        if wanted == 0 || grown + wanted > budget {
            return;
        }
        if state.refused.is_some_and(|since| since.elapsed() < REFUSED_FOR) {
            return;
        }
        match kernel.set_pipe_capacity(&conduit.writer, GROWN) {
            Ok(capacity) => {
                let by = capacity.saturating_sub(conduit.capacity);
                conduit.entry.ledger.grown.fetch_add(by, Ordering::Relaxed);
                conduit.entry.grown += by;
                conduit.capacity = capacity;
            }
            Err(_) => state.refused = Some(Instant::now()),
        }
    }

    /// Pipes that are kept for the next relay.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.state().kept.len()
    }

    /// Pipes of this pool that are in the hands of transfers: those with bytes in them.
    #[must_use]
    pub fn lent(&self) -> usize {
        self.ledger.pipes.load(Ordering::Relaxed).saturating_sub(self.kept())
    }

    /// Closes what is kept: an idle engine holds no pipe.
    pub fn clear(&self) {
        let kept = std::mem::take(&mut self.state().kept);
        drop(kept);
    }

    fn make(&self, kernel: &K) -> Result<Box<Conduit<K::Handle>>> {
        let others = self.ledger.pipes.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { ledger: Arc::clone(&self.ledger), grown: 0 };
        stats::PIPES.add();
        if others >= PIPES {
            return Err(Errno::NOBUFS);
        }
        let (reader, writer) = kernel.pipe()?;
        let capacity = kernel.pipe_capacity(&writer)?;
        if capacity < SLOTS * sys::page_size() {
            return Err(Errno::NOBUFS);
        }
        Ok(Box::new(Conduit { reader, writer, capacity, entry }))
    }

    fn state(&self) -> MutexGuard<'_, State<K::Handle>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A quarter of what the user may have in pipes before new ones shrink.
fn budget() -> usize {
    let pages = capabilities::pipe_user_pages_soft().unwrap_or(0);
    usize::try_from(pages).unwrap_or(0).saturating_mul(sys::page_size()) / 4
}
