//! Shared memory on its own, as users see it.

mod common;

use std::env;
#[cfg(unix)]
use std::fs::Permissions;
use std::fs::{self, File};
use std::io::Write;
#[cfg(unix)]
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{handed_over, write_at};
use handover::{Error, ReadOnlyMemory, SharedMemory};

/// A name of its own for each test, free before and after.
struct Name(String);

impl Name {
    fn new(test: &str) -> Name {
        Name(format!("test-{test}-{}", process::id()))
    }

    /// Where it is, or a file beside where names are no files.
    fn path(&self) -> PathBuf {
        if cfg!(windows) {
            return env::temp_dir().join(&self.0);
        }
        PathBuf::from(format!("/dev/shm/handover.{}", self.0))
    }

    /// Puts a file with that content where the segment would be, and opens that.
    fn open_with(&self, content: &[u8]) -> Result<SharedMemory, Error> {
        fs::write(self.path(), content).unwrap();
        self.open_file()
    }

    fn open_file(&self) -> Result<SharedMemory, Error> {
        if cfg!(windows) { SharedMemory::open_at(self.path()) } else { SharedMemory::open(&self.0) }
    }

    fn create_file(&self, bytes: usize) -> Result<SharedMemory, Error> {
        if cfg!(windows) { SharedMemory::create_at(self.path(), bytes) } else { SharedMemory::create(&self.0, bytes) }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

/// A folder of its own for each test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = env::temp_dir().join(format!("handover-test-{test}-{}", process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PART: &str = "HANDOVER_SEGMENT_TEST";

/// What to work on, if this process is the one that a test started.
fn part() -> Option<String> {
    env::var(PART).ok()
}

/// This program again, running the same test in another process.
fn other_process(test: &str, part: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(common::program());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(PART, part);
    command.stdout(Stdio::null());
    command
}

/// The header of a good segment of plain memory, made by hand from the description of the format.
fn header(body: u64) -> Vec<u8> {
    let mut bytes = b"HANDOVER".to_vec();
    for number in [1, 0x0102_0304, 0, 0_u32] {
        bytes.extend(number.to_ne_bytes());
    }
    for number in [body, 0, 0, 0, 0, 0, 4096, 4096 + body] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend([0; 8]);
    sealed(bytes)
}

/// With the checksum that belongs to it.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in &bytes[..88] {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    bytes[88..96].copy_from_slice(&sum.to_ne_bytes());
    bytes
}

/// A whole segment with that header.
fn segment(mut header: Vec<u8>, body: usize) -> Vec<u8> {
    header.resize(4096 + body, 0);
    header
}

#[test]
fn a_second_creation_of_one_name_is_refused() {
    let name = Name::new("second");
    let first = SharedMemory::create(&name.0, 100).unwrap();
    first.view::<u8>(99).unwrap().set(0, &5);
    assert!(matches!(SharedMemory::create(&name.0, 200), Err(Error::AlreadyExists { .. })));
    assert_eq!(first.view::<u8>(99).unwrap().get(0), 5);
    assert_eq!(SharedMemory::open(&name.0).unwrap().len(), 100);
    SharedMemory::remove(&name.0).unwrap();
    assert_eq!(SharedMemory::create(&name.0, 200).unwrap().len(), 200);
}

#[test]
fn of_many_who_create_one_name_at_once_one_succeeds() {
    let name = Name::new("at-once");
    for _ in 0..50 {
        let create = || SharedMemory::create(&name.0, 100).ok();
        let made: Vec<SharedMemory> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(create)).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made.len(), 1);
        SharedMemory::remove(&name.0).unwrap();
    }
}

