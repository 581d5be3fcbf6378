//! A process that is run one instruction at a time.
//!
//! It is this program again, started under `ptrace`. It says where the part begins that is looked at by a breakpoint of
//! its own, and where it ends by a word in a page that both share. Between the two the tracer counts instructions; a
//! system call is one. The layout of its memory is not randomized, so that the same part takes the same instructions
//! each time.

use std::fs;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::ptr;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use crate::children;

/// What tracer and traced share.
#[repr(C)]
pub struct Page {
    /// How far it is: [`BEGUN`], [`RETURNED`], [`REPORTED`].
    pub phase: AtomicU32,
    /// How many messages it got out, or in.
    pub count: AtomicU32,
    /// Not zero if the operation was refused.
    pub refused: AtomicU32,
    /// Not zero once the program has seen a message, before the operation is over.
    pub seen: AtomicU32,
    /// Of a reader of a broadcast: how many it was told that it missed.
    pub missed: AtomicU64,
    /// The messages it got out.
    pub messages: [AtomicU64; 128],
}

/// The operation is under way, or has not begun.
pub const BEGUN: u32 = 0;
/// The operation has returned.
pub const RETURNED: u32 = 1;
/// And what came of it stands in the page.
pub const REPORTED: u32 = 2;

/// Some memory that is mapped here and in the other process.
pub struct Shared {
    base: *mut libc::c_void,
    length: usize,
}

impl Shared {
    /// Maps what is behind a descriptor.
    pub fn map(file: impl AsFd, length: usize) -> Shared {
        use std::os::fd::AsRawFd;
        let file = file.as_fd().as_raw_fd();
        // SAFETY: a new mapping, wherever there is room for it.
        let base = unsafe {
            libc::mmap(ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file, 0)
        };
        assert!(base != libc::MAP_FAILED, "map shared memory: {}", io::Error::last_os_error());
        Shared { base, length }
    }

    /// Maps all that is behind a descriptor.
    pub fn whole(file: OwnedFd) -> Shared {
        let length = fs::File::from(file.try_clone().expect("a descriptor")).metadata().expect("a length").len();
        Shared::map(file, length as usize)
    }

    /// The page at its beginning.
    pub fn page(&self) -> &Page {
        assert!(self.length >= size_of::<Page>());
        // SAFETY: long enough, aligned to a page, and all of it atomics.
        unsafe { &*self.base.cast::<Page>() }
    }

    /// A number that differs if anything in the memory does, but for the words that `unless` names by their offsets and
    /// what stands there.
    pub fn digest(&self, unless: impl Fn(usize, u64) -> bool) -> u64 {
        let words = self.base.cast::<AtomicU64>();
        let mut digest = 0xcbf2_9ce4_8422_2325u64;
        for at in 0..self.length / 8 {
            // SAFETY: within the mapping.
            let word = unsafe { &*words.add(at) }.load(SeqCst);
            if unless(at * 8, word) {
                continue;
            }
            digest = (digest ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        }
        digest
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and nobody has a reference any more.
        unsafe { libc::munmap(self.base, self.length) };
    }
}

/// Memory without a name.
fn memory(length: usize) -> OwnedFd {
    // SAFETY: makes a new descriptor, which is ours.
    let file = unsafe {
        let file = libc::memfd_create(c"proof".as_ptr(), libc::MFD_CLOEXEC);
        assert!(file >= 0, "memory for a page: {}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(file)
    };
    fs::File::from(file.try_clone().expect("a descriptor")).set_len(length as u64).expect("room for a page");
    file
}

/// Keeps this thread, and the processes it starts, on one processor: to step is to hand over from one to the other.
pub fn stay_on(processor: usize) {
    // SAFETY: the set is a plain value; the call changes this thread only.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// Where a stepped process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Before an instruction of the operation.
    Operation,
    /// In the operation, asleep in the system.
    Asleep,
    /// Behind the operation.
    Behind,
}

/// Where the instruction pointer is among the registers.
const RIP: usize = std::mem::offset_of!(libc::user_regs_struct, rip);

/// The code of a system call.
const SYSCALL: libc::c_long = 0x050f;

/// A stepped process. Killed when it goes.
pub struct Stepped {
    child: Child,
    shared: Shared,
    /// Instructions done since the beginning.
    pub steps: u64,
    ended: bool,
    asleep: bool,
}

impl Stepped {
    /// Why no process can be stepped here, if so: containers and hardened systems may refuse it.
    pub fn refused() -> Option<String> {
        let nothing = || fs::File::open("/dev/null").expect("nothing");
        let mut command = children::command(&[]);
        command.stderr(Stdio::null());
        let refused = |what: &str, error: io::Error| Some(format!("this system refuses {what} ({error})"));
        let mut stepped = match Stepped::traced(command, nothing().into()) {
            Ok(stepped) => stepped,
            Err(error) => return refused("to have a process traced by ptrace", error),
        };
        if !stepped.stopped() {
            return Some("a process that is traced by ptrace does not stop here when it begins".into());
        }
        // SAFETY: our stopped child; has it do an instruction, and points to nothing of ours.
        if unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, stepped.pid(), 0, 0) } < 0 {
            return refused("single steps by ptrace", io::Error::last_os_error());
        }
        let stops = stepped.stopped() && stepped.address() != 0;
        (!stops).then(|| "single steps by ptrace do not stop a process here".into())
    }

