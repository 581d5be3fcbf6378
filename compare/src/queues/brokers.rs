//! Tasks through a server on this machine: a Redis list, and a NATS queue group. Clients of a few lines each, so that no
//! client library is what is measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};

use super::processes::read_into;
use super::{Across, Made, Place};
use crate::ends::{END, Put, Take, Worded};
use crate::shared::load::Load;

/// A server that ends with the run.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Both say no more than that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> Result<Server, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: one system call, which may be made between fork and exec.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    command.spawn().map(Server).map_err(|error| format!("{name} is not installed, or does not start: {error}"))
}

/// Tries until the server listens.
fn connect<S>(what: &str, attempt: impl Fn() -> std::io::Result<S>) -> Result<S, String> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Ok(stream) => return Ok(stream),
            Err(why) if begun.elapsed() > Duration::from_secs(5) => return Err(format!("{what}: {why}")),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// A list in Redis: RPUSH and BLPOP over a Unix socket, each task confirmed.
pub struct Redis;

/// A connection to it.
pub struct RedisEnd {
    stream: BufReader<UnixStream>,
    line: Vec<u8>,
    command: Vec<u8>,
}

fn redis_socket(place: &Place) -> String {
    format!("/tmp/{}.socket", place.name)
}

impl RedisEnd {
    fn open(place: &Place) -> RedisEnd {
        let stream = connect("redis", || UnixStream::connect(redis_socket(place))).expect("the run's server");
        RedisEnd { stream: BufReader::with_capacity(1 << 17, stream), line: Vec::new(), command: Vec::new() }
    }

    /// The number after the reply's first letter.
    fn reply(&mut self) -> i64 {
        self.line.clear();
        self.stream.read_until(b'\n', &mut self.line).expect("a reply");
        let text = std::str::from_utf8(&self.line).expect("a reply").trim_end();
        assert!(!text.starts_with('-'), "redis: {text}");
        text[1..].parse().unwrap_or(0)
    }
}

impl<L: Load> Put<L> for RedisEnd {
    fn put(&mut self, message: L) {
        self.command.clear();
        write!(self.command, "*3\r\n$5\r\nRPUSH\r\n$1\r\nq\r\n${}\r\n", size_of::<L>()).expect("memory");
        self.command.extend_from_slice(message.as_bytes());
        self.command.extend_from_slice(b"\r\n");
        self.stream.get_mut().write_all(&self.command).expect("the server");
        self.reply();
    }
}

impl<L: Load> Take<L> for RedisEnd {
    fn take(&mut self) -> Option<L> {
        self.stream.get_mut().write_all(b"*3\r\n$5\r\nBLPOP\r\n$1\r\nq\r\n$1\r\n0\r\n").expect("the server");
        // Two strings: the list's name and the task.
        assert_eq!(self.reply(), 2, "a name and a task");
        assert_eq!(self.reply(), 1, "the name's length");
        self.reply();
        assert_eq!(self.reply(), size_of::<L>() as i64, "the task's length");
        let mut message = L::default();
        read_into(&mut message, |bytes| self.stream.read_exact(bytes).expect("a task"));
        self.stream.read_exact(&mut [0; 2]).expect("the task's end");
        Some(message)
    }
}

impl<L: Load> Across<L> for Redis {
    type Put = Worded<RedisEnd>;
    type Take = Worded<RedisEnd>;

    fn make(place: &Place) -> Result<Made, String> {
        let socket = redis_socket(place);
        let arguments = ["--port", "0", "--save", "", "--appendonly", "no", "--dir", "/tmp", "--unixsocket", &socket];
        let server = start(Command::new("redis-server").args(arguments))?;
        connect("redis-server", || UnixStream::connect(&socket))?;
        Ok(Made { keep: Box::new(server), descriptors: Vec::new() })
    }

    fn put(place: &Place, _: Vec<OwnedFd>) -> Self::Put {
        Worded(RedisEnd::open(place))
    }

    fn take(place: &Place, _: Vec<OwnedFd>) -> Self::Take {
        Worded(RedisEnd::open(place))
    }
}

