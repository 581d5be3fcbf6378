#[cfg(unix)]
use std::fs;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Barrier;

use super::listing::look;
use super::*;

fn in_use(place: &Place) -> Result<bool, Error> {
    look(place).map(|looked| looked.in_use)
}

/// A place of its own for each test, empty before and after: where segments stay although nobody uses them.
struct Scratch(Place);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("unit-{name}-{}", std::process::id());
        if os::goes_by_itself(&os::named(&name)) {
            return Scratch(Place::Path(std::env::temp_dir().join(name)));
        }
        Scratch(Place::Named(name))
    }

    fn path(&self) -> PathBuf {
        match &self.0 {
            Place::Path(path) => path.clone(),
            #[cfg(unix)]
            place => place.location().unwrap().unwrap(),
            #[cfg(windows)]
            place => panic!("{place} is no file"),
        }
    }

    fn exists(&self) -> bool {
        os::facts_at(&self.0.location().unwrap().unwrap()).is_ok()
    }

    fn create(&self) -> Segment {
        self.made(&Making::default())
    }

    /// One that goes with its last user.
    fn passing(&self) -> Segment {
        self.made(&Making { goes_with_last_user: true, ..Making::default() })
    }

    fn made(&self, making: &Making) -> Segment {
        Segment::create(&self.0, Header::new(Kind::Queue, 10_000).unwrap(), making, |_, _| {}).unwrap()
    }
}

/// As it comes in another process.
fn handed(shared: &os::Shared) -> os::HandedOver<'_> {
    #[cfg(unix)]
    return std::os::fd::AsFd::as_fd(shared);
    #[cfg(windows)]
    return std::os::windows::io::AsHandle::as_handle(shared);
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove(&self.0);
    }
}

#[test]
fn what_was_initialised_is_there_when_the_name_is() {
    let scratch = Scratch::new("init");
    let mut header = Header::new(Kind::Queue, 5).unwrap();
    header.capacity = 77;
    let making = Making { mode: 0o640, ..Making::default() };
    let made = Segment::create(&scratch.0, header, &making, |body, length| {
        assert!(!scratch.exists());
        assert!(body.addr().is_multiple_of(4096) && length == 5);
        // SAFETY: the body has five bytes.
        unsafe { body.add(4).write(9) };
    })
    .unwrap();
    let opened = Segment::open_read_only(&scratch.0).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { opened.body().add(4).read() }, 9);
    assert_eq!(opened.header(), made.header());
    assert_eq!((opened.header().capacity, opened.body_length()), (77, 5));
    #[cfg(unix)]
    assert_eq!(scratch.path().metadata().unwrap().mode() & 0o7777, 0o640);
}

#[test]
fn a_segment_of_another_kind_is_told_apart() {
    let scratch = Scratch::new("kind");
    let _queue = scratch.create();
    let refused = SharedMemory::open_at(scratch.path()).unwrap_err();
    assert!(matches!(refused, Error::Kind { found: "queue", wanted: "plain memory", .. }), "{refused}");
}

#[test]
fn a_segment_is_in_use_while_anyone_has_it_open() {
    let scratch = Scratch::new("use");
    let made = scratch.create();
    assert!(in_use(&scratch.0).unwrap());
    let reader = Segment::open_read_only(&scratch.0).unwrap();
    drop(made);
    assert!(in_use(&scratch.0).unwrap());
    drop(reader);
    assert!(!in_use(&scratch.0).unwrap());
    let shared = Segment::open(&scratch.0).unwrap().share().unwrap();
    assert!(!in_use(&scratch.0).unwrap(), "a descriptor to be handed over carries no locks");
    let again = Segment::handed_over(handed(&shared)).unwrap();
    assert!(in_use(&scratch.0).unwrap());
    drop(again);
    remove(&scratch.0).unwrap();
    assert!(matches!(in_use(&scratch.0), Err(Error::NotFound { .. })));
}

#[test]
fn segments_are_listed_by_name() {
    let name = format!("unit-list-{}", std::process::id());
    let scratch = Scratch(Place::Named(name.clone()));
    let _made = scratch.create();
    assert!(names().unwrap().contains(&name));
    remove(&scratch.0).unwrap();
    assert!(!names().unwrap().contains(&name));
}

#[test]
fn a_segment_goes_with_its_last_user_and_not_before() {
    let scratch = Scratch::new("last");
    let made = scratch.passing();
    let opened = Segment::open(&scratch.0).unwrap();
    drop(made);
    assert!(scratch.exists());
    drop(opened);
    assert!(!scratch.exists());
}

#[test]
fn a_segment_goes_with_a_last_user_who_only_read() {
    let scratch = Scratch::new("last-reader");
    let made = scratch.passing();
    let reader = Segment::open_read_only(&scratch.0).unwrap();
    drop(made);
    assert!(scratch.exists());
    drop(reader);
    assert!(!scratch.exists());
}

