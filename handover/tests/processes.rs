//! The queue between processes: how it is made, found, handed over and removed, and each bad input's error.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
#[cfg(unix)]
use std::os::{fd::OwnedFd, unix::net::UnixStream};
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;

use common::{Child, Name, eventually, handed_over, heard, program, read_at, say, task, write_at};
use handover::zerocopy::{FromBytes, Immutable, IntoBytes};
use handover::{Error, Kind, NamedSegment, Options, Queue, SharedMemory, broadcast, tasks};

#[derive(FromBytes, IntoBytes, Immutable, Debug, PartialEq, Clone, Copy)]
#[repr(C)]
struct Quote {
    symbol: [u8; 8],
    price: i64,
    size: u64,
}

#[test]
fn child() {
    let Some((task, words)) = task() else { return };
    match task.as_str() {
        "echo" => {
            let (there, back) = (Queue::<Quote>::open(&words[0]), Queue::<Quote>::open(&words[1]));
            let mut consumer = there.expect("made").consumer().expect("room for a member");
            let mut producer = back.expect("made").producer().expect("room for a member");
            for quote in consumer.messages() {
                producer.push(quote.expect("well")).expect("room");
            }
            producer.close();
        }
        "push-to-stdin" => {
            let queue = handed_over!(Queue::<u64>, std::io::stdin()).expect("a queue was handed over");
            queue.producer().expect("room for a member").push_batch([1, 2, 3]).expect("room");
        }
        #[cfg(unix)]
        "push-to-socket" => {
            use std::os::fd::FromRawFd;
            // SAFETY: the parent made this descriptor the child's standard input.
            let socket = unsafe { UnixStream::from_raw_fd(0) };
            let queue = Queue::<u64>::from_fd(receive_descriptor(&socket)).expect("a queue was sent");
            queue.producer().expect("room for a member").push_batch([4, 5, 6]).expect("room");
        }
        "create" => {
            let made = Options::new(4).create::<u64>(&words[0]);
            say(match &made {
                Ok(_) => "made",
                Err(Error::AlreadyExists { .. }) => "refused",
                Err(error) => panic!("{error}"),
            });
            heard();
        }
        other => panic!("no such task: {other}"),
    }
}

/// Sends a descriptor over a socket, with one byte.
#[cfg(unix)]
fn send_descriptor(socket: &UnixStream, descriptor: &OwnedFd) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut buffer = SendAncillaryBuffer::new(&mut space);
    let descriptors = [std::os::fd::AsFd::as_fd(descriptor)];
    assert!(buffer.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(socket, &[std::io::IoSlice::new(b"q")], &mut buffer, SendFlags::empty()).expect("sent");
}

#[cfg(unix)]
fn receive_descriptor(socket: &UnixStream) -> OwnedFd {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut buffer = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [std::io::IoSliceMut::new(&mut byte)], &mut buffer, RecvFlags::empty()).expect("received");
    let received = buffer.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    received.expect("a descriptor came with the byte")
}

/// A path in the temporary folder, removed when this goes.
struct Path(PathBuf);

