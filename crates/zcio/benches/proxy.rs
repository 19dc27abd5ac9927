//! What a TCP proxy on tokio costs: `zcio::tokio::bridge` against `tokio::io::copy_bidirectional`.
//!
//! `cargo bench -p zcio --features tokio --bench proxy`. The proxy is a process of its own, started anew for each run,
//! that tells what it has used; this one is client and server. Rivals take turns, and medians are told, so that a
//! noisy machine is noisy for all. Not by criterion, which knows neither turns nor CPU time.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use tokio::io::{copy_bidirectional, copy_bidirectional_with_sizes};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// tokio's own buffers have 8 KiB; 64 is what a patient author would take.
const RIVALS: [&str; 3] = ["zcio::tokio::bridge", "copy_bidirectional", "copy_bidirectional, 64 KiB"];

const ROUNDS: usize = 7;

/// What is asked of a proxy: so many connections, and over each so many answers of so many bytes.
struct Load {
    name: &'static str,
    connections: usize,
    answers: usize,
    bytes: usize,
}

const LOADS: [Load; 4] = [
    Load { name: "1 stream of 512 MiB", connections: 1, answers: 1, bytes: 512 << 20 },
    Load { name: "16 streams of 32 MiB", connections: 16, answers: 1, bytes: 32 << 20 },
    Load { name: "4 connections, 64 KiB answers", connections: 4, answers: 1000, bytes: 64 << 10 },
    Load { name: "4 connections, 1 KiB answers", connections: 4, answers: 5000, bytes: 1 << 10 },
];

fn main() -> Fallible<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [word, rival, target] = &arguments[..]
        && word == "serve"
    {
        return serve(rival, target.parse()?);
    }
    for load in &LOADS {
        println!("\n{:<30} {:>10} {:>12} {:>14}", load.name, "MB/s", "CPU ms/GB", "CPU µs/answer");
        let target = answer(load)?;
        let mut runs = RIVALS.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (rival, runs) in RIVALS.iter().zip(&mut runs) {
                runs.push(run(rival, load, target)?);
            }
        }
        tell(load, runs);
    }
    Ok(())
}

/// What one run took: time that passed, and the proxy's on the processor.
type Run = (Duration, Duration);

#[allow(clippy::cast_precision_loss, reason = "figures for a reader")]
fn tell(load: &Load, runs: [Vec<Run>; 3]) {
    let answers = (load.connections * load.answers) as f64;
    let bytes = answers * load.bytes as f64;
    let medians =
        runs.map(|runs| (median(runs.iter().map(|run| run.0)), median(runs.iter().map(|run| run.1))));
    for (rival, (wall, cpu)) in RIVALS.iter().zip(medians) {
        let (rate, per_byte) = (bytes / 1e6 / wall, cpu * 1e3 / (bytes / 1e9));
        println!("{rival:<30} {rate:>10.0} {per_byte:>12.0} {:>14.1}", cpu * 1e6 / answers);
    }
    let [(_, ours), others @ ..] = medians;
    println!("CPU, ratio: {}", others.map(|(_, theirs)| format!("{:.2}", ours / theirs)).join(" and "));
}

fn median(durations: impl Iterator<Item = Duration>) -> f64 {
    let mut seconds: Vec<f64> = durations.map(|duration| duration.as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn run(rival: &str, load: &Load, target: SocketAddr) -> Fallible<Run> {
    let mut proxy = Command::new(env::current_exe()?)
        .args(["serve", rival, &target.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut told = BufReader::new(proxy.stdout.take().ok_or("no stdout")?).lines();
    let address: SocketAddr = told.next().ok_or("no address")??.parse()?;
    let since = Instant::now();
    thread::scope(|scope| {
        for _ in 0..load.connections {
            scope.spawn(|| ask(address, load).expect("an answer to every question"));
        }
    });
    let wall = since.elapsed();
    Ok((wall, Duration::from_micros(end(proxy, told)?)))
}

/// The proxy ends with its stdin, and tells the microseconds it has used.
fn end(mut proxy: Child, mut told: impl Iterator<Item = std::io::Result<String>>) -> Fallible<u64> {
    drop(proxy.stdin.take());
    let used = told.next().ok_or("no usage")??.parse()?;
    proxy.wait()?;
    Ok(used)
}

/// A client: a byte for a question, then the whole answer, on one connection.
fn ask(proxy: SocketAddr, load: &Load) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(proxy)?;
    socket.set_nodelay(true)?;
    let mut buffer = vec![0; load.bytes.min(256 << 10)];
    for _ in 0..load.answers {
        socket.write_all(b"?")?;
        let mut left = load.bytes;
        while left > 0 {
            let most = left.min(buffer.len());
            left -= match socket.read(&mut buffer[..most])? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                count => count,
            };
        }
    }
    Ok(())
}

/// A server that answers every byte with so many.
fn answer(load: &Load) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (address, length) = (listener.local_addr()?, load.bytes);
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || -> std::io::Result<()> {
                socket.set_nodelay(true)?;
                let bytes = vec![b'z'; length.min(256 << 10)];
                while socket.read(&mut [0])? > 0 {
                    for _ in 0..length / bytes.len() {
                        socket.write_all(&bytes)?;
                    }
                }
                Ok(())
            });
        }
    });
    Ok(address)
}

/// The proxy itself, one thread of tokio.
fn serve(rival: &str, target: SocketAddr) -> Fallible<()> {
    let rival = RIVALS.iter().position(|name| *name == rival).ok_or("no such rival")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    println!("{}", listener.local_addr()?);
    runtime.spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay(rival, client, target));
        }
    });
    stdin().read_to_end(&mut Vec::new())?;
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let times = [usage.user_time(), usage.system_time()];
    println!("{}", times.map(|time| time.tv_sec() * 1_000_000 + time.tv_usec()).iter().sum::<i64>());
    Ok(())
}

async fn relay(rival: usize, mut client: tokio::net::TcpStream, target: SocketAddr) -> std::io::Result<()> {
    let mut server = tokio::net::TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    match rival {
        0 => drop(zcio::tokio::bridge(&client, &server, None).await?),
        1 => drop(copy_bidirectional(&mut client, &mut server).await?),
        _ => drop(copy_bidirectional_with_sizes(&mut client, &mut server, 64 << 10, 64 << 10).await?),
    }
    Ok(())
}
