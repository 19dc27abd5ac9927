//! The binding: translates between JavaScript and the crate `zcio`, and decides nothing.
//!
//! Every function makes one call of the crate. What fails returns a negative errno, as in libuv: TypeScript makes
//! the error, since only there the call's arguments have names. Arguments are validated there as well.

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(dead_code, reason = "without Node.js nothing calls it: it is tested from JavaScript")
)]
#![allow(clippy::needless_pass_by_value, reason = "Node-API hands values over")]

mod beneath;
mod calls;
mod config;
mod convert;
mod descriptors;
mod ending;
mod ends;
mod files;
mod pages;
mod pipe;
mod plan;
mod port;
mod primitives;
mod probe;
mod quiet;
mod stats;
mod transfer;
