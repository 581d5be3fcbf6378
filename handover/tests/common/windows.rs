//! What tests do to processes, and how they look at segments from outside, by handles.

use std::ffi::c_void;
use std::fs::File;
use std::os::windows::fs::FileExt;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::process::{self, ExitStatus};
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{CloseHandle, FILETIME, HANDLE};
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Memory::{
    FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_BASIC_INFORMATION, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile,
    UnmapViewOfFile, VirtualQuery,
};
use windows_sys::Win32::System::Threading::{
    CreateRemoteThread, GetCurrentProcess, GetCurrentThread, GetThreadTimes, TerminateProcess,
};

#[link(name = "ntdll", kind = "raw-dylib")]
unsafe extern "system" {
    fn NtSuspendProcess(process: HANDLE) -> i32;
    fn NtResumeProcess(process: HANDLE) -> i32;
}

/// Ends as a killed process does, without running anything more.
pub fn die() -> ! {
    // SAFETY: ends the process itself.
    unsafe { TerminateProcess(GetCurrentProcess(), 9) };
    unreachable!("killed")
}

/// Kills it, without waiting: our handle of it stays.
pub fn kill(child: &process::Child) {
    // SAFETY: the handle is the child's. That it has ended already is no fault.
    unsafe { TerminateProcess(child.as_raw_handle(), 9) };
}

/// Suspends all of its threads.
pub fn stop(child: &process::Child) {
    // SAFETY: the handle is the child's.
    assert_eq!(unsafe { NtSuspendProcess(child.as_raw_handle()) }, 0, "a child was stopped");
}

pub fn resume(child: &process::Child) {
    // SAFETY: the handle is the child's.
    assert_eq!(unsafe { NtResumeProcess(child.as_raw_handle()) }, 0, "a child was resumed");
}

/// The ways to ask a process to end.
pub const ENDS: [u32; 2] = [CTRL_C_EVENT, CTRL_BREAK_EVENT];

/// Does what a console does when somebody presses these keys, for these tests may have no console: it starts a thread in
/// the process, at the system's routine that calls the handlers. That lies at the same address in all processes.
pub fn ask_to_end(child: &process::Child, way: u32) {
    // SAFETY: the routine takes the number of the event, and the handles are the child's and the new thread's.
    unsafe {
        let kernel = GetModuleHandleW(windows_sys::w!("kernelbase.dll"));
        let routine = GetProcAddress(kernel, windows_sys::s!("CtrlRoutine")).expect("every Windows has it");
        let routine: unsafe extern "system" fn(*mut c_void) -> u32 = std::mem::transmute(routine);
        let (number, process) = (ptr::without_provenance_mut(way as usize), child.as_raw_handle());
        let thread = CreateRemoteThread(process, ptr::null(), 0, Some(routine), number, 0, ptr::null_mut());
        assert!(!thread.is_null(), "{}", std::io::Error::last_os_error());
        CloseHandle(thread);
    }
}

pub fn how_it_ended(status: ExitStatus) -> String {
    status.to_string()
}

/// The processor time that this thread has used.
pub fn processor_time() -> Duration {
    let zero = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let [mut created, mut ended, mut kernel, mut user] = [zero; 4];
    // SAFETY: fills in records of ours.
    let told =
        unsafe { GetThreadTimes(GetCurrentThread(), &raw mut created, &raw mut ended, &raw mut kernel, &raw mut user) };
    assert!(told != 0);
    let tenths = |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    Duration::from_nanos((tenths(kernel) + tenths(user)) * 100)
}

/// The bytes of a segment in the page file that was handed over.
pub struct Bytes {
    start: *mut u8,
    length: usize,
}

impl Bytes {
    pub fn of(shared: OwnedHandle) -> Bytes {
        // SAFETY: the system picks an address where nothing is yet, and fills in a record of ours.
        unsafe {
            let view = MapViewOfFile(shared.as_raw_handle(), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, 0);
            assert!(!view.Value.is_null(), "{}", std::io::Error::last_os_error());
            let mut region: MEMORY_BASIC_INFORMATION = std::mem::zeroed();
            assert!(VirtualQuery(view.Value, &raw mut region, size_of_val(&region)) > 0);
            Bytes { start: view.Value.cast(), length: region.RegionSize }
        }
    }

    pub fn len(&self) -> u64 {
        self.length as u64
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        assert!(at as usize + bytes.len() <= self.length);
        for (nth, byte) in bytes.iter().enumerate() {
            // SAFETY: inside. Others read and write there meanwhile, which is what it is for.
            unsafe { ptr::write_volatile(self.start.add(at as usize + nth), *byte) };
        }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: what `MapViewOfFile` returned.
        unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.start.cast::<c_void>() }) };
    }
}

/// Reads a file's bytes from there on.
pub fn read_at(file: &File, bytes: &mut [u8], at: u64) {
    assert_eq!(file.seek_read(bytes, at).expect("there"), bytes.len());
}

/// Overwrites a file's bytes from there on.
pub fn write_at(file: &File, bytes: &[u8], at: u64) {
    assert_eq!(file.seek_write(bytes, at).expect("written"), bytes.len());
}

/// `Type::from_handle`, which other systems have another word for.
#[allow(unused_macros, reason = "each test binary uses its part")]
macro_rules! handed_over {
    ($type:ty, $shared:expr $(, $more:expr)*) => {
        <$type>::from_handle($shared $(, $more)*)
    };
}
pub(crate) use handed_over;
