//! What of the machine queues depend on, and whether it is as it should be. On Linux.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{MembarrierQuery, membarrier_query};

use super::words::quoted;
use crate::doctor::Check;
use crate::numbers;
use crate::target::Target;

const FOLDER: &str = "/dev/shm";

/// What there has to be, for whoever finds nothing else that is wrong.
pub(crate) const NEEDS: &str =
    "queues need Linux 3.17 or newer, /proc, and of a container that its profile allows their system calls";

const MIB: u64 = 1 << 20;

/// What keeps the group of its owner, `g`, or all others, `o`, from writing to a segment.
pub(crate) fn how_to_keep_out(whom: char, target: &Target) -> String {
    let file = match target {
        Target::Name(name) => Path::new(FOLDER).join(format!("handover.{name}")),
        Target::File(path) => path.clone(),
    };
    format!("chmod {whom}-w {}", quoted(&file.display().to_string()))
}

/// Whether a file of that length can be tried to be made: where a limit forbids it, the system ends whoever tries.
pub(crate) fn may_make(bytes: u64) -> bool {
    getrlimit(Resource::Fsize).current.is_none_or(|limit| limit >= bytes)
}

/// All that is looked at.
pub(crate) fn checks() -> Vec<Check> {
    let mut all = vec![room(folder_room())];
    all.push(permissions(fs::metadata(FOLDER).ok().map(|folder| folder.mode())));
    let limit = |resource| getrlimit(resource).current;
    all.push(open_files(limit(Resource::Nofile)));
    all.push(size_limit("file size", "-f", limit(Resource::Fsize)));
    all.push(size_limit("address space", "-v", limit(Resource::As)));
    all.push(match limit(Resource::Memlock) {
        Some(bytes) => Check::well("memory lock", format!("at most {}; queues lock none", numbers::bytes(bytes))),
        None => Check::well("memory lock", "no limit"),
    });
    all.push(memory_limit(group_memory()));
    all.push(barrier(membarrier_query().contains(MembarrierQuery::GLOBAL_EXPEDITED)));
    all.push(clock(&told("/sys/devices/system/clocksource/clocksource0/current_clocksource")));
    all.push(huge_pages(&chosen(&told("/sys/kernel/mm/transparent_hugepage/shmem_enabled"))));
    all.push(nodes(&told("/sys/devices/system/node/has_memory")));
    all
}

fn told(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Of several words, the one in brackets.
fn chosen(words: &str) -> String {
    words.split(['[', ']']).nth(1).unwrap_or_default().to_owned()
}

struct Room {
    bytes: u64,
    free: u64,
    free_files: u64,
}

fn folder_room() -> Option<Room> {
    let found = statvfs(FOLDER).ok()?;
    Some(Room {
        bytes: found.f_blocks.saturating_mul(found.f_frsize),
        free: found.f_bavail.saturating_mul(found.f_frsize),
        // A file system that counts none has no limit.
        free_files: if found.f_files == 0 { u64::MAX } else { found.f_favail },
    })
}

fn room(found: Option<Room>) -> Check {
    let about = "shared memory";
    let Some(Room { bytes, free, free_files }) = found else {
        return Check::wrong("no-shared-memory", about, format!("{FOLDER} can't be looked at"))
            .meaning("Queues that have names are files there.")
            .remedy(format!("mount -t tmpfs tmpfs {FOLDER}"));
    };
    let told = format!("{FOLDER} has {}, of which {} are free", numbers::bytes(bytes), numbers::bytes(free));
    let larger = format!("mount -o remount,size={}G {FOLDER}", (bytes * 2).div_ceil(1024 * MIB));
    if free < (bytes / 20).min(64 * MIB) || free_files == 0 {
        Check::wrong("no-room", about, told)
            .meaning("New queues are refused for want of memory. Those that are there have theirs.")
            .remedy(format!("{larger} (of a container: docker run --shm-size=1g), or remove queues: handover ls"))
    } else if bytes <= 64 * MIB {
        Check::note("little-room", about, told)
            .meaning("That is what containers are given if nothing is said. Large queues will not fit.")
            .remedy(format!("{larger} (of a container: docker run --shm-size=1g)"))
    } else {
        Check::well(about, told)
    }
}

fn permissions(mode: Option<u32>) -> Check {
    let about = "permissions";
    match mode {
        Some(mode) if mode & 0o1002 == 0o002 => {
            Check::wrong("folder-not-sticky", about, format!("anybody may remove anybody's files in {FOLDER}"))
                .meaning("Another user can remove your queues, and put others in their place.")
                .remedy(format!("chmod +t {FOLDER}"))
        }
        Some(mode) => Check::well(about, format!("{FOLDER} has mode {:04o}", mode & 0o7777)),
        None => Check::well(about, "none to look at"),
    }
}

fn open_files(limit: Option<u64>) -> Check {
    let about = "open files";
    match limit {
        None => Check::well(about, "no limit"),
        Some(files) if files < 256 => Check::wrong("few-open-files", about, format!("at most {files} in a process"))
            .meaning("A process has one open for each queue that it uses.")
            .remedy("ulimit -n 4096"),
        Some(files) => Check::well(about, format!("at most {files} in a process")),
    }
}

fn size_limit(about: &'static str, option: &str, limit: Option<u64>) -> Check {
    let Some(bytes) = limit else { return Check::well(about, "no limit") };
    let told = format!("at most {}", numbers::bytes(bytes));
    let unlimited = format!("ulimit {option} unlimited");
    let code = if option == "-f" { "file-size-limit" } else { "address-space-limit" };
    if bytes < 64 * MIB {
        Check::wrong(code, about, told).meaning("A larger queue can't be made, or not be opened.").remedy(unlimited)
    } else {
        Check::note(code, about, told).meaning("No queue can be larger.").remedy(unlimited)
    }
}

/// How much memory this group of processes may have, and has.
fn group_memory() -> Option<(u64, u64)> {
    let group = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = group.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let number = |folder: &Path, file| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    // The tightest of its own and of those it is in.
    let limits = root
        .join(path)
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(|folder| {
            let (most, now) = (number(folder, "memory.max")?, number(folder, "memory.current")?);
            // What is a copy of a disk's is given back when it is wanted.
            let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
            let files = ["inactive_file ", "active_file "]
                .map(|name| stat.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok()).unwrap_or(0));
            Some((most, now.saturating_sub(files.iter().sum())))
        })
        .collect::<Vec<_>>();
    limits.into_iter().min_by_key(|(most, now)| most.saturating_sub(*now))
}