impl Path {
    fn new(what: &str) -> Path {
        Path(std::env::temp_dir().join(format!("handover-test-{what}-{}", process::id())))
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn plain_data_goes_to_another_process_and_back() {
    let (there, back) = (Name::new(), Name::new());
    let going = Options::new(3).create::<Quote>(&there).expect("a new name");
    let coming = Options::new(3).one_producer().one_consumer().create::<Quote>(&back).expect("a new name");
    let child = Child::start(&format!("echo {} {}", &*there, &*back));
    let mut producer = going.producer().expect("one");
    let quote = |number: u64| Quote { symbol: *b"HAND\0\0\0\0", price: -(number as i64), size: number };
    let sender = thread::spawn(move || {
        producer.push_batch((0..500).map(quote)).expect("room");
        producer.close();
    });
    let all: Result<Vec<Quote>, Error> = coming.consumer().expect("one").messages().collect();
    assert_eq!(all.expect("well"), (0..500).map(quote).collect::<Vec<_>>());
    sender.join().expect("sent");
    child.finish();
}

#[test]
fn an_anonymous_queue_is_handed_over_inherited_or_sent() {
    let queue = Options::new(8).anonymous::<u64>().expect("memory");
    let run = |task: &str, stdin: Stdio| {
        let mut child = Command::new(program())
            .args(["child", "--exact", "--nocapture"])
            .env("HANDOVER_TEST_CHILD", task)
            .stdin(stdin)
            .stdout(Stdio::null())
            .spawn()
            .expect("the test binary starts");
        assert!(child.wait().expect("it ends").success());
    };
    run("push-to-stdin", Stdio::from(queue.share().expect("shared")));
    let pushed: Vec<u64> = (1..=if cfg!(unix) { 6 } else { 3 }).collect();
    #[cfg(unix)] // elsewhere sockets carry bytes alone
    {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        send_descriptor(&ours, &queue.share().expect("shared"));
        run("push-to-socket", Stdio::from(OwnedFd::from(theirs)));
    }
    let mut consumer = queue.consumer().expect("one");
    let got: Vec<u64> = std::iter::from_fn(|| consumer.try_pop().ok()).collect();
    assert_eq!(got, pushed);
}

#[test]
fn a_queue_can_lie_in_a_file_of_the_users_choice() {
    let path = Path::new("file");
    let queue = Options::new(8).create_at::<u64>(&path.0).expect("a new file");
    queue.producer().expect("one").push(7).expect("room");
    drop(queue);
    let queue = Queue::<u64>::open_at(&path.0).expect("it stays");
    assert_eq!(queue.consumer().expect("one").pop().expect("it"), 7);
    assert!(matches!(Options::new(8).create_at::<u64>(&path.0), Err(Error::AlreadyExists { .. })));
    handover::remove_at(&path.0).expect("there");
    assert!(matches!(Queue::<u64>::open_at(&path.0), Err(Error::NotFound { .. })));
}

#[test]
fn bytes_of_any_length_up_to_the_maximum() {
    for options in [Options::new(2), Options::new(2).one_producer().one_consumer()] {
        let queue = options.message_max(10).anonymous::<[u8]>().expect("memory");
        let (mut producer, mut consumer) = (queue.producer().expect("one"), queue.consumer().expect("one"));
        for message in [&b""[..], b"a", b"0123456789"] {
            producer.push(message).expect("room");
            assert_eq!(consumer.pop().expect("it"), message);
            producer.push(message).expect("room");
            assert_eq!(&*consumer.receive().expect("it"), message);
            assert_eq!(consumer.receive().expect("again").take().expect("it"), message);
        }
        let refused = producer.push(b"0123456789X").expect_err("too long");
        assert!(matches!(refused.error, Error::TooLong { length: 11, max: 10 }));
        let mut loan = producer.loan().expect("room");
        assert_eq!(loan.len(), 10);
        loan[..3].copy_from_slice(b"abc");
        loan.truncate(3);
        loan.truncate(9);
        loan.send();
        assert_eq!(consumer.pop().expect("it"), b"abc");
        let refused = producer.push_batch([&b"one"[..], b"far too long"]);
        assert!(matches!(refused, Err(Error::TooLong { .. })));
        assert_eq!(consumer.pop().expect("those before were pushed"), b"one");
        assert!(matches!(consumer.try_pop(), Err(Error::Empty)));
    }
}

#[test]
fn open_or_create_takes_what_is_there_or_makes_it_also_when_many_do_at_once() {
    for round in 0..20 {
        let name = Name::new();
        let barrier = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (name, barrier) = (name.to_string(), Arc::clone(&barrier));
                thread::spawn(move || {
                    barrier.wait();
                    let queue = Options::new(8).open_or_create::<u64>(&name).expect("one way or the other");
                    queue.producer().expect("one of four").push(number).expect("room");
                    queue
                })
            })
            .collect();
        let _kept: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("well")).collect();
        let queue = Options::new(8).open_or_create::<u64>(&name).expect("there");
        assert_eq!(queue.len(), 4, "all found the same queue, in round {round}");
        let refused = Options::new(9).open_or_create::<u64>(&name).expect_err("another capacity");
        assert_eq!(
            refused.to_string(),
            format!(
                "segment \"{}\": exists with capacity 8, asked for with 9; ask for the settings it was made with, or open it without any",
                &*name
            )
        );
        let one = Options::new(8).one_producer().open_or_create::<u64>(&name);
        assert!(matches!(one, Err(Error::Settings { .. })));
    }
}

#[test]
fn of_two_creators_at_once_one_is_refused() {
    for _ in 0..10 {
        let name = Name::new();
        let mut children = [(); 3].map(|()| Child::start(&format!("create {}", &*name)));
        let said: Vec<String> = children.iter_mut().map(Child::hear).collect();
        assert_eq!(said.iter().filter(|said| *said == "made").count(), 1, "{said:?}");
        Queue::<u64>::open(&name).expect("whole");
    }
}

