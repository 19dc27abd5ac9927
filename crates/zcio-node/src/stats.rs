//! The engine's counters, as JavaScript numbers.

use std::collections::BTreeMap;

use napi_derive::napi;
use zcio::Mechanism;

/// What the engine has done in this process, and holds now.
#[napi(object, object_from_js = false)]
pub struct NativeStats {
    /// Transfers that have started.
    pub started: f64,
    /// Those that came to their end.
    pub completed: f64,
    /// Those that did not.
    pub failed: f64,
    /// Bytes by mechanism.
    pub bytes: BTreeMap<String, f64>,
    /// Mechanisms that did not run, by the code that says why.
    pub fallbacks: BTreeMap<String, f64>,
    /// Pipes of relays.
    pub pipes: f64,
    /// Jobs that wait for a disk thread.
    pub disk_queue: f64,
    /// Disk threads.
    pub disk_threads: f64,
}

/// Reads the counters.
#[napi]
#[allow(clippy::cast_precision_loss, reason = "exact to 2^53, as all counts")]
pub fn stats() -> NativeStats {
    let stats = zcio::stats::stats();
    let bytes = Mechanism::ALL.iter().zip(stats.bytes);
    NativeStats {
        started: stats.started as f64,
        completed: stats.completed as f64,
        failed: stats.failed as f64,
        bytes: bytes.map(|(mechanism, bytes)| (mechanism.name().into(), bytes as f64)).collect(),
        fallbacks: stats.fallbacks.into_iter().map(|(code, times)| (code.into(), times as f64)).collect(),
        pipes: stats.pipes as f64,
        disk_queue: stats.disk_queue as f64,
        disk_threads: stats.disk_threads as f64,
    }
}
