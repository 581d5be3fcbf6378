//! The terminal: taken, drawn on, and given back as it was, however the program ends.

use std::io::{self, BufWriter, Stdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, KeyEvent, KeyEventKind};
use ratatui::crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::crossterm::{execute, queue};

/// What came from the keyboard.
pub(super) enum Event {
    Key(KeyEvent),
    /// The terminal has another size now.
    Resized,
    /// Not in the time given.
    Nothing,
}

/// What a frame takes at most, on a large screen.
const FRAME: usize = 1 << 16;

/// Dropped, the terminal is as it was. So it is after a panic.
pub(super) struct Terminal {
    screen: ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    events: Receiver<io::Result<event::Event>>,
}

impl Terminal {
    pub(super) fn take() -> io::Result<Terminal> {
        // It also sees to it that a panic gives the terminal back. Its own screen would write a few bytes at a time.
        drop(ratatui::try_init()?);
        let screen = ratatui::Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(FRAME, io::stdout())))?;
        let (sender, events) = channel();
        // A thread of its own: where the terminal goes away in the midst of it, a read may never return.
        thread::spawn(move || {
            loop {
                let read = event::read();
                let failed = read.is_err();
                if sender.send(read).is_err() || failed {
                    return;
                }
            }
        });
        Ok(Terminal { screen, events })
    }

    /// All at once, as far as the terminal lets it.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame)) -> io::Result<()> {
        queue!(self.screen.backend_mut(), BeginSynchronizedUpdate)?;
        self.screen.draw(draw)?;
        execute!(self.screen.backend_mut(), EndSynchronizedUpdate)
    }

    /// The next that came, or comes within that time.
    pub(super) fn wait(&self, time: Duration) -> io::Result<Event> {
        match self.events.recv_timeout(time) {
            Ok(Ok(event::Event::Key(key))) if key.kind != KeyEventKind::Release => Ok(Event::Key(key)),
            Ok(Ok(event::Event::Resize(..))) => Ok(Event::Resized),
            Ok(Err(error)) => Err(error),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the terminal can't be read any more")),
            Ok(Ok(_)) | Err(RecvTimeoutError::Timeout) => Ok(Event::Nothing),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Where it is gone, nothing is left to be put right.
        let _ = self.screen.show_cursor();
        let _ = ratatui::try_restore();
    }
}

/// For the test that looks at the terminal after a panic.
#[cfg(debug_assertions)]
pub(super) fn panic_if_asked() {
    assert!(std::env::var_os("HANDOVER_TOP_PANICS").is_none(), "as asked");
}