#[test]
fn a_queue_can_go_with_its_last_user() {
    let name = Name::new();
    let queue = Options::new(8).goes_with_last_user().create::<u64>(&name).expect("a new name");
    let producer = queue.producer().expect("one");
    let other = Queue::<u64>::open(&name).expect("there");
    drop(queue);
    drop(other);
    drop(Queue::<u64>::open(&name).expect("the producer still uses it"));
    drop(producer);
    assert!(matches!(Queue::<u64>::open(&name), Err(Error::NotFound { .. })));
}

#[test]
fn queues_and_plain_memory_are_listed_and_told_apart() {
    let (name, plain) = (Name::new(), Name::new());
    let queue = Options::new(8).one_consumer().create::<Quote>(&name).expect("a new name");
    let _memory = SharedMemory::create(&plain, 100).expect("a new name");
    queue.producer().expect("one").push(Quote { symbol: [0; 8], price: 1, size: 1 }).expect("room");
    let listed = handover::segments().expect("readable");
    let kind = |name: &str| {
        let found = listed.iter().find(|listed| listed.name == name).expect("listed");
        *found.kind.as_ref().expect("well")
    };
    assert_eq!((kind(&plain), kind(&name)), (Kind::Memory, Kind::Queue));
    let report = handover::inspect(&name).expect("a queue");
    assert_eq!((report.capacity, report.len, report.message_size, report.closed), (8, 1, 24, false));
    assert_eq!((report.one_producer, report.one_consumer, report.counts.pushed), (false, true, 1));
    handover::remove(&plain).expect("there");
}

/// Leaves a segment to itself, or keeps it where it would go with its last user.
fn left<T>(segment: T) -> Option<T> {
    cfg!(windows).then_some(segment)
}

#[test]
fn segments_of_every_kind_are_found_with_what_can_not_be_opened() {
    let names: [Name; 5] = std::array::from_fn(|_| Name::new());
    let [queue, prices, jobs, plain, odd] = &names;
    let _queue = left(Options::new(8).create::<u64>(queue).expect("a new name"));
    let _prices = broadcast::Options::new(8).goes_with_last_user().create::<u64>(prices).expect("a new name");
    let _jobs = left(tasks::Options::new().create::<u64>(jobs).expect("a new name"));
    let _memory = SharedMemory::create(plain, 100).expect("a new name");
    #[cfg(unix)]
    fs::write(format!("/dev/shm/handover.{}", &**odd), "odd").expect("writable");

    // Twice: to look does not remove what goes with its last user.
    for _ in 0..2 {
        let all = handover::segments().expect("readable");
        assert!(all.is_sorted_by(|a, b| a.name < b.name));
        let find = |name: &Name| all.iter().find(|segment| segment.name == **name).expect("found");
        let kinds = [queue, prices, jobs, plain].map(|name| *find(name).kind.as_ref().expect("well"));
        assert_eq!(kinds, [Kind::Queue, Kind::Broadcast, Kind::Tasks, Kind::Memory]);
        assert!(find(prices).in_use && find(plain).in_use);
        // The page file has whole pages only.
        assert_eq!(find(plain).bytes, if cfg!(windows) { 8192 } else { 4096 + 100 });
        #[cfg(unix)]
        assert!(matches!(find(odd), NamedSegment { bytes: 3, kind: Err(Error::NotASegment { .. }), .. }));
        assert_eq!(handover::kind(jobs).expect("there").to_string(), "task queue");
    }
    // Who inspects all queues at this moment has these open meanwhile.
    for name in [queue, jobs].into_iter().filter(|_| !cfg!(windows)) {
        let in_use = |all: Vec<NamedSegment>| all.iter().any(|segment| segment.name == **name && segment.in_use);
        eventually("nobody to have it open", || !in_use(handover::segments().expect("readable")));
    }
    for name in names.iter().filter(|name| ***name != **prices && (cfg!(unix) || ***name != **odd)) {
        handover::remove(name).expect("there");
    }
    assert!(matches!(handover::kind(queue), Err(Error::NotFound { .. })));
}

#[test]
fn what_lies_in_a_file_is_told_as_what_has_a_name() {
    let paths: [Path; 3] = ["queue", "broadcast", "tasks"].map(Path::new);
    let [queue, prices, jobs] = &paths;
    drop(Options::new(8).create_at::<u64>(&queue.0).expect("a new file"));
    drop(broadcast::Options::new(9).create_at::<u64>(&prices.0).expect("a new file"));
    drop(tasks::Options::new().capacity(10).create_at::<u64>(&jobs.0).expect("a new file"));
    assert_eq!(handover::inspect_at(&queue.0).expect("a queue").capacity, 8);
    assert_eq!(broadcast::inspect_at(&prices.0).expect("a broadcast").capacity, 9);
    assert_eq!(tasks::inspect_at(&jobs.0).expect("a task queue").capacity, 10);
    assert_eq!(handover::kind_at(&jobs.0).expect("there"), Kind::Tasks);
    assert!(matches!(handover::inspect_at(&jobs.0), Err(Error::Kind { .. })));
}

