//! A command that ends with the process that started it, be that killed.
//!
//! On Linux a process is sent a signal when its parent dies, if it asked for that; nobody can ask for it. So what is
//! started is this program once more, which asks, and then becomes the command.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdin, Command, ExitStatus};

use clap::Args;

use super::child::end_with;

/// What this program is asked for, to become a command.
pub(crate) const BECOME: &str = "become";

/// A child that is a command, or could not become it.
pub(crate) struct Companion {
    child: Child,
    /// The number of the error by which it did not become the command, if so.
    refusal: PipeReader,
    /// Open until the child has ended: it opens this one anew.
    refuses: PipeWriter,
}

impl Companion {
    /// Starts a program with that name and arguments, in what `started` is made with besides.
    ///
    /// The signal comes when the *thread* that started it ends: call it from one that waits for it.
    pub(crate) fn start(
        program: &Path,
        command: &[OsString],
        started: impl FnOnce(&mut Command) -> &mut Command,
    ) -> io::Result<Companion> {
        let (refusal, refuses) = io::pipe()?;
        // What stands in the file system may be another version by now, or gone.
        let mut this = Command::new("/proc/self/exe");
        this.arg0("handover")
            .arg(BECOME)
            .args([process::id().to_string(), refuses.as_raw_fd().to_string()])
            .arg("--")
            .arg(program)
            .args(command)
            // Ctrl-C goes to the terminal's foreground, which is whoever started it.
            .process_group(0);
        Ok(Companion { child: started(&mut this).spawn()?, refusal, refuses })
    }

    /// The pipe to its standard input, if it was started with one.
    pub(crate) fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub(crate) fn kill(&mut self) {
        // One that has ended already needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended; an error if it never was the command.
    pub(crate) fn wait(mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        drop(self.refuses);
        let mut number = String::new();
        self.refusal.read_to_string(&mut number)?;
        match number.parse() {
            Ok(number) => Err(io::Error::from_raw_os_error(number)),
            Err(_) => Ok(status),
        }
    }
}

/// What this program is told when it is to become a command.
#[derive(Args, Debug)]
pub(crate) struct Become {
    /// Who started it.
    parent: u32,
    /// The parent's descriptor to which it is written why it could not be.
    refuses: i32,
    program: PathBuf,
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

impl Become {
    /// Becomes the command, which the kernel kills when that parent dies. Returns only if it can't, and has told the parent
    /// why.
    pub(crate) fn run(&self) -> io::Result<()> {
        let Become { parent, refuses, program, command } = self;
        if !end_with(*parent)? {
            return Ok(());
        }
        // Closed by becoming the command.
        let mut refuses = File::options().write(true).open(format!("/proc/{parent}/fd/{refuses}"))?;
        let (name, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let error = Command::new(program).arg0(name).args(arguments).exec();
        write!(refuses, "{}", error.raw_os_error().unwrap_or_default())
    }
}