#[test]
fn what_another_process_wrote_is_read() {
    if let Some(name) = part() {
        let memory = SharedMemory::open(&name).unwrap();
        memory.view_slice::<u32>(8, 3).unwrap().write_from(&[1, 2, 3]);
        memory.atomic_u64(24).unwrap().fetch_add(40, Ordering::SeqCst);
        return;
    }
    let name = Name::new("other");
    let memory = SharedMemory::create(&name.0, 64).unwrap();
    memory.atomic_u64(24).unwrap().store(2, Ordering::SeqCst);
    assert!(other_process("what_another_process_wrote_is_read", &name.0).status().unwrap().success());
    let mut values = [0; 3];
    memory.view_slice::<u32>(8, 3).unwrap().read_into(&mut values);
    assert_eq!(values, [1, 2, 3]);
    assert_eq!(memory.view::<u64>(24).unwrap().get(0), 42);
    assert_eq!(memory.view::<u64>(0).unwrap().get(0), 0);
}

#[test]
fn anonymous_memory_is_shared_by_what_stands_for_it() {
    if part().is_some() {
        handed_over!(SharedMemory, std::io::stdin()).unwrap().view::<u16>(0).unwrap().set(0, &77);
        return;
    }
    let memory = SharedMemory::anonymous(10).unwrap();
    let mut child = other_process("anonymous_memory_is_shared_by_what_stands_for_it", "");
    assert!(child.stdin(memory.share().unwrap()).status().unwrap().success());
    assert_eq!(memory.view::<u16>(0).unwrap().get(0), 77);
}

#[test]
#[cfg(unix)] // elsewhere it is no file
fn nobody_can_cut_anonymous_memory_off() {
    let memory = SharedMemory::anonymous(10_000).unwrap();
    let file = File::from(memory.share().unwrap());
    assert!(file.set_len(4096).is_err() && file.set_len(1 << 20).is_err());
    memory.view::<u8>(9_999).unwrap().set(0, &1);
}

#[test]
fn a_descriptor_of_something_else_is_refused() {
    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(matches!(handed_over!(SharedMemory, &reader), Err(Error::NotASegment { .. })));
    #[cfg(unix)]
    let device = File::open("/dev/zero").unwrap();
    #[cfg(windows)]
    let device = File::open("NUL").unwrap();
    assert!(matches!(handed_over!(ReadOnlyMemory, &device), Err(Error::NotASegment { .. })));
    let program = File::open(env::current_exe().unwrap()).unwrap();
    assert!(matches!(handed_over!(ReadOnlyMemory, &program), Err(Error::NotASegment { .. })));
}

#[test]
fn what_is_missing_is_not_found() {
    let name = Name::new("missing");
    assert!(matches!(SharedMemory::open(&name.0), Err(Error::NotFound { .. })));
    assert!(matches!(ReadOnlyMemory::open(&name.0), Err(Error::NotFound { .. })));
    assert!(matches!(SharedMemory::remove(&name.0), Err(Error::NotFound { .. })));
    let nowhere = if cfg!(windows) { r"C:\nowhere\at\all" } else { "/nowhere/at/all" };
    assert!(matches!(SharedMemory::open_at(nowhere), Err(Error::NotFound { .. })));
    let refused = SharedMemory::create_at(nowhere, 10).unwrap_err();
    assert!(refused.to_string().contains("nowhere"), "{refused}");
    assert!(matches!(refused, Error::NotFound { place } if place.starts_with("the folder ") && place.ends_with("at")));
}

#[test]
fn a_handmade_segment_is_opened() {
    let name = Name::new("handmade");
    let memory = name.open_with(&segment(header(100), 100)).unwrap();
    assert_eq!(memory.len(), 100);
    assert!(!memory.is_empty());
}

#[test]
fn a_file_that_is_no_segment_is_refused() {
    let name = Name::new("foreign");
    for content in [&b""[..], b"#!/bin/sh\n", &[0; 5000], b"handover"] {
        let refused = name.open_with(content).unwrap_err();
        assert!(matches!(refused, Error::NotASegment { .. }), "{refused}");
    }
}

