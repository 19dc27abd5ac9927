//! Endings, in the words of the binding.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use zcio::{Cause, Ending, Fallback, FanOutEnding, Side, SinkEnding};

use crate::convert::exact;

/// How one transfer ended.
#[napi(object, object_from_js = false)]
pub struct NativeEnding {
    /// What `start` returned.
    pub id: u32,
    /// Bytes that the sink accepted.
    pub bytes: f64,
    /// The last mechanism that ran.
    pub mechanism: &'static str,
    /// Those that did not, and why.
    pub fallbacks: Vec<NativeFallback>,
    /// Absent after success; else `SYSTEM`, `COPY_REQUIRED`, `UNSUPPORTED`, `BLOCKING`, `BUSY`, `CANCELED` or `TIMED_OUT`.
    pub failure: Option<&'static str>,
    /// Of a `SYSTEM` failure: the positive error number.
    pub errno: Option<i32>,
    /// Of a `SYSTEM` failure: the call; of an `UNSUPPORTED` one: why.
    pub detail: Option<&'static str>,
    /// Which end failed.
    pub side: Option<&'static str>,
    /// Bytes taken from the source that the sink did not accept.
    pub residual: Option<Buffer>,
    /// Of a fan-out: what became of each sink.
    pub sinks: Option<Vec<NativeSink>>,
}

/// What became of one sink of a fan-out.
#[napi(object, object_from_js = false)]
pub struct NativeSink {
    /// Bytes that it accepted.
    pub bytes: f64,
    /// How they came to it.
    pub mechanism: &'static str,
    /// Why it was left out, in the words of an ending.
    pub failure: Option<&'static str>,
    /// Of a `SYSTEM` failure: the positive error number.
    pub errno: Option<i32>,
    /// Of a `SYSTEM` failure: the call.
    pub detail: Option<&'static str>,
}

/// A mechanism that did not run.
#[napi(object, object_from_js = false)]
pub struct NativeFallback {
    /// Its name.
    pub mechanism: &'static str,
    /// Why not.
    pub code: &'static str,
}

/// What the engine says of work that is over.
pub enum Over {
    /// Of a transfer, or one direction of a bridge.
    Transfer(Ending),
    /// Of a fan-out.
    FanOut(FanOutEnding),
    /// Of a sink that a fan-out goes on without.
    Sink(SinkEnding),
}

impl Over {
    /// The same for JavaScript.
    pub fn translate(self, id: u32) -> NativeEnding {
        match self {
            Self::Transfer(ending) => transfer(id, ending),
            Self::FanOut(ending) => fan_out(id, ending),
            Self::Sink(ending) => left_out(id, ending),
        }
    }
}

fn transfer(id: u32, ending: Ending) -> NativeEnding {
    let (outcome, cause, side) = match ending {
        Ok(outcome) => (outcome, None, None),
        Err(failure) => (failure.outcome, Some(failure.cause), failure.side),
    };
    let (failure, errno, detail) = explain_any(cause);
    NativeEnding {
        id,
        bytes: exact(outcome.bytes),
        mechanism: outcome.mechanism.name(),
        fallbacks: outcome.fallbacks.into_iter().map(fallback).collect(),
        failure,
        errno,
        detail,
        side: side.map(Side::name),
        residual: residual(outcome.residual),
        sinks: None,
    }
}

fn fan_out(id: u32, ending: FanOutEnding) -> NativeEnding {
    let FanOutEnding { bytes, sinks, failure, fallbacks, residual: taken } = ending;
    let side = failure.and_then(|(_, end)| end).map(|end| if end == 0 { Side::Source } else { Side::Sink });
    let (failure, errno, detail) = explain_any(failure.map(|(cause, _)| cause));
    NativeEnding {
        id,
        bytes: exact(bytes),
        mechanism: sinks.iter().map(|sink| sink.mechanism).max().map_or("splice", zcio::Mechanism::name),
        fallbacks: fallbacks.into_iter().map(fallback).collect(),
        failure,
        errno,
        detail,
        side: side.map(Side::name),
        residual: residual(taken),
        sinks: Some(sinks.into_iter().map(sink).collect()),
    }
}

fn left_out(id: u32, ending: SinkEnding) -> NativeEnding {
    let NativeSink { bytes, mechanism, failure, errno, detail } = sink(ending);
    NativeEnding {
        id,
        bytes,
        mechanism,
        fallbacks: Vec::new(),
        failure,
        errno,
        detail,
        side: Some(Side::Sink.name()),
        residual: None,
        sinks: None,
    }
}

fn sink(SinkEnding { bytes, mechanism, failure }: SinkEnding) -> NativeSink {
    let (failure, errno, detail) = explain_any(failure);
    NativeSink { bytes: exact(bytes), mechanism: mechanism.name(), failure, errno, detail }
}

/// A cause: its name, its error number, and the call or the reason.
pub fn explain(cause: Cause) -> (&'static str, Option<i32>, Option<&'static str>) {
    match cause {
        Cause::System { errno, call } => ("SYSTEM", Some(errno.raw()), Some(call)),
        Cause::Unsupported(why) => ("UNSUPPORTED", None, Some(why)),
        Cause::CopyRequired => ("COPY_REQUIRED", None, None),
        Cause::Blocking => ("BLOCKING", None, None),
        Cause::Busy => ("BUSY", None, None),
        Cause::Canceled => ("CANCELED", None, None),
        Cause::TimedOut => ("TIMED_OUT", None, None),
    }
}

fn explain_any(cause: Option<Cause>) -> (Option<&'static str>, Option<i32>, Option<&'static str>) {
    let Some(cause) = cause else { return (None, None, None) };
    let (failure, errno, detail) = explain(cause);
    (Some(failure), errno, detail)
}

fn fallback(Fallback { mechanism, code }: Fallback) -> NativeFallback {
    NativeFallback { mechanism: mechanism.name(), code }
}

fn residual(bytes: Vec<u8>) -> Option<Buffer> {
    (!bytes.is_empty()).then(|| Buffer::from(bytes))
}