#[test]
fn a_segment_without_that_option_stays() {
    let scratch = Scratch::new("stays");
    drop(scratch.create());
    assert!(scratch.exists());
}

#[test]
fn the_last_user_does_not_remove_a_successor_of_the_same_name() {
    let scratch = Scratch::new("successor");
    let first = scratch.passing();
    remove(&scratch.0).unwrap();
    let second = scratch.passing();
    drop(first);
    assert!(scratch.exists());
    drop(second);
    assert!(!scratch.exists());
}

#[test]
fn of_two_who_leave_at_once_one_removes_it() {
    let scratch = Scratch::new("at-once");
    for _ in 0..500 {
        let users = [scratch.passing(), Segment::open(&scratch.0).unwrap()];
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            for user in users {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    drop(user);
                });
            }
        });
        assert!(!scratch.exists());
    }
}

#[test]
fn who_opens_while_the_last_leaves_has_a_segment_with_a_name_or_none() {
    let scratch = Scratch::new("late");
    let (mut came, mut missed) = (0, 0);
    for _ in 0..500 {
        let last = scratch.passing();
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                drop(last);
            });
            start.wait();
            match Segment::open(&scratch.0) {
                Ok(_user) => {
                    came += 1;
                    assert!(scratch.exists());
                }
                Err(Error::NotFound { .. }) => missed += 1,
                Err(other) => panic!("{other}"),
            }
        });
        assert!(!scratch.exists(), "after {came} that came and {missed} that did not");
    }
}

/// Holds what somebody holds who is about to remove it.
fn about_to_remove(scratch: &Scratch) -> LockFile {
    let lock_file = LockFile::new(|| os::open(&scratch.0.location().unwrap().unwrap(), Access::ReadWrite)).unwrap();
    assert!(lock_file.try_lock(PRESENCE).unwrap());
    lock_file
}

#[test]
fn the_name_is_nobody_elses_to_remove_while_one_makes_sure_whose_it_is() {
    let scratch = Scratch::new("whose");
    drop(scratch.create());
    let remover = about_to_remove(&scratch);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| remove(&scratch.0));
        std::thread::sleep(Duration::from_millis(20));
        assert!(scratch.exists(), "what comes to have that name is removed instead");
        drop(remover);
        other.join().unwrap().unwrap();
    });
    assert!(!scratch.exists());
}

#[test]
fn who_opens_what_a_stopped_process_was_about_to_remove_is_told_so_and_not_that_it_is_missing() {
    let scratch = Scratch::new("stopped");
    drop(scratch.create());
    let stopped = about_to_remove(&scratch);
    let opened = Segment::open(&scratch.0);
    assert!(matches!(opened, Err(Error::System { .. })), "{opened:?}");
    let create = || Err(Error::AlreadyExists { place: scratch.0.to_string() });
    let either = open_or_create(&scratch.0, Ok, create);
    assert!(matches!(either, Err(Error::System { .. })), "{either:?}");
    assert!(matches!(remove(&scratch.0), Err(Error::System { .. })));
    os::remove(&scratch.0.location().unwrap().unwrap()).unwrap();
    assert!(matches!(Segment::open(&scratch.0), Err(Error::NotFound { .. })));
    drop(stopped);
}

#[test]
#[cfg(unix)] // nothing forks elsewhere
fn a_forked_child_leaves_its_parents_segment_alone() {
    let scratch = Scratch::new("fork");
    let segment = scratch.passing();
    // SAFETY: the child only unmaps, makes system calls and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = matches!(segment.share(), Err(Error::Forked));
        drop(segment);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(!refused)) };
    }
    let mut status = -1;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);
    assert!(scratch.exists() && in_use(&scratch.0).unwrap());
    assert_eq!(segment.body_length(), 10_000);
}

#[test]
#[cfg(unix)] // elsewhere a file that grows has no holes
fn holes_are_filled_before_a_copied_segment_is_written_to() {
    let scratch = Scratch::new("holes");
    drop(scratch.create());
    let bytes = fs::read(scratch.path()).unwrap();
    remove(&scratch.0).unwrap();
    fs::write(scratch.path(), &bytes[..4096]).unwrap();
    fs::File::options().write(true).open(scratch.path()).unwrap().set_len(bytes.len() as u64).unwrap();
    assert!(scratch.path().metadata().unwrap().blocks() * 512 < bytes.len() as u64);
    let _opened = Segment::open(&scratch.0).unwrap();
    assert!(scratch.path().metadata().unwrap().blocks() * 512 >= bytes.len() as u64);
}

#[test]
fn an_impossible_size_is_refused_before_anything_is_made() {
    let scratch = Scratch::new("size");
    for total_size in [0, 4095, u64::MAX] {
        let header = Header { total_size, ..Header::default() };
        let refused = Segment::create(&scratch.0, header, &Making::default(), |_, _| unreachable!());
        assert!(matches!(refused, Err(Error::Unfit { .. })));
    }
    assert!(!scratch.exists());
}