#[test]
fn a_segment_of_another_version_is_refused() {
    let name = Name::new("version");
    let mut bytes = header(100);
    bytes[8..12].copy_from_slice(&7_u32.to_ne_bytes());
    let refused = name.open_with(&segment(bytes, 100)).unwrap_err();
    assert!(matches!(refused, Error::Version { found: 7, supported: 1, .. }), "{refused}");
}

#[test]
fn a_segment_of_the_other_byte_order_is_refused() {
    let name = Name::new("order");
    let mut bytes = header(100);
    bytes[8..16].reverse();
    bytes[8..16].rotate_left(4);
    let refused = name.open_with(&segment(bytes, 100)).unwrap_err();
    assert!(matches!(refused, Error::ByteOrder { .. }), "{refused}");
}

#[test]
fn a_truncated_segment_is_refused() {
    let name = Name::new("short");
    let whole = segment(header(100), 100);
    for length in [1, 8, 95, 96, 4096, 4195] {
        let refused = name.open_with(&whole[..length]).unwrap_err();
        assert!(matches!(refused, Error::Truncated { found, .. } if found == length as u64), "{refused}");
    }
}

#[test]
fn a_corrupt_header_is_refused() {
    let name = Name::new("corrupt");
    let mut scribbled = header(100);
    scribbled[30] ^= 1;
    let refused = name.open_with(&segment(scribbled, 100)).unwrap_err();
    assert!(matches!(refused, Error::CorruptHeader { .. }), "{refused}");

    // With the right checksum, so that only the bounds can refuse it.
    for (offset, number) in [(80, u64::MAX), (80, 0), (80, 4095), (72, 0), (16, 99)] {
        let mut forged = header(100);
        forged[offset..offset + 8].copy_from_slice(&number.to_ne_bytes());
        let refused = name.open_with(&segment(sealed(forged), 100)).unwrap_err();
        assert!(matches!(refused, Error::CorruptHeader { .. }), "{offset} {refused}");
    }
}

#[test]
fn a_queue_is_not_plain_memory() {
    let name = Name::new("queue");
    let mut bytes = header(100);
    bytes[16..20].copy_from_slice(&1_u32.to_ne_bytes());
    let refused = name.open_with(&segment(sealed(bytes), 100)).unwrap_err();
    assert!(matches!(refused, Error::Kind { found: "queue", wanted: "plain memory", .. }), "{refused}");
}

#[test]
fn a_header_that_is_written_over_harms_nobody_who_has_the_segment_open() {
    let name = Name::new("scribbled");
    let memory = name.create_file(100).unwrap();
    write_at(&File::options().write(true).open(name.path()).unwrap(), &[0xff; 4096], 0);
    assert_eq!(memory.len(), 100);
    assert!(memory.view::<u8>(100).is_err());
    assert!(matches!(name.open_file(), Err(Error::NotASegment { .. })));
}

#[test]
fn names_that_are_none_are_refused() {
    for name in ["", "a/b", "../x", "a\0b", ".hidden", &"x".repeat(201)] {
        assert!(matches!(SharedMemory::create(name, 10), Err(Error::Name { .. })), "{name:?}");
        assert!(matches!(SharedMemory::open(name), Err(Error::Name { .. })), "{name:?}");
        assert!(matches!(ReadOnlyMemory::open(name), Err(Error::Name { .. })), "{name:?}");
        assert!(matches!(SharedMemory::remove(name), Err(Error::Name { .. })), "{name:?}");
    }
    for path in ["", "/", "/tmp/.."] {
        assert!(matches!(SharedMemory::create_at(path, 10), Err(Error::Name { .. })), "{path:?}");
    }
}

#[test]
fn the_longest_name_works() {
    let mut name = Name::new("longest");
    name.0 = format!("{:x<200}", name.0);
    let _kept = cfg!(windows).then_some(SharedMemory::create(&name.0, 10).unwrap());
    SharedMemory::remove(&name.0).unwrap();
}