    /// Starts it, with a descriptor as its standard input, and lets it run to the beginning of its operation.
    pub fn start(command: Command, input: OwnedFd) -> Stepped {
        let mut stepped = Stepped::traced(command, input).expect("this program starts");
        // Stopped by its exec.
        stepped.stopped();
        // SAFETY: it is our stopped child; nothing of ours is pointed to.
        unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, stepped.pid(), 0, libc::PTRACE_O_EXITKILL) };
        stepped.go_on();
        assert!(stepped.stopped() && !stepped.ended, "the process ended before its operation");
        stepped
    }

    /// Lets it run from one mark to the next.
    pub fn to_next_mark(&mut self) {
        self.go_on();
        assert!(self.stopped() && !self.ended, "the process ended before its operation");
    }

    /// Starts it, traced.
    fn traced(mut command: Command, input: OwnedFd) -> io::Result<Stepped> {
        let file = memory(4096);
        let shared = Shared::map(&file, 4096);
        command.stdin(Stdio::from(input)).stdout(Stdio::from(file));
        // SAFETY: two system calls, both of which may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
                if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        Ok(Stepped { child, shared, steps: 0, ended: false, asleep: false })
    }

    fn pid(&self) -> libc::pid_t {
        self.child.id() as libc::pid_t
    }

    /// What it says.
    pub fn page(&self) -> &Page {
        self.shared.page()
    }

    /// Whether the operation has returned.
    pub fn returned(&self) -> bool {
        self.page().phase.load(SeqCst) >= RETURNED
    }

    /// Whether the last step left it asleep.
    pub fn is_asleep(&self) -> bool {
        self.asleep
    }

    fn request(&self, request: libc::c_uint) {
        // SAFETY: our stopped child; continues it, and points to nothing of ours.
        let done = unsafe { libc::ptrace(request, self.pid(), 0, 0) };
        assert_eq!(done, 0, "ptrace {request}: {}", io::Error::last_os_error());
    }

    fn go_on(&self) {
        self.request(libc::PTRACE_CONT);
    }

    /// Waits until it is stopped by a trap; false if it has ended.
    fn stopped(&mut self) -> bool {
        loop {
            let mut status = 0;
            // SAFETY: waits for our own child, whose id nobody else has before it was waited for.
            let pid = unsafe { libc::waitpid(self.pid(), &mut status, libc::__WALL) };
            assert_eq!(pid, self.pid(), "wait for a stepped process: {}", io::Error::last_os_error());
            if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                self.ended = true;
                return false;
            }
            match libc::WSTOPSIG(status) {
                libc::SIGTRAP => return true,
                signal => {
                    // SAFETY: as in `request`.
                    unsafe { libc::ptrace(libc::PTRACE_CONT, self.pid(), 0, signal) };
                }
            }
        }
    }

    /// Whether its next instruction puts it to sleep.
    fn about_to_sleep(&self) -> bool {
        // SAFETY: the registers are a plain value, which the call fills in.
        let registers = unsafe {
            let mut registers: libc::user_regs_struct = std::mem::zeroed();
            libc::ptrace(libc::PTRACE_GETREGS, self.pid(), 0, &raw mut registers);
            registers
        };
        if registers.rax != libc::SYS_futex as u64 {
            return false;
        }
        let command = registers.rsi as i32 & libc::FUTEX_CMD_MASK;
        if command != libc::FUTEX_WAIT && command != libc::FUTEX_WAIT_BITSET {
            return false;
        }
        // SAFETY: reads a word of the child's code.
        let code = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid(), registers.rip, 0) };
        code & 0xffff == SYSCALL
    }

    /// Whether its next instruction is a system call.
    pub fn is_at_call(&self) -> bool {
        // SAFETY: reads a word of the stopped child's code.
        let code = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid(), self.address(), 0) };
        code & 0xffff == SYSCALL
    }

    /// The address of its next instruction; 0 while it is asleep.
    pub fn address(&self) -> u64 {
        if self.asleep {
            return 0;
        }
        // SAFETY: reads a word of our stopped child's registers.
        unsafe { libc::ptrace(libc::PTRACE_PEEKUSER, self.pid(), RIP, 0) as u64 }
    }

    /// Lets it run until it has come to an address so many times, which is after `steps` instructions altogether. False
    /// if it came somewhere else first, or, where it `sleeps`, does not come: asleep it waits for us.
    pub fn run_to(&mut self, address: u64, times: usize, steps: u64, sleeps: bool) -> bool {
        for _ in 0..times {
            if self.address() == address {
                self.request(libc::PTRACE_SINGLESTEP);
                self.stopped();
            }
            // SAFETY: our stopped child; changes its own copy of its code, and its registers, and back.
            unsafe {
                let code = libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid(), address, 0);
                libc::ptrace(libc::PTRACE_POKETEXT, self.pid(), address, code & !0xff | 0xcc);
                self.go_on();
                let stopped = if sleeps { self.stopped_within(Duration::from_secs(1)) } else { self.stopped() };
                if !stopped || self.address() != address + 1 {
                    return false;
                }
                libc::ptrace(libc::PTRACE_POKETEXT, self.pid(), address, code);
                libc::ptrace(libc::PTRACE_POKEUSER, self.pid(), RIP, address);
            }
        }
        self.steps = steps;
        true
    }

    /// One instruction. `sleeps`: whether the operation may sleep; then it is left asleep, and the next step waits until
    /// it is woken.
    pub fn step(&mut self, sleeps: bool) -> At {
        if self.asleep {
            self.asleep = false;
        } else {
            let falls_asleep = sleeps && self.about_to_sleep();
            self.request(libc::PTRACE_SINGLESTEP);
            if falls_asleep && self.falls_asleep() {
                self.asleep = true;
                self.steps += 1;
                return At::Asleep;
            }
        }
        assert!(self.stopped(), "the process ended by itself in its operation");
        self.steps += 1;
        if self.returned() { At::Behind } else { At::Operation }
    }

    /// Steps it so far, if its operation is not over before.
    pub fn advance(&mut self, to: u64) {
        while self.steps < to && !self.returned() {
            self.step(false);
        }
    }

    /// Waits until it sleeps; false if it was stopped instead: there was nothing to sleep for.
    fn falls_asleep(&self) -> bool {
        let status = format!("/proc/{}/stat", self.child.id());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            let state = fs::read_to_string(&status).unwrap_or_default();
            match state.rsplit(") ").next().and_then(|rest| rest.chars().next()) {
                Some('S') => return true,
                Some('t' | 'T' | 'Z') => return false,
                _ => std::thread::yield_now(),
            }
        }
        false
    }

    /// Kills it where it is, and waits for its end. It stays a zombie until this is dropped.
    pub fn kill(&mut self) {
        if self.ended {
            return;
        }
        // SAFETY: our child, not yet waited for.
        unsafe { libc::kill(self.pid(), libc::SIGKILL) };
        // SAFETY: fills in a plain value; leaves the zombie where it is.
        unsafe {
            let mut information: libc::siginfo_t = std::mem::zeroed();
            let wanted = libc::WEXITED | libc::WNOWAIT;
            while libc::waitid(libc::P_PID, self.child.id(), &mut information, wanted) < 0 {
                assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::Interrupted);
            }
        }
    }

    /// Lets it go on to where it has reported. False if it ended instead, or did not get there in time.
    pub fn finish(&mut self) -> bool {
        if self.asleep {
            self.asleep = false;
            if !self.stopped() {
                return false;
            }
        }
        if self.page().phase.load(SeqCst) < REPORTED {
            self.go_on();
            return self.stopped_within(Duration::from_secs(10)) && self.page().phase.load(SeqCst) == REPORTED;
        }
        true
    }

    fn stopped_within(&mut self, time: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < time {
            let mut status = 0;
            // SAFETY: as in `stopped`.
            let pid = unsafe { libc::waitpid(self.pid(), &mut status, libc::__WALL | libc::WNOHANG) };
            if pid == self.pid() {
                self.ended = libc::WIFEXITED(status) || libc::WIFSIGNALED(status);
                return !self.ended;
            }
            std::thread::yield_now();
        }
        false
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            self.stopped();
            while !self.ended {
                self.stopped();
            }
        }
    }
}

/// In the stepped process: stops for the tracer.
pub fn mark() {
    // SAFETY: stops us for the tracer, and changes nothing.
    unsafe { std::arch::asm!("int3") };
}

/// In the stepped process: marks where the operation begins and ends.
pub fn between_marks<R>(page: &Page, operation: impl FnOnce() -> R) -> R {
    mark();
    let result = operation();
    page.phase.store(RETURNED, SeqCst);
    result
}

/// In the stepped process: the end, for the tracer to see.
pub fn reported(page: &Page) {
    page.phase.store(REPORTED, SeqCst);
    mark();
}