#[test]
#[cfg(unix)] // elsewhere a mode becomes a list of who is let in
fn the_mode_is_the_one_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    for mode in [0o600, 0o640, 0o666] {
        let path = Path::new(&format!("mode-{mode:o}"));
        let _queue = Options::new(1).mode(mode).create_at::<u8>(&path.0).expect("a new file");
        assert_eq!(fs::metadata(&path.0).expect("there").permissions().mode() & 0o7777, mode);
    }
}

/// What an error says, with the name taken out.
fn said<T: std::fmt::Debug>(result: Result<T, Error>, name: &str) -> String {
    result.expect_err("an error").to_string().replace(name, "NAME")
}

#[test]
fn each_wrong_name_or_state_has_its_error() {
    let name = Name::new();
    assert_eq!(
        said(Queue::<u64>::open(&name), &name),
        "segment \"NAME\": does not exist; create it first, or open it with open_or_create"
    );
    assert!(said(handover::remove(&name), &name).starts_with("segment \"NAME\": does not exist"));
    let _queue = Options::new(1).create::<u64>(&name).expect("a new name");
    assert_eq!(
        said(Options::new(1).create::<u64>(&name), &name),
        "segment \"NAME\": exists already; open it, remove it first, or use open_or_create"
    );
    for wrong in ["", "a/b", "a\0b", "..", &"long".repeat(100)] {
        assert!(matches!(Options::new(1).create::<u64>(wrong), Err(Error::Name { .. })), "{wrong:?}");
        assert!(matches!(Queue::<u64>::open(wrong), Err(Error::Name { .. })), "{wrong:?}");
    }
    let plain = Name::new();
    let _memory = SharedMemory::create(&plain, 10_000).expect("a new name");
    assert_eq!(
        said(Queue::<u64>::open(&plain), &plain),
        "segment \"NAME\": is a plain memory, opened as a queue; open it as what it is"
    );
    assert!(matches!(SharedMemory::open(&name), Err(Error::Kind { .. })));
}

#[test]
fn each_wrong_measure_has_its_error() {
    for (options, word) in [
        (Options::new(0), "capacity 0"),
        (Options::new(usize::MAX), "largest"),
        (Options::new((1 << 31) + 1), "largest"),
        (Options::new(1).members(5000), "members"),
    ] {
        for error in [
            options.anonymous::<u64>().expect_err("unfit"),
            options.threads::<u64>().map(drop).err().unwrap_or(Error::Unfit { why: word.into() }),
        ] {
            assert!(matches!(&error, Error::Unfit { why } if why.contains(word)), "{error}");
        }
    }
    let huge = Options::new(1 << 31).message_max(u32::MAX as usize).anonymous::<[u8]>();
    assert!(matches!(huge, Err(Error::NoMemory { .. } | Error::Unfit { .. })), "{huge:?}");
    let name = Name::new();
    let full = Options::new(1 << 31).message_max(100_000).create::<[u8]>(&name).expect_err("more than there is");
    // A process of 32 bits could not even address it.
    let unfit = cfg!(target_pointer_width = "32") && matches!(full, Error::Unfit { .. });
    assert!(unfit || matches!(full, Error::NoMemory { .. }), "{full}");
    assert!(matches!(Queue::<[u8]>::open(&name), Err(Error::NotFound { .. })), "nothing is left of it");
    let threads = Options::new(1 << 31).threads::<[u64; 1 << 20]>().map(drop);
    assert!(matches!(threads, Err(Error::NoMemory { .. } | Error::Unfit { .. })), "{threads:?}");
}

#[test]
fn another_message_type_size_or_alignment_is_refused() {
    let name = Name::new();
    let _queue = Options::new(4).create::<Quote>(&name).expect("a new name");
    assert_eq!(
        said(Queue::<[u64; 8]>::open(&name), &name),
        "segment \"NAME\": made for messages of 24 bytes, aligned to 8, opened for [u64; 8] (messages of 64 bytes, \
         aligned to 8); open it with the type it was made with"
    );
    assert!(said(Queue::<[u64; 3]>::open(&name), &name).contains("of another type"));
    assert!(matches!(Queue::<[u32; 6]>::open(&name), Err(Error::MessageType { .. })));
    assert!(matches!(Queue::<[u8]>::open(&name), Err(Error::MessageType { .. })));
}

