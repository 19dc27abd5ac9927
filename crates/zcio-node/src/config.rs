//! Limits and switches of the process. TypeScript has checked every value, and asks here for what only Rust knows.

use std::sync::atomic::{AtomicBool, Ordering};

use napi::bindgen_prelude::Either;
use napi_derive::napi;
use zcio::Mechanism;
use zcio::config::{self, Switch};
use zcio::sys::FileSystem;

/// A mechanism that is switched off.
#[napi(object)]
pub struct NativeSwitch {
    /// Its name.
    pub mechanism: String,
    /// The file system that it is switched off on: its name, or the number of one without; absent: all.
    pub file_system: Option<Either<String, u32>>,
}

/// The limits and switches; what is absent in what TypeScript hands over stays as it is.
#[napi(object)]
pub struct NativeSettings {
    /// Threads that may wait for disks.
    pub disk_threads: Option<u32>,
    /// Bytes that are sent on the JavaScript thread.
    pub inline_max: Option<u32>,
    /// Bytes that pipes may be grown by. Absent in what is handed over to TypeScript: the default.
    pub pipe_budget: Option<f64>,
    /// All that is switched off.
    pub disable: Option<Vec<NativeSwitch>>,
}

/// Sets what is there.
#[napi]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked by TypeScript")]
pub fn configure(settings: NativeSettings) {
    let NativeSettings { disk_threads, inline_max, pipe_budget, disable } = settings;
    if let Some(threads) = disk_threads {
        config::set_disk_threads(threads as usize);
    }
    if let Some(bytes) = inline_max {
        config::set_inline_max(bytes.into());
    }
    if let Some(bytes) = pipe_budget {
        config::set_pipe_budget(Some(bytes as usize));
    }
    if let Some(switches) = disable {
        config::set_switches(switches.into_iter().filter_map(switch).collect());
    }
}

/// What is set now.
#[napi]
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "checked when they were set")]
pub fn settings() -> NativeSettings {
    let told = |Switch { mechanism, file_system }| NativeSwitch {
        mechanism: mechanism.name().into(),
        file_system: file_system
            .map(|magic: FileSystem| magic.name().map_or(Either::B(magic.0), |name| Either::A(name.into()))),
    };
    NativeSettings {
        disk_threads: Some(config::disk_threads() as u32),
        inline_max: Some(config::inline_max() as u32),
        pipe_budget: config::pipe_budget().map(|bytes| bytes as f64),
        disable: Some(config::switches().into_iter().map(told).collect()),
    }
}

/// The file systems that have a name here.
#[napi]
pub fn file_systems() -> Vec<&'static str> {
    FileSystem::NAMED.iter().filter_map(|file_system| file_system.name()).collect()
}

/// Whether this is the first thread of the process to ask: the settings are the process', and so is its environment.
#[napi]
pub fn is_first_thread() -> bool {
    static ASKED: AtomicBool = AtomicBool::new(false);
    !ASKED.swap(true, Ordering::Relaxed)
}

fn switch(told: NativeSwitch) -> Option<Switch> {
    let file_system = match told.file_system {
        None => None,
        Some(Either::A(name)) => Some(FileSystem::named(&name)?),
        Some(Either::B(magic)) => Some(FileSystem(magic)),
    };
    Some(Switch { mechanism: Mechanism::named(&told.mechanism)?, file_system })
}
