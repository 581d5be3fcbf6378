//! Every interleaving, in small; and every mutant is caught.

use proof::model;

#[test]
fn every_interleaving_of_few_members_keeps_every_promise() {
    let verdict = model::protocol(model::Bounds::Short, "");
    assert!(verdict.holds(), "{verdict}");
}

#[test]
fn every_mutant_is_caught() {
    let verdict = model::mutants("");
    assert!(verdict.holds(), "{verdict}");
}