#[test]
fn sizes_that_can_not_be_are_refused() {
    let name = Name::new("sizes");
    for bytes in [0, usize::MAX, usize::MAX - 4095, isize::MAX as usize] {
        let refused = SharedMemory::create(&name.0, bytes).unwrap_err();
        assert!(matches!(refused, Error::Unfit { .. }), "{bytes}: {refused}");
        assert!(matches!(SharedMemory::anonymous(bytes), Err(Error::Unfit { .. })));
    }
    assert!(!name.path().exists());
}

#[test]
#[cfg(unix)] // asks the file system how much that is
fn more_than_there_is_room_for_is_refused_at_creation() {
    let room = rustix::fs::statvfs("/dev/shm").unwrap();
    let Some(too_much) = (room.f_blocks * room.f_frsize + 1).try_into().ok().filter(|_| room.f_blocks > 0) else {
        return; // without a limit, or with more than a process can ask for
    };
    let name = Name::new("room");
    let refused = SharedMemory::create(&name.0, too_much).unwrap_err();
    assert!(matches!(refused, Error::NoMemory { bytes, .. } if bytes > too_much as u64), "{refused}");
    assert!(!name.path().exists());
    // No file system says how much this one can have. Nobody must die for it.
    assert!(matches!(SharedMemory::anonymous(1 << (usize::BITS - 3)), Err(Error::NoMemory { .. })));
}

#[test]
#[cfg(unix)] // asks the file system
fn memory_is_reserved_at_creation() {
    let name = Name::new("reserved");
    let _memory = SharedMemory::create(&name.0, 1 << 20).unwrap();
    assert!(name.path().metadata().unwrap().blocks() * 512 >= 1 << 20);
}

#[test]
#[cfg(unix)] // becomes another user
fn who_lacks_the_permission_is_told_so() {
    if let Some(folder) = part() {
        become_nobody();
        let file = Path::new(&folder).join("closed");
        assert!(matches!(SharedMemory::open_at(&file), Err(Error::Permission { doing: "open", .. })));
        assert!(matches!(ReadOnlyMemory::open_at(&file), Err(Error::Permission { doing: "open", .. })));
        assert!(matches!(SharedMemory::remove_at(&file), Err(Error::Permission { doing: "remove", .. })));
        let new = Path::new(&folder).join("new");
        assert!(matches!(SharedMemory::create_at(new, 10), Err(Error::Permission { doing: "create", .. })));
        return;
    }
    let folder = Folder::new("permission");
    SharedMemory::create_at(folder.file("closed"), 10).unwrap();
    fs::set_permissions(folder.file("closed"), Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(&folder.0, Permissions::from_mode(0o555)).unwrap();
    let status = other_process("who_lacks_the_permission_is_told_so", &folder.0).status().unwrap();
    fs::set_permissions(&folder.0, Permissions::from_mode(0o755)).unwrap();
    assert!(status.success());
}

#[test]
#[cfg(unix)] // becomes another user
fn permission_to_read_is_enough_for_reading() {
    if let Some(file) = part() {
        become_nobody();
        assert_eq!(ReadOnlyMemory::open_at(&file).unwrap().view::<u64>(0).unwrap().get(0), 12);
        let readable = File::open(&file).unwrap();
        assert_eq!(ReadOnlyMemory::from_fd(&readable).unwrap().len(), 10);
        assert!(matches!(SharedMemory::open_at(&file), Err(Error::Permission { doing: "open", .. })));
        assert!(matches!(SharedMemory::from_fd(&readable), Err(Error::Permission { doing: "open", .. })));
        return;
    }
    let folder = Folder::new("reader");
    let file = folder.file("memory");
    let memory = SharedMemory::create_at(&file, 10).unwrap();
    memory.view::<u64>(0).unwrap().set(0, &12);
    fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
    assert!(other_process("permission_to_read_is_enough_for_reading", &file).status().unwrap().success());
}

/// A user whom permissions bind, which they don't the superuser.
#[cfg(unix)]
fn become_nobody() {
    // SAFETY: changes no memory; the C library does it for all threads.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
        }
    }
}

