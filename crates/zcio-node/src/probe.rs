//! What this machine offers, asked of the kernel itself.

use napi_derive::napi;
use zcio::capabilities;

/// A system call, and why it is missing if it is.
#[napi(object, object_from_js = false)]
pub struct NativeCall {
    /// Its name.
    pub name: &'static str,
    /// The kernel's error name where it is not available.
    pub code: Option<&'static str>,
}

/// What this machine offers.
#[napi(object, object_from_js = false)]
pub struct NativeCapabilities {
    /// Each system call.
    pub calls: Vec<NativeCall>,
    /// Whether a pipe shares a file's pages.
    pub shared_pages: bool,
    /// /proc/sys/fs/pipe-max-size.
    pub pipe_max_size: Option<f64>,
    /// /proc/sys/fs/pipe-user-pages-soft.
    pub pipe_user_pages_soft: Option<f64>,
}

/// Asks.
#[napi]
#[allow(clippy::cast_precision_loss, reason = "limits are far below 2^53")]
pub fn probe() -> NativeCapabilities {
    let call = |(name, errno): (&'static str, Option<zcio::Errno>)| NativeCall {
        name,
        code: errno.map(zcio::Errno::name),
    };
    NativeCapabilities {
        calls: capabilities::calls().into_iter().map(call).collect(),
        shared_pages: capabilities::shares_pages().unwrap_or(false),
        pipe_max_size: capabilities::pipe_max_size().map(|bytes| bytes as f64),
        pipe_user_pages_soft: capabilities::pipe_user_pages_soft().map(|pages| pages as f64),
    }
}
