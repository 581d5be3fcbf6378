//! `work`: a command for each task, whatever becomes of either, with a shell. What needs none is in `anywhere`.
#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process;

use common::{Name, Running, Signal, eventually, fed, run, text, well};

/// A folder of the test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("handover-work-{test}-{}", process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).to_str().unwrap().to_owned()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap_or_default()
    }
}

impl Folder {
    /// A command that waits for the file `go`, with its process id in `started`.
    fn waiting(&self) -> String {
        let (started, go) = (self.path("started"), self.path("go"));
        format!("echo $$ >> {started}; until [ -e {go} -o ! -d $(dirname {go}) ]; do sleep 0.01; done")
    }

    /// The commands that wait end, though nobody told them to.
    fn commands_end(&self) {
        assert!(!fs::exists(self.path("go")).unwrap());
        for pid in self.read("started").lines() {
            eventually("the command to end", || !fs::exists(format!("/proc/{pid}")).unwrap());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn with(tasks: &str, options: &[&str]) -> Name {
    let name = Name::created(&[&["--kind", "tasks"], options].concat());
    assert!(fed(&["push", &name], tasks.as_bytes()).status.success());
    name
}

#[test]
fn each_task_is_on_the_standard_input_of_a_command() {
    let name = with("one\ntwo words\n", &[]);
    well(&["close", &name]);
    assert_eq!(
        well(&["work", &name, "--", "sh", "-c", "cat; echo \" try $HANDOVER_TRY\""]),
        "one try 1\ntwo words try 1\n"
    );
    assert_eq!((name.stat("done"), name.stat("failed")), (2, 0));
    // Closed and drained.
    assert_eq!(well(&["work", &name, "--", "cat"]), "");
}

#[test]
fn a_task_that_fails_is_tried_again_and_then_a_dead_letter_that_says_why() {
    let name = with("hopeless", &["--tries", "2"]);
    well(&["close", &name]);
    let output = run(&["work", &name, "--", "sh", "-c", "exit 7"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("try 1: exit status 7\n") && said.contains("try 2: exit status 7\n"), "{said}");
    assert_eq!((name.stat("failed"), name.stat("dead_letters")), (2, 1));
    let letters = handover::Tasks::<[u8]>::open(&name).unwrap().dead_letters();
    assert_eq!((&**letters[0].task.as_ref().unwrap(), &*letters[0].reason), (&b"hopeless"[..], "exit status 7"));
}

#[test]
fn a_command_that_is_killed_has_failed() {
    let name = with("x", &["--tries", "1"]);
    well(&["close", &name]);
    let said = text(&run(&["work", &name, "--", "sh", "-c", "kill -9 $$"]).stderr);
    assert!(said.contains("ended by signal 9"), "{said}");
}

#[test]
fn whoever_is_asked_to_end_finishes_the_task_in_work_and_leaves() {
    for (how, status) in [(Signal::TERM, 0), (Signal::INT, 130)] {
        let name = with("1\n2\n", &[]);
        let folder = Folder::new(&format!("asked-{status}"));
        let (go, done) = (folder.path("go"), folder.path("done"));
        let command = format!("until [ -e {go} -o ! -d $(dirname {go}) ]; do sleep 0.01; done; cat >> {done}");
        let mut work = Running::start(&["work", &name, "--", "sh", "-c", &command]);
        eventually("it to work", || name.stat("leased") == 1);
        common::signal(work.child(), how);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(work.child().try_wait().unwrap().is_none());
        fs::write(&go, "").unwrap();
        let output = work.output();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert_eq!(folder.read("done"), "1");
        assert_eq!((name.stat("done"), name.stat("failed")), (1, 0));
        assert_eq!(well(&["pop", &name, "--no-wait"]), "2\n");
    }
}

#[test]
fn whoever_is_asked_twice_ends_at_once() {
    let name = with("1\n", &[]);
    let folder = Folder::new("twice");
    let mut work = Running::start(&["work", &name, "--", "sh", "-c", &folder.waiting()]);
    eventually("it to work", || folder.read("started").ends_with('\n'));
    common::signal(work.child(), Signal::INT);
    // `timeout` and its like signal the process, and then all of its group: that is one request.
    common::signal(work.child(), Signal::TERM);
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert!(work.child().try_wait().unwrap().is_none());
    common::signal(work.child(), Signal::INT);
    assert_eq!(work.child().wait().unwrap().code(), Some(130));
    assert_eq!(well(&["pop", &name, "--timeout", "10s"]), "1\n");
    folder.commands_end();
}

#[test]
fn the_task_of_a_killed_worker_is_another_ones() {
    let name = with("precious", &[]);
    let folder = Folder::new("killed");
    let mut work = Running::start(&["work", &name, "--", "sh", "-c", &folder.waiting()]);
    eventually("it to work", || folder.read("started").ends_with('\n'));
    common::signal(work.child(), Signal::KILL);
    work.child().wait().unwrap();
    well(&["close", &name]);
    assert_eq!(well(&["work", &name, "--", "sh", "-c", "cat; echo \", try $HANDOVER_TRY\""]), "precious, try 2\n");
    assert_eq!(name.stat("redelivered"), 1);
    folder.commands_end();
}

#[test]
fn a_command_that_can_not_be_run_after_all_gives_its_task_back() {
    let name = with("x", &[]);
    let folder = Folder::new("no-program");
    let path = folder.path("script");
    fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let output = run(&["work", &name, "--", &path]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.ends_with(&format!(
            "{path} can't be run: No such file or directory (os error 2); its task was given back\n"
        )),
        "{said}"
    );
    assert_eq!((name.stat("failed"), name.stat("redelivered")), (0, 1));
}

#[test]
fn a_command_is_called_as_it_was_named() {
    let name = with("x", &[]);
    well(&["close", &name]);
    assert_eq!(well(&["work", &name, "--", "sh", "-c", "echo $0 $1 $2", "--help", "-x", ""]), "--help -x\n");
}
