//! Weak memory: the library's own ring and gate under a model checker, and once more with one ordering weakened at a
//! time, which has to go wrong. Orderings that have a name in the library and are not in `MUTANTS` are weakened by
//! nobody here: no model is known to need them.
//!
//! The models are tests inside the library (`handover/src/weak`), as they need what users do not see. They exist only in a
//! build of its own, which this starts: Cargo and the sources have to be there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::Verdict;

/// An ordering (or a step) by the name that it has in the library, and the models that have to notice when it is
/// weakened (or left out): each of them.
const MUTANTS: &[(&str, &[&str])] = &[
    ("publish", &["many::a_slot_goes_round_between_two"]),
    ("publish-run", &["many::a_batch_of_two_stays_together_against_a_single_push"]),
    ("release", &["many::a_slot_goes_round_between_two"]),
    ("release-run", &["many::a_batch_that_is_popped_leaves_its_slots_to_the_next_push"]),
    ("claim", &["many::two_push_and_one_pops_through_two_slots"]),
    ("claim-stamp", &["many::two_push_and_one_pops_through_two_slots"]),
    ("stretch-stamp", &["many::a_batch_of_two_stays_together_against_a_single_push"]),
    ("refuse-stamp", &["many::two_push_and_one_pops_through_one_slot"]),
    ("refuse-ticket", &["many::two_push_and_one_pops_through_one_slot"]),
    ("record", &["deaths::a_pop_that_is_died_in"]),
    ("free-void", &["many::a_dropped_loan_is_stepped_over_by_two_in_one_slot"]),
    ("hand-back", &["many::what_is_handed_back_is_found_by_the_next"]),
    ("orphans-read", &["many::what_is_handed_back_is_found_by_the_next"]),
    ("orphans-raise", &["many::what_is_handed_back_is_found_by_the_next"]),
    ("announced", &["waiting::a_push_and_a_pop_wake_each_other_through_one_slot"]),
    ("hand-back-fence", &["waiting::what_is_handed_back_wakes_one_who_waits"]),
    ("one-publish", &["one::three_messages_through_one_slot"]),
    ("one-release", &["one::three_messages_through_one_slot"]),
    ("one-head", &["one::three_messages_through_one_slot"]),
    ("one-tail", &["one::three_messages_through_one_slot"]),
    ("worked", &["one::who_leaves_a_closed_ring_has_had_every_message"]),
];

/// A model or a mutant that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(240);

/// How one run of one model ended.
struct Outcome {
    output: String,
    well: bool,
}

/// Explores every model, and then every mutant.
pub fn run() -> Vec<Verdict> {
    match build() {
        Ok(program) => vec![models(&program), mutants(&program)],
        Err(why) => vec![Verdict {
            violations: vec![format!("the models could not be built: {why}")],
            ..Verdict::new("Weak memory", Vec::new())
        }],
    }
}

/// The folder of the workspace: where this was built.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in a workspace")
}

/// Builds the library for the model checker, in a target folder of its own, and says where its tests are.
fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["test", "--locked", "--release", "-p", "handover", "--lib", "--no-run", "--message-format=json"];
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", workspace().join("target").join("loom"))
        .env("RUSTFLAGS", "--cfg loom")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("cargo: {}", output.status));
    }
    // Of all messages one names a program: that of the tests.
    let text = String::from_utf8_lossy(&output.stdout);
    let mut named = text.lines().filter_map(|line| line.split("\"executable\":\"").nth(1)?.split('"').next());
    named.next_back().map(PathBuf::from).ok_or_else(|| "cargo named no program".into())
}

