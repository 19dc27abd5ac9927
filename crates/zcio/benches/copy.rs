//! What a transfer costs against `std::io::copy`: between two files, and from a file to a socket.
//!
//! `cargo bench -p zcio`. Small on purpose; the package's own bench measures whole servers.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// A page, what fits a pipe, and what takes several turns.
const SIZES: [usize; 3] = [4 << 10, 64 << 10, 16 << 20];

/// A way from a file to a sink.
type Copy<S> = fn(&mut File, &mut S);

fn file_to_file(criterion: &mut Criterion) {
    let ways: [(&str, Copy<File>); 2] = [
        ("zcio", |source, sink| assert!(zcio::transfer(source, sink).is_ok())),
        ("std::io::copy", |source, sink| assert!(std::io::copy(source, sink).is_ok())),
    ];
    bench(
        criterion,
        "file to file",
        &ways,
        || tempfile::tempfile().unwrap(),
        |sink| {
            sink.set_len(0).unwrap();
            sink.rewind().unwrap();
        },
    );
}

fn file_to_socket(criterion: &mut Criterion) {
    let ways: [(&str, Copy<UnixStream>); 2] = [
        ("zcio", |source, sink| assert!(zcio::transfer(source, sink).is_ok())),
        ("std::io::copy", |source, sink| assert!(std::io::copy(source, sink).is_ok())),
    ];
    bench(criterion, "file to socket", &ways, read_away, |_| {});
}

fn bench<S>(
    criterion: &mut Criterion,
    name: &str,
    ways: &[(&str, Copy<S>)],
    sink: impl Fn() -> S,
    clear: impl Fn(&mut S),
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let (mut source, mut sink) = (file(size), sink());
        for (way, copy) in ways {
            group.bench_function(BenchmarkId::new(*way, size), |bencher| {
                bencher.iter(|| {
                    clear(&mut sink);
                    source.rewind().unwrap();
                    copy(black_box(&mut source), &mut sink);
                });
            });
        }
    }
    group.finish();
}

fn file(size: usize) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![b'z'; size]).unwrap();
    file
}

/// A socket whose peer reads whatever comes.
fn read_away() -> UnixStream {
    let (sink, mut peer) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        while peer.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    sink
}

criterion_group!(benches, file_to_file, file_to_socket);
criterion_main!(benches);