#[test]
fn too_many_members_are_refused_until_one_leaves() {
    let queue = Options::new(4).members(3).anonymous::<u64>().expect("memory");
    let first = queue.producer().expect("one");
    let _others = (queue.producer().expect("two"), queue.consumer().expect("three"));
    let refused = queue.consumer().expect_err("four");
    assert!(matches!(refused, Error::TooManyMembers { max: 3, .. }));
    drop(first);
    queue.consumer().expect("room again");
}

#[test]
fn headers_that_are_not_ours_are_refused() {
    let path = Path::new("header");
    let queue = Options::new(4).create_at::<u64>(&path.0).expect("a new file");
    drop(queue);
    let file = OpenOptions::new().read(true).write(true).open(&path.0).expect("there");
    let mut good = [0; 96];
    read_at(&file, &mut good, 0);
    let open_with = |offset: usize, bytes: &[u8], sealed: bool| {
        let mut header = good;
        header[offset..offset + bytes.len()].copy_from_slice(bytes);
        if sealed {
            let sum = header[..88]
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
            header[88..].copy_from_slice(&sum.to_ne_bytes());
        }
        write_at(&file, &header, 0);
        Queue::<u64>::open_at(&path.0).expect_err("refused")
    };
    assert!(matches!(open_with(0, b"HANDOUT!", true), Error::NotASegment { .. }));
    assert!(matches!(open_with(8, &9_u32.to_ne_bytes(), true), Error::Version { found: 9, supported: 1, .. }));
    assert!(matches!(open_with(12, &[1, 2, 3, 4], true), Error::ByteOrder { .. } | Error::CorruptHeader { .. }));
    assert!(matches!(open_with(12, &0x0403_0201_u32.to_ne_bytes(), true), Error::ByteOrder { .. }));
    assert!(matches!(open_with(24, &[9], false), Error::CorruptHeader { .. }));
    // With a right checksum, too, every number is checked.
    for (offset, number) in [(24, 0), (24, u64::MAX), (24, 5), (32, u64::MAX), (40, 3), (64, 1), (80, 4096)] {
        let error = open_with(offset, &number.to_ne_bytes(), true);
        assert!(
            matches!(error, Error::CorruptHeader { .. } | Error::Truncated { .. } | Error::MessageType { .. }),
            "{offset}: {error}"
        );
    }
    assert!(matches!(open_with(56, &u32::MAX.to_ne_bytes(), true), Error::CorruptHeader { .. }));
    assert!(matches!(open_with(56, &0_u32.to_ne_bytes(), true), Error::CorruptHeader { .. }));
    write_at(&file, &good, 0);
    Queue::<u64>::open_at(&path.0).expect("good again");
    file.set_len(5000).expect("cut");
    assert!(matches!(Queue::<u64>::open_at(&path.0), Err(Error::Truncated { .. })));
    file.set_len(0).expect("cut");
    assert!(matches!(Queue::<u64>::open_at(&path.0), Err(Error::NotASegment { .. } | Error::Truncated { .. })));
    File::create(&path.0).expect("there").write_all(b"#!/bin/sh\necho something else\n").expect("written");
    assert!(matches!(Queue::<u64>::open_at(&path.0), Err(Error::NotASegment { .. })));
    let null = if cfg!(windows) { "NUL" } else { "/dev/null" };
    assert!(matches!(Queue::<u64>::open_at(null), Err(Error::NotASegment { .. })));
    assert!(handed_over!(Queue::<u64>, std::io::stdin()).is_err());
}

#[test]
fn a_detached_member_is_not_listed_and_its_counts_stay() {
    let queue = Options::new(4).anonymous::<u64>().expect("memory");
    let mut producer = queue.producer().expect("one");
    producer.push(1).expect("room");
    assert_eq!(queue.members()[0].counts.pushed, 1);
    drop(producer);
    assert_eq!(queue.members(), []);
    let producer = queue.producer().expect("one");
    assert_eq!(queue.members()[0].counts.pushed, 0, "a new member begins with nothing");
    assert_eq!(queue.counts().pushed, 1);
    drop(producer);
    eventually("nobody is left", || queue.members().is_empty());
    #[cfg(unix)]
    assert!(std::os::fd::AsRawFd::as_raw_fd(&queue.share().expect("shared")) > 2);
}