/// The names of the models.
fn list(program: &Path) -> Vec<String> {
    let output = Command::new(program).args(["weak::", "--list"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(|line| Some(line.strip_suffix(": test")?.strip_prefix("weak::")?.to_string())).collect()
}

fn explore(program: &Path, model: &str, mutant: Option<&str>) -> Outcome {
    let mut command = Command::new(program);
    command.args(["--exact", &format!("weak::{model}"), "--nocapture"]).env("RUST_BACKTRACE", "0");
    command.env_remove("HANDOVER_MUTANT").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(mutant) = mutant {
        command.env("HANDOVER_MUTANT", mutant);
    }
    let failed = |why: String| Outcome { output: why, well: false };
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(format!("not started: {error}")),
    };
    // Some lines each: a pipe holds them.
    let begun = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if begun.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            return failed(format!("took longer than {} s", LIMIT.as_secs()));
        }
        thread::sleep(Duration::from_millis(5));
    }
    match child.wait_with_output() {
        Ok(output) => Outcome {
            output: String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
            // That a model was run is to be seen: a name that does not exist is no success.
            well: output.status.success() && String::from_utf8_lossy(&output.stdout).contains("explored\t"),
        },
        Err(error) => failed(error.to_string()),
    }
}

/// Does the same to each of them, on all processors, and keeps their order.
fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                while let Some((number, one)) = Some(next.fetch_add(1, Relaxed)).and_then(|n| Some((n, all.get(n)?))) {
                    let result = work(one);
                    done.lock().expect("nobody panicked").insert(number, result);
                }
            });
        }
    });
    done.into_inner().expect("nobody panicked").into_values().collect()
}

/// What went wrong, in one line.
fn reason(output: &str) -> String {
    let mut lines = output.lines().map(str::trim).skip_while(|line| !line.contains("panicked at"));
    let place = lines.next();
    let what = lines.next().filter(|line| !line.is_empty());
    what.or(place).or(output.lines().last()).unwrap_or("no output").chars().take(90).collect()
}

fn models(program: &Path) -> Verdict {
    let names = list(program);
    let outcomes = each(&names, |name| explore(program, name, None));
    let mut verdict = Verdict::new(
        "Weak memory: every order of each model, within so many interruptions",
        ["model", "interleavings", "interruptions", "deaths", "s"].map(String::from).to_vec(),
    );
    if names.is_empty() {
        verdict.violations.push("there are no models".into());
    }
    for (name, outcome) in names.iter().zip(outcomes) {
        let explored: Vec<Vec<&str>> = outcome
            .output
            .lines()
            .filter_map(|line| Some(line.split_once("explored\t")?.1.split('\t').collect()))
            .collect();
        let number = |field: usize| explored.iter().filter_map(|row| row.get(field)?.parse::<f64>().ok()).sum::<f64>();
        let bound = explored.first().and_then(|row| row.get(2)).map_or("", |bound| *bound);
        // A model with a death is run once for each step that one can die before, and once to the end.
        let deaths = if outcome.output.contains("died\t") { (explored.len() - 1).to_string() } else { String::new() };
        let cells = [format!("{}", number(1)), bound.to_string(), deaths, format!("{:.1}", number(3))];
        verdict.rows.push([name.replace('_', " ")].into_iter().chain(cells).collect());
        if !outcome.well {
            verdict.violations.push(format!("{name}: {}", reason(&outcome.output)));
        }
    }
    verdict
}

fn mutants(program: &Path) -> Verdict {
    let mut tried: Vec<(&str, &str)> = Vec::new();
    for (mutant, models) in MUTANTS {
        tried.extend(models.iter().map(|model| (*mutant, *model)));
    }
    let outcomes = each(&tried, |(mutant, model)| explore(program, model, Some(mutant)));
    let mut verdict = Verdict::new(
        "Weak memory: one ordering weakened, or one step left out, at a time",
        ["mutant", "model", "how it shows"].map(String::from).to_vec(),
    );
    for ((mutant, model), outcome) in tried.iter().zip(outcomes) {
        let shown = if outcome.well { "NOT NOTICED".into() } else { reason(&outcome.output) };
        verdict.rows.push(vec![mutant.to_string(), model.replace('_', " "), shown]);
        if outcome.well || !outcome.output.contains("panicked at") {
            verdict.violations.push(format!("{mutant} was weakened, and {model} did not notice"));
        }
    }
    verdict
}
