//! What a transfer costs against `std::io::copy`, for every pair of file, pipe and socket.
//!
//! `cargo bench -p zcio --bench copy`; one pair: `-- 'file to pipe'`. Streams have a peer on a thread of its own that
//! writes or reads as fast as it can; descriptors block, as std's do.

use std::fs::File;
use std::hint::black_box;
use std::io::{PipeReader, PipeWriter, Read, Seek, Write, pipe};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use zcio::Request;

/// A page, what fits a pipe, and what takes several turns.
const SIZES: [usize; 3] = [4 << 10, 64 << 10, 16 << 20];

fn pairs(criterion: &mut Criterion) {
    bench(criterion, "file to file", file, empty_file);
    bench(criterion, "file to pipe", file, pipe_sink);
    bench(criterion, "file to socket", file, socket_sink);
    bench(criterion, "pipe to file", pipe_source, empty_file);
    bench(criterion, "pipe to pipe", pipe_source, pipe_sink);
    bench(criterion, "pipe to socket", pipe_source, socket_sink);
    bench(criterion, "socket to file", socket_source, empty_file);
    bench(criterion, "socket to pipe", socket_source, pipe_sink);
    bench(criterion, "socket to socket", socket_source, socket_sink);
}

/// An end, and what makes it fit for the next copy.
struct End<T> {
    end: T,
    reset: fn(&mut T),
}

fn bench<R: Read + AsFd, W: Write + AsFd>(
    criterion: &mut Criterion,
    name: &str,
    source: fn(usize) -> End<R>,
    sink: fn() -> End<W>,
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let (mut source, mut sink) = (source(size), sink());
        for (way, copy) in [("zcio", by_zcio as fn(&mut R, &mut W, u64)), ("std::io::copy", by_std)] {
            group.bench_function(BenchmarkId::new(way, size), |bencher| {
                bencher.iter(|| {
                    (source.reset)(&mut source.end);
                    (sink.reset)(&mut sink.end);
                    copy(black_box(&mut source.end), &mut sink.end, size as u64);
                });
            });
        }
    }
    group.finish();
}

fn by_zcio<R: AsFd, W: AsFd>(source: &mut R, sink: &mut W, length: u64) {
    let request = Request { length: Some(length), ..Request::default() };
    assert_eq!(zcio::transfer_with(source, sink, request).unwrap().bytes, length);
}

fn by_std<R: Read, W: Write>(source: &mut R, sink: &mut W, length: u64) {
    assert_eq!(std::io::copy(&mut source.take(length), sink).unwrap(), length);
}

fn file(size: usize) -> End<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![b'z'; size]).unwrap();
    End { end: file, reset: |file| file.rewind().unwrap() }
}

fn empty_file() -> End<File> {
    let reset = |file: &mut File| {
        file.set_len(0).unwrap();
        file.rewind().unwrap();
    };
    End { end: tempfile::tempfile().unwrap(), reset }
}

fn pipe_source(_size: usize) -> End<PipeReader> {
    let (source, peer) = pipe().unwrap();
    End { end: write_for_ever(source, peer), reset: |_| {} }
}

fn socket_source(_size: usize) -> End<UnixStream> {
    let (source, peer) = UnixStream::pair().unwrap();
    End { end: write_for_ever(source, peer), reset: |_| {} }
}

fn pipe_sink() -> End<PipeWriter> {
    let (peer, sink) = pipe().unwrap();
    End { end: read_away(sink, peer), reset: |_| {} }
}

fn socket_sink() -> End<UnixStream> {
    let (peer, sink) = UnixStream::pair().unwrap();
    End { end: read_away(sink, peer), reset: |_| {} }
}

/// Until the source is closed.
fn write_for_ever<T>(source: T, mut peer: impl Write + Send + 'static) -> T {
    let bytes = vec![b'z'; 256 << 10];
    thread::spawn(move || while peer.write_all(&bytes).is_ok() {});
    source
}

fn read_away<T>(sink: T, mut peer: impl Read + Send + 'static) -> T {
    let mut buffer = vec![0; 256 << 10];
    thread::spawn(move || while peer.read(&mut buffer).is_ok_and(|count| count > 0) {});
    sink
}

criterion_group!(benches, pairs);
criterion_main!(benches);
