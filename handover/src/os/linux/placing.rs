//! Which memory a mapping lies on: NUMA nodes and huge pages.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fs;
use std::io;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::file::kilobytes;
use super::mapping::Mapping;
use crate::os::Refusal;

const NODES: &str = "/sys/devices/system/node";

/// More than the kernel can be built for.
const MOST_NODES: u32 = 1024;

/// How many pages the kernel is asked about at a time.
const PAGES_AT_A_TIME: usize = 4096;

/// How often in a row the kernel may have no huge page before it is not asked for more. It looks through all of memory
/// each time.
const REFUSALS: u32 = 8;

/// Why no memory can be had on that node, if so.
pub(crate) fn unfit_node(node: u32) -> Option<String> {
    let Ok(list) = fs::read_to_string(Path::new(NODES).join("has_memory")) else {
        return Some("this system does not tell NUMA nodes apart; leave the node out".into());
    };
    let list = list.trim();
    if in_list(list, node) {
        return None;
    }
    Some(format!("no memory is on NUMA node {node}; choose one that has some ({list}), or leave it out"))
}

/// Whether a list in the kernel's manner (`0-1,4`) has that number.
fn in_list(list: &str, number: u32) -> bool {
    list.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = first.parse::<u32>().ok().zip(last.parse::<u32>().ok());
        range.is_some_and(|(first, last)| (first..=last).contains(&number))
    })
}

/// The size of a huge page, to which the kernel wants them aligned. None where there are none.
pub(crate) fn huge_page() -> Option<usize> {
    // 0: not asked yet; 1: there are none.
    static SIZE: AtomicUsize = AtomicUsize::new(0);
    let mut size = SIZE.load(Ordering::Relaxed);
    if size == 0 {
        let told = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").ok();
        let told = told.and_then(|text| text.trim().parse::<usize>().ok());
        size = told.filter(|size| size.is_power_of_two()).unwrap_or(1);
        SIZE.store(size, Ordering::Relaxed);
    }
    (size > 1).then_some(size)
}

/// What programs can still get on that node, but for what is swapped out or given back by the kernel itself.
fn available_on(node: u32) -> Option<u64> {
    let report = fs::read_to_string(format!("{NODES}/node{node}/meminfo")).ok()?;
    let prefix = format!("Node {node} ");
    let field = |name| report.lines().find_map(|line| kilobytes(line.strip_prefix(&prefix)?, name));
    Some(field("MemFree")?.saturating_add(field("Active(file)")?).saturating_add(field("Inactive(file)")?))
}

