//! What tests do to processes, by handles; and what keeps segments that have names.

use std::ffi::c_void;
use std::io::{BufRead, BufReader, Read};
use std::os::windows::io::AsRawHandle;
use std::process::{Child, Stdio};
use std::ptr;

use windows_sys::Win32::Foundation::CloseHandle;
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Threading::{CreateRemoteThread, TerminateProcess};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    INT,
    BREAK,
    KILL,
}

/// The ways to ask a process to end.
pub const ENDS: [Signal; 2] = [Signal::INT, Signal::BREAK];

pub fn signal(child: &Child, signal: Signal) {
    match signal {
        Signal::INT => press(child, CTRL_C_EVENT),
        Signal::BREAK => press(child, CTRL_BREAK_EVENT),
        // SAFETY: the handle is the child's. That it has ended already is no fault.
        Signal::KILL => drop(unsafe { TerminateProcess(child.as_raw_handle(), 9) }),
    }
}

/// There is no asking. Commands listen before they attach.
pub fn listens(_: &Child, _: &[Signal]) -> bool {
    true
}

/// Does what a console does when somebody presses these keys, for these tests may have no console: it starts a thread in
/// the process, at the system's routine that calls the handlers. That lies at the same address in all processes.
fn press(child: &Child, keys: u32) {
    // SAFETY: the routine takes the number of the event, and the handles are the child's and the new thread's.
    unsafe {
        let kernel = GetModuleHandleW(windows_sys::w!("kernelbase.dll"));
        let routine = GetProcAddress(kernel, windows_sys::s!("CtrlRoutine")).expect("every Windows has it");
        let routine: unsafe extern "system" fn(*mut c_void) -> u32 = std::mem::transmute(routine);
        let (number, process) = (ptr::without_provenance_mut(keys as usize), child.as_raw_handle());
        let thread = CreateRemoteThread(process, ptr::null(), 0, Some(routine), number, 0, ptr::null_mut());
        assert!(!thread.is_null(), "{}", std::io::Error::last_os_error());
        CloseHandle(thread);
    }
}

/// Makes a segment that is there until it is removed: until then the command that made it runs, and it ends by itself.
#[track_caller]
pub fn create(arguments: &[&str]) {
    let mut holder = super::handover(arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if said.is_empty() {
        holder.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("{arguments:?}: {said}");
    }
}

/// How a killed process ended, and what that is called.
pub const KILLED: (Option<i32>, &str) = (Some(9), "TerminateProcess");

/// The processes that the one of that process id started.
pub fn processes_of(parent: u32) -> usize {
    let mut all = winsafe::HPROCESSLIST::CreateToolhelp32Snapshot(winsafe::co::TH32CS::SNAPPROCESS, None).unwrap();
    all.iter_processes().filter(|process| process.as_ref().unwrap().th32ParentProcessID == parent).count()
}