/// A queue group of core NATS over loopback TCP. Nothing is confirmed, and what is not taken in time lies in the server.
pub struct Nats;

/// A connection to it.
pub struct NatsEnd {
    stream: BufReader<TcpStream>,
    line: String,
    command: Vec<u8>,
}

/// The port is chosen by the maker, and found in a file of the queue's name.
fn port_file(place: &Place) -> String {
    format!("/tmp/{}.port", place.name)
}

impl NatsEnd {
    fn open(place: &Place) -> NatsEnd {
        let port = std::fs::read_to_string(port_file(place)).expect("the run's port");
        let port: u16 = port.trim().parse().expect("a port");
        let stream = connect("nats", || TcpStream::connect(("127.0.0.1", port))).expect("the run's server");
        stream.set_nodelay(true).expect("a socket");
        let mut end =
            NatsEnd { stream: BufReader::with_capacity(1 << 17, stream), line: String::new(), command: Vec::new() };
        end.say(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
        end
    }

    fn say(&mut self, command: &[u8]) {
        self.stream.get_mut().write_all(command).expect("the server");
    }

    /// The next line that is not about the connection itself.
    fn read_line(&mut self) {
        loop {
            self.line.clear();
            self.stream.read_line(&mut self.line).expect("the server");
            if self.line.starts_with("PING") {
                self.say(b"PONG\r\n");
            } else if !self.line.starts_with("INFO") {
                assert!(!self.line.is_empty() && !self.line.starts_with('-'), "nats: {}", self.line);
                return;
            }
        }
    }

    /// All that was said has been done when the answer is here.
    fn ping(&mut self) {
        self.say(b"PING\r\n");
        self.read_line();
        assert!(self.line.starts_with("PONG"), "nats: {}", self.line);
    }

    fn publish(&mut self, subject: &str, bytes: &[u8]) {
        self.command.clear();
        write!(self.command, "PUB {subject} {}\r\n", bytes.len()).expect("memory");
        self.command.extend_from_slice(bytes);
        self.command.extend_from_slice(b"\r\n");
        let command = std::mem::take(&mut self.command);
        self.say(&command);
        self.command = command;
    }
}

impl<L: Load> Put<L> for NatsEnd {
    fn put(&mut self, message: L) {
        self.publish("task", message.as_bytes());
    }

    fn settle(&mut self) {
        self.ping();
    }

    fn end(mut self, last: Option<usize>) {
        if last.is_some() {
            self.publish("end", L::of(END).as_bytes());
            self.ping();
        }
    }
}

impl<L: Load> Take<L> for NatsEnd {
    fn take(&mut self) -> Option<L> {
        self.read_line();
        let ended = self.line.starts_with("MSG end");
        let mut message = L::default();
        read_into(&mut message, |bytes| self.stream.read_exact(bytes).expect("a task"));
        self.stream.read_exact(&mut [0; 2]).expect("the task's end");
        (!ended).then_some(message)
    }
}

impl<L: Load> Across<L> for Nats {
    type Put = NatsEnd;
    type Take = NatsEnd;

    fn make(place: &Place) -> Result<Made, String> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.map_err(|error| error.to_string())?.port();
        let server = start(Command::new("nats-server").args(["--addr", "127.0.0.1", "--port", &port.to_string()]))?;
        connect("nats-server", || TcpStream::connect(("127.0.0.1", port)))?;
        std::fs::write(port_file(place), port.to_string()).map_err(|error| error.to_string())?;
        Ok(Made { keep: Box::new(server), descriptors: Vec::new() })
    }

    fn put(place: &Place, _: Vec<OwnedFd>) -> Self::Put {
        NatsEnd::open(place)
    }

    fn take(place: &Place, _: Vec<OwnedFd>) -> Self::Take {
        let mut end = NatsEnd::open(place);
        // The group shares the tasks; of the end everybody is told.
        end.say(b"SUB task workers 1\r\nSUB end 2\r\n");
        end.ping();
        end
    }
}
