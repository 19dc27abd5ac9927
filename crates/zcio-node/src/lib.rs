//! The npm package's native half: translates, decides nothing.

use napi_derive::napi;

/// The package's version, as the binary knows it.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
