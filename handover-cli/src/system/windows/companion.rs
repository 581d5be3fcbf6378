//! A command that ends with the process that started it, be that killed.
//!
//! Whatever is started while there is a [`Bond`](super::child::Bond) does.

use std::ffi::OsString;
use std::io;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus};

/// Ctrl-C is not for it: whoever started it sees to that.
const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;

pub(crate) struct Companion(Child);

impl Companion {
    /// Starts a program with those arguments, the first of which is its name, in what `started` is made with besides.
    pub(crate) fn start(
        program: &Path,
        command: &[OsString],
        started: impl FnOnce(&mut Command) -> &mut Command,
    ) -> io::Result<Companion> {
        let mut this = Command::new(program);
        this.args(&command[1..]).creation_flags(CREATE_NEW_PROCESS_GROUP);
        started(&mut this).spawn().map(Companion)
    }

    /// The pipe to its standard input, if it was started with one.
    pub(crate) fn input(&mut self) -> Option<ChildStdin> {
        self.0.stdin.take()
    }

    pub(crate) fn kill(&mut self) {
        // One that has ended already needs neither.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// How it ended.
    pub(crate) fn wait(mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }
}