#[test]
#[cfg(unix)] // elsewhere a mode becomes a list of who is let in
fn the_mode_is_0600_whatever_the_mask() {
    if let Some(name) = part() {
        for mask in [0, 0o777] {
            // SAFETY: changes no memory.
            unsafe { libc::umask(mask) };
            let _memory = SharedMemory::create(&name, 10).unwrap();
            let mode = Path::new(&format!("/dev/shm/handover.{name}")).metadata().unwrap().mode();
            assert_eq!(mode & 0o7777, 0o600);
            SharedMemory::remove(&name).unwrap();
        }
        return;
    }
    let name = Name::new("mode");
    assert!(other_process("the_mode_is_0600_whatever_the_mask", &name.0).status().unwrap().success());
}

#[test]
#[cfg(unix)] // elsewhere a privilege is needed to make one
fn a_symbolic_link_is_not_followed() {
    let folder = Folder::new("link");
    let (file, link, dangling) = (folder.file("file"), folder.file("link"), folder.file("dangling"));
    SharedMemory::create_at(&file, 10).unwrap();
    symlink(&file, &link).unwrap();
    assert!(matches!(SharedMemory::open_at(&link), Err(Error::NotASegment { .. })));
    assert!(matches!(ReadOnlyMemory::open_at(&link), Err(Error::NotASegment { .. })));
    symlink(folder.file("target"), &dangling).unwrap();
    assert!(matches!(SharedMemory::create_at(&dangling, 10), Err(Error::AlreadyExists { .. })));
    assert!(!folder.file("target").exists());
    SharedMemory::remove_at(&link).unwrap();
    assert!(file.exists() && !link.is_symlink());
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
    let folder = Folder::new("odd");
    #[cfg(unix)]
    let pipe = folder.file("pipe");
    #[cfg(unix)]
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    #[cfg(windows)]
    let pipe = PathBuf::from("NUL");
    for odd in [&pipe, &folder.0] {
        assert!(matches!(SharedMemory::open_at(odd), Err(Error::NotASegment { .. })), "{odd:?}");
        assert!(matches!(ReadOnlyMemory::open_at(odd), Err(Error::NotASegment { .. })), "{odd:?}");
    }
}

#[test]
fn a_view_beyond_the_end_is_refused() {
    let memory = SharedMemory::anonymous(24).unwrap();
    assert!(memory.view_slice::<u64>(0, 3).is_ok());
    assert!(memory.view_slice::<u64>(24, 0).is_ok());
    for (offset, count) in [(0, 4), (8, 3), (24, 1), (32, 0), (0, usize::MAX), (usize::MAX - 7, 1), (8, usize::MAX / 8)]
    {
        let refused = memory.view_slice::<u64>(offset, count).map(drop);
        assert!(matches!(refused, Err(Error::OutOfBounds { .. })), "{offset} {count}");
    }
    assert!(matches!(memory.atomic_u64(24), Err(Error::OutOfBounds { .. })));
    assert!(matches!(memory.atomic_u32(24), Err(Error::OutOfBounds { .. })));
    assert!(memory.atomic_u32(20).is_ok());
}

#[test]
fn a_view_that_is_not_aligned_is_refused() {
    let memory = SharedMemory::anonymous(64).unwrap();
    for offset in 1..8 {
        assert!(matches!(memory.view::<u64>(offset), Err(Error::OutOfBounds { .. })) || align_of::<u64>() < 8);
        assert!(matches!(memory.atomic_u64(offset), Err(Error::OutOfBounds { .. })));
        assert!(memory.view::<u8>(offset).is_ok());
        assert!(memory.view::<[u8; 8]>(offset).is_ok());
    }
}

