//! What a transfer would do, asked without starting one.

use napi::bindgen_prelude::Either;
use napi_derive::napi;
use zcio::transfer::plan::{self, Rung};
use zcio::{Facts, Failure, Side, config, sys};

use crate::convert::{Descriptor, Offset};
use crate::ending::{NativeEnding, Over};
use crate::ends;
use crate::transfer::request;

/// An end that may not be open yet.
#[napi(object, object_to_js = false)]
pub struct NativeEnd {
    /// Its descriptor; absent: a stream socket without one.
    #[napi(ts_type = "Descriptor")]
    pub descriptor: Option<Descriptor>,
    /// What is there instead: the descriptor is of the file's path only, or of its directory's.
    pub unopened: Option<NativeUnopened>,
}

/// A regular file or a FIFO that Node will open.
#[napi(object, object_to_js = false)]
pub struct NativeUnopened {
    /// Bytes that it will then have.
    pub size: f64,
    /// With `O_APPEND`.
    pub append: bool,
}

/// A mechanism that fits the two ends.
#[napi(object, object_from_js = false)]
pub struct NativeRung {
    /// Its name.
    pub mechanism: &'static str,
    /// The code of what strikes it out.
    pub refused: Option<&'static str>,
    /// Why it does, or what the mechanism does.
    pub reason: &'static str,
}

/// The mechanisms in order, or how the transfer would fail at once.
#[napi]
#[allow(clippy::too_many_arguments, reason = "those of Engine.start")]
pub fn plan(
    source: NativeEnd,
    sink: NativeEnd,
    start: Offset,
    sink_start: Offset,
    length: Offset,
    fallback: bool,
    snapshot: bool,
    disable: Option<Vec<String>>,
) -> Either<Vec<NativeRung>, NativeEnding> {
    let request = request(start, sink_start, length, fallback, snapshot, disable);
    let planned = facts_of(&source, Side::Source)
        .and_then(|source| plan::plan(&source, &facts_of(&sink, Side::Sink)?, request));
    match planned {
        Ok(rungs) => Either::A(rungs.into_iter().map(told).collect()),
        Err(failure) => Either::B(Over::Transfer(Err(failure)).translate(0)),
    }
}

fn told(Rung { mechanism, refused, reason }: Rung) -> NativeRung {
    NativeRung { mechanism: mechanism.name(), refused, reason }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
fn facts_of(end: &NativeEnd, side: Side) -> Result<Facts, Failure> {
    let Some(descriptor) = &end.descriptor else { return Ok(Facts::stream_socket()) };
    let Some(NativeUnopened { size, append }) = end.unopened else {
        return Ok(*ends::end(descriptor, side)?.facts);
    };
    let stat = sys::stat(descriptor)
        .map_err(|errno| Failure::early(zcio::Cause::System { errno, call: "fstat" }, Some(side)))?;
    let is_fifo = stat.file_type() == sys::FileType::Pipe;
    let switched_off = config::switched_off_on(descriptor);
    Ok(Facts {
        kind: if is_fifo { zcio::Kind::Pipe } else { zcio::Kind::File },
        // The engine opens it anew.
        nonblocking: is_fifo,
        writable: true,
        size: size as u64,
        append,
        switched_off,
        ..Facts::opened_file(&stat)
    })
}