impl Mapping {
    /// Lets the memory that is reserved from now on lie on that node and nowhere else, whoever touches it first.
    ///
    /// The kernel keeps this with the file, as long as that is one in memory.
    pub(crate) fn bind(&self, node: u32) -> Result<(), Refusal> {
        const MPOL_BIND: libc::c_int = 2;
        if available_on(node).is_some_and(|available| self.length() as u64 > available) {
            return Err(Refusal::NoRoom);
        }
        let mut nodes = [0 as libc::c_ulong; MOST_NODES as usize / libc::c_ulong::BITS as usize];
        let word = nodes.get_mut((node / libc::c_ulong::BITS) as usize).ok_or(Refusal::NoRoom)?;
        *word |= 1 << (node % libc::c_ulong::BITS);
        // SAFETY: the range is mapped, and a policy changes nothing in it; the mask has as many bits as are named, of
        // which the kernel leaves out the last.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mbind,
                self.base().as_ptr(),
                self.length(),
                MPOL_BIND,
                nodes.as_ptr(),
                libc::c_ulong::from(MOST_NODES),
                0,
            )
        };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        let why = match error.raw_os_error() {
            Some(libc::ENOSYS) => "this kernel does not tell NUMA nodes apart; leave the node out",
            Some(libc::EPERM) => {
                "the kernel does not let this process choose a NUMA node (in a container, mbind may take SYS_NICE); leave the node out"
            }
            Some(libc::EINVAL) => "this process may not have memory on that NUMA node (see its cpuset); choose another",
            _ => return Err(Refusal::Other(error)),
        };
        Err(Refusal::Other(io::Error::new(error.kind(), why)))
    }

    /// Says, before the memory is reserved, that huge pages are wanted. What the kernel makes of it is up to its settings.
    pub(crate) fn wish_for_huge_pages(&self) {
        let _ = self.advise(0, self.length(), libc::MADV_HUGEPAGE);
    }

    /// Moves memory that is reserved onto huge pages, as much of it as the kernel has some for.
    pub(crate) fn gather_on_huge_pages(&self) {
        let Some(size) = huge_page() else { return };
        let mut refusals = 0;
        for start in (0..self.length()).step_by(size) {
            if self.length() - start < size {
                return;
            }
            let mut tries = 0..3;
            let done = loop {
                match self.advise(start, size, libc::MADV_COLLAPSE) {
                    // Somebody else, the kernel perhaps, was busy with these pages.
                    Err(libc::EAGAIN | libc::EBUSY) if tries.next().is_some() => {}
                    done => break done,
                }
            };
            match done {
                Ok(()) => refusals = 0,
                // The kernel does not know the request, or not for a file like this.
                Err(libc::EINVAL) => return,
                Err(_) => refusals += 1,
            }
            if refusals == REFUSALS {
                return;
            }
        }
    }

    /// How many bytes lie on each node. Nothing where the kernel does not tell.
    pub(crate) fn nodes(&self) -> BTreeMap<u32, u64> {
        let page = rustix::param::page_size();
        let mut nodes = BTreeMap::new();
        for start in (0..self.length()).step_by(page * PAGES_AT_A_TIME) {
            let length = (self.length() - start).min(page * PAGES_AT_A_TIME);
            self.look_at(start, length);
            let pages: Vec<*mut u8> =
                (start..start + length).step_by(page).map(|offset| self.base().as_ptr().wrapping_add(offset)).collect();
            let mut found = vec![-1 as libc::c_int; pages.len()];
            // SAFETY: both lists have as many places as are named. Without nodes to move to, the kernel only looks, and at
            // the addresses alone.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_move_pages,
                    0,
                    pages.len() as libc::c_ulong,
                    pages.as_ptr(),
                    ptr::null::<libc::c_int>(),
                    found.as_mut_ptr(),
                    0,
                )
            };
            if result != 0 {
                return BTreeMap::new();
            }
            // A negative one says why the kernel does not know.
            for node in found.into_iter().filter_map(|node| u32::try_from(node).ok()) {
                *nodes.entry(node).or_default() += page as u64;
            }
        }
        nodes
    }

    /// How many bytes lie on huge pages, as this mapping sees it: it must begin at a multiple of one.
    pub(crate) fn bytes_on_huge_pages(&self) -> u64 {
        self.look_at(0, self.length());
        let first = self.base().as_ptr().addr();
        let mut inside = false;
        let mut bytes = 0;
        for line in fs::read_to_string("/proc/self/smaps").unwrap_or_default().lines() {
            if let Some(start) = line.split_once('-').and_then(|(start, _)| usize::from_str_radix(start, 16).ok()) {
                inside = (first..first + self.length()).contains(&start);
            } else if inside {
                let on_huge_pages = kilobytes(line, "ShmemPmdMapped").or_else(|| kilobytes(line, "FilePmdMapped"));
                bytes += on_huge_pages.unwrap_or(0);
            }
        }
        bytes
    }

    /// Makes the kernel say where these pages are, without reading them here: of a file that is cut off it only refuses.
    fn look_at(&self, start: usize, length: usize) {
        let _ = self.advise(start, length, libc::MADV_POPULATE_READ);
    }

    /// Only for advice that changes no byte. An error is the system's number.
    fn advise(&self, start: usize, length: usize, advice: libc::c_int) -> Result<(), i32> {
        let address = self.base().as_ptr().wrapping_add(start).cast::<c_void>();
        // SAFETY: the range is in the mapping, and the advice says how it is kept, not what is in it.
        let result = unsafe { libc::madvise(address, length, advice) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lists_are_read() {
        for (list, numbers) in [("0", &[0][..]), ("0-2,5", &[0, 1, 2, 5]), ("", &[]), ("7,9-9", &[7, 9])] {
            let found: Vec<u32> = (0..12).filter(|number| in_list(list, *number)).collect();
            assert_eq!(found, numbers, "{list}");
        }
    }
}