fn memory_limit(limit: Option<(u64, u64)>) -> Check {
    let about = "memory";
    let Some((most, now)) = limit else { return Check::well(about, "no limit for these processes") };
    let told =
        format!("at most {} for these processes, of which {} are taken", numbers::bytes(most), numbers::bytes(now));
    if now > most / 10 * 9 {
        Check::wrong("memory-nearly-taken", about, told)
            .meaning("Queues count among it. When it is all taken, the system kills one of them.")
            .remedy("raise memory.max of the control group (of a container: docker update --memory), or make queues smaller")
    } else {
        Check::well(about, told)
    }
}

fn barrier(there: bool) -> Check {
    let about = "membarrier";
    if there {
        return Check::well(about, "there");
    }
    Check::note("no-membarrier", about, "not there")
        .meaning("Broadcasts, and queues for one producer and one consumer, are slower.")
        .remedy("let processes make the system call membarrier (a container's seccomp profile may forbid it)")
}

fn clock(source: &str) -> Check {
    let about = "clock";
    match source {
        "" => Check::well(about, "the system does not say which"),
        "hpet" | "acpi_pm" | "jiffies" | "refined-jiffies" | "pit" => {
            Check::wrong("slow-clock", about, format!("the time is taken from {source}"))
                .meaning("To ask for the time takes a microsecond or more, and whoever waits does so often.")
                .remedy("echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource, if available_clocksource beside it has it")
        }
        fast => Check::well(about, fast),
    }
}

fn huge_pages(setting: &str) -> Check {
    let about = "huge pages";
    match setting {
        "" => Check::well(about, "the system has none for shared memory"),
        "deny" => Check::note("huge-pages-denied", about, "denied for shared memory")
            .meaning("Queues that are made with --huge get none.")
            .remedy("echo never > /sys/kernel/mm/transparent_hugepage/shmem_enabled (then they do, and nobody else)"),
        _ => Check::well(about, "for those who ask (handover create --huge)"),
    }
}

fn nodes(list: &str) -> Check {
    let about = "NUMA nodes";
    match list {
        "" => Check::well(about, "the system does not tell them apart"),
        one if !one.contains([',', '-']) => Check::well(about, "one"),
        some => Check::well(about, format!("{some} have memory (handover create --numa NODE)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(check: &Check) -> &str {
        check.code.unwrap_or("well")
    }

    #[test]
    fn room_is_judged_by_what_is_free() {
        let judged = |bytes, free, free_files| room(Some(Room { bytes, free, free_files }));
        assert_eq!(code(&judged(1 << 34, 1 << 33, 9)), "well");
        assert_eq!(code(&judged(1 << 34, 1 << 20, 9)), "no-room");
        assert_eq!(code(&judged(1 << 34, 1 << 33, 0)), "no-room");
        assert_eq!(code(&judged(64 * MIB, 64 * MIB, 9)), "little-room");
        assert_eq!(code(&judged(64 * MIB, MIB, 9)), "no-room");
        assert_eq!(code(&room(None)), "no-shared-memory");
    }

    #[test]
    fn what_the_machine_lacks_is_told_by_its_code() {
        for (check, expected) in [
            (permissions(Some(0o41777)), "well"),
            (permissions(Some(0o40777)), "folder-not-sticky"),
            (permissions(Some(0o40755)), "well"),
            (memory_limit(Some((1000, 950))), "memory-nearly-taken"),
            (memory_limit(Some((1000, 500))), "well"),
            (memory_limit(None), "well"),
            (barrier(false), "no-membarrier"),
            (clock("hpet"), "slow-clock"),
            (clock("kvm-clock"), "well"),
            (huge_pages("deny"), "huge-pages-denied"),
            (huge_pages(&chosen("always within_size advise [never] deny force")), "well"),
            (nodes("0-1"), "well"),
            (open_files(Some(64)), "few-open-files"),
            (size_limit("file size", "-f", Some(MIB)), "file-size-limit"),
        ] {
            assert_eq!(code(&check), expected);
        }
    }
}