#[test]
fn an_index_beyond_the_view_panics_as_a_slice_does() {
    let memory = SharedMemory::anonymous(64).unwrap();
    let view = memory.view_slice::<u32>(4, 2).unwrap();
    assert_eq!((view.len(), view.is_empty()), (2, false));
    let panics = |f: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
    assert!(panics(&|| _ = view.get(2)));
    assert!(panics(&|| view.set(usize::MAX, &1)));
    assert!(panics(&|| view.write_from(&[1; 3])));
    assert!(panics(&|| view.read_into(&mut [0; 1])));
    assert_eq!(memory.view_slice::<u32>(0, 16).unwrap().get(3), 0);
}

#[test]
fn removed_memory_stays_with_those_who_have_it() {
    let name = Name::new("removed");
    let memory = SharedMemory::create(&name.0, 10).unwrap();
    let reader = ReadOnlyMemory::open(&name.0).unwrap();
    SharedMemory::remove(&name.0).unwrap();
    memory.view::<u8>(3).unwrap().set(0, &8);
    assert_eq!(reader.view::<u8>(3).unwrap().get(0), 8);
    let again = handed_over!(SharedMemory, memory.share().unwrap()).unwrap();
    assert_eq!(again.view::<u8>(3).unwrap().get(0), 8);
    assert!(matches!(SharedMemory::open(&name.0), Err(Error::NotFound { .. })));
}

#[test]
fn memory_is_a_file_wherever_it_was_asked_for() {
    let folder = Folder::new("path");
    let file = folder.file("memory");
    let memory = SharedMemory::create_at(&file, 100).unwrap();
    memory.view::<u8>(0).unwrap().set(0, &1);
    assert_eq!(SharedMemory::open_at(&file).unwrap().view::<u8>(0).unwrap().get(0), 1);
    assert_eq!(ReadOnlyMemory::open_at(&file).unwrap().len(), 100);
    SharedMemory::remove_at(&file).unwrap();
    assert!(!file.exists());
}

#[test]
fn messages_say_what_was_tried_and_what_to_do() {
    let name = Name::new("words");
    let message = SharedMemory::open(&name.0).unwrap_err().to_string();
    assert!(message.starts_with(&format!("segment \"{}\": does not exist; ", name.0)), "{message}");
    let memory = SharedMemory::anonymous(8).unwrap();
    let message = memory.view::<u64>(8).unwrap_err().to_string();
    assert_eq!(message, "anonymous segment: 1 times 8 bytes at 8 asked for, of 8; stay inside");
}

#[test]
fn a_killed_creator_leaves_the_whole_segment_or_nothing() {
    if let Some(name) = part() {
        std::io::stderr().write_all(b".").unwrap();
        loop {
            let _kept = cfg!(windows).then_some(SharedMemory::create(&name, 100_000).unwrap());
            SharedMemory::remove(&name).unwrap();
        }
    }
    let name = Name::new("killed");
    let (mut whole, mut nothing) = (0, 0);
    for round in 0..100 {
        let mut command = other_process("a_killed_creator_leaves_the_whole_segment_or_nothing", &name.0);
        let mut child: Child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut begun = [0];
        std::io::Read::read_exact(child.stderr.as_mut().unwrap(), &mut begun).unwrap();
        // Anywhere in a loop that takes some tens of microseconds.
        std::thread::sleep(Duration::from_nanos(200_000 + round * 7_919));
        child.kill().unwrap();
        child.wait().unwrap();
        match SharedMemory::open(&name.0) {
            Ok(memory) => {
                assert_eq!(memory.len(), 100_000);
                whole += 1;
                SharedMemory::remove(&name.0).unwrap();
            }
            Err(Error::NotFound { .. }) => nothing += 1,
            Err(other) => panic!("{other}"),
        }
        let debris = fs::read_dir(name.path().parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
        let debris: Vec<_> = debris.filter(|file| file.to_string_lossy().contains(&name.0)).collect();
        assert!(debris.is_empty(), "{debris:?}");
    }
    eprintln!("killed with the whole segment there {whole} times, with nothing {nothing} times");
}
