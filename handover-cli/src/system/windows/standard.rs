//! Standard input and output, without ever being stuck in them: each is served by a thread that may be.

use std::fs::File;
use std::io::{self, Read, Seek, Stdin, Stdout, Write};
use std::os::windows::io::AsHandle;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Whether lines may end in a carriage return and a line feed, as programs here write them.
pub(crate) const LINES_END_IN_TWO: bool = true;

/// What is read or written at a time.
const PIECE: usize = 1 << 16;

struct Reading {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// What was read and not yet handed out.
    rest: Vec<u8>,
}

struct Writing {
    pieces: SyncSender<Vec<u8>>,
    written: Receiver<io::Result<usize>>,
    /// A piece was given to the thread, and it has not said what became of it.
    stuck: bool,
}

static READING: LazyLock<Mutex<Reading>> = LazyLock::new(|| {
    let (sender, pieces) = sync_channel(0);
    thread::spawn(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = io::stdin().read(&mut piece).map(|count| {
                piece.truncate(count);
                piece
            });
            // At its end, or where it can't be read, that is so again if it is asked once more.
            if sender.send(read).is_err() {
                return;
            }
        }
    });
    Mutex::new(Reading { pieces, rest: Vec::new() })
});

static WRITING: LazyLock<Mutex<Writing>> = LazyLock::new(|| {
    let (pieces, taken) = sync_channel::<Vec<u8>>(1);
    let (sender, written) = sync_channel(1);
    thread::spawn(move || {
        for piece in taken {
            let mut out = io::stdout().lock();
            let result = out.write_all(&piece).and_then(|()| out.flush()).map(|()| piece.len());
            if sender.send(result).is_err() {
                return;
            }
        }
    });
    Mutex::new(Writing { pieces, written, stuck: false })
});

fn own<T>(of: &'static Mutex<T>) -> MutexGuard<'static, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gone<T>(_: T) -> io::Error {
    io::Error::other("the thread for it has ended")
}

/// An error that says that nobody reads any more, as such a one.
pub(crate) fn known(error: io::Error) -> io::Error {
    /// The other end let go of the pipe, and did not just close it. The library has no kind of its own for that.
    const ERROR_PIPE_NOT_CONNECTED: i32 = 233;
    match error.raw_os_error() {
        Some(ERROR_PIPE_NOT_CONNECTED) => io::ErrorKind::BrokenPipe.into(),
        _ => error,
    }
}

/// Reads what there is, or comes within that time: `None` if nothing does.
pub(crate) fn read(_: &Stdin, buffer: &mut [u8], within: Duration) -> io::Result<Option<usize>> {
    let mut reading = own(&READING);
    if reading.rest.is_empty() {
        reading.rest = match reading.pieces.recv_timeout(within) {
            Ok(piece) => piece?,
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(error) => return Err(gone(error)),
        };
    }
    let count = reading.rest.len().min(buffer.len());
    buffer[..count].copy_from_slice(&reading.rest[..count]);
    reading.rest.drain(..count);
    Ok(Some(count))
}

/// Writes as much as is taken within that time, which may be nothing: then the next call has to be with the same bytes.
///
/// Whoever leaves it at that and lets the process end leaves open, for the moments until it has, whether they are taken
/// after all.
pub(crate) fn write(_: &Stdout, bytes: &[u8], within: Duration) -> io::Result<usize> {
    let mut writing = own(&WRITING);
    if !writing.stuck {
        writing.pieces.send(bytes[..bytes.len().min(PIECE)].to_vec()).map_err(gone)?;
        writing.stuck = true;
    }
    match writing.written.recv_timeout(within) {
        Ok(written) => {
            writing.stuck = false;
            written.map_err(known)
        }
        Err(RecvTimeoutError::Timeout) => Ok(0),
        Err(error) => Err(gone(error)),
    }
}

/// Fails if whoever read has gone: it would be found out by the next message only, and none may come.
pub(crate) fn is_read(out: &Stdout) -> io::Result<()> {
    // What is stuck will tell. Nobody else may write meanwhile: it would be stuck behind it.
    if own(&WRITING).stuck {
        return Ok(());
    }
    // To write nothing fails where a pipe has no other end any more, and does nothing to anything else.
    match out.as_handle().try_clone_to_owned().and_then(|handle| File::from(handle).write(&[])).map_err(known) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// The file of a file system that it is, if it is one.
pub(crate) fn file(stream: &impl AsHandle) -> Option<File> {
    let mut file = File::from(stream.as_handle().try_clone_to_owned().ok()?);
    // Pipes and consoles have no position.
    (file.metadata().is_ok_and(|facts| facts.is_file()) && file.stream_position().is_ok()).then_some(file)
}
