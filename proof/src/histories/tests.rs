//! Histories made by hand: good ones that must be explained, and for each way of being wrong one that must not.

use super::aspects;
use super::history::{Death, History, NEVER, Operation, Outcome, What};
use super::linear::{self, Answer};

/// A history of a queue of many. Calls are given with their moments.
fn of(capacity: usize, calls: &[(u16, u64, u64, What, Outcome)]) -> History {
    let call = |(member, invoked, returned, what, outcome): &(u16, u64, u64, What, Outcome)| Operation {
        member: *member,
        invoked: *invoked,
        returned: *returned,
        what: what.clone(),
        outcome: outcome.clone(),
    };
    let mut history =
        History { capacity, one_to_one: false, operations: calls.iter().map(call).collect(), deaths: Vec::new() };
    history.sort();
    history
}

fn died(mut history: History, member: u16, killed: u64, gone: u64) -> History {
    history.deaths.push(Death { member, killed, gone });
    history
}

fn one_to_one(history: History) -> History {
    History { one_to_one: true, ..history }
}

fn push(messages: &[u64]) -> What {
    What::Push(messages.to_vec())
}

fn pushed(count: usize) -> Outcome {
    Outcome::Pushed(count)
}

const POP: What = What::Pop { most: 1, keep: 1 };

fn batch(most: usize) -> What {
    What::Pop { most, keep: most }
}

fn got(messages: &[u64]) -> Outcome {
    Outcome::Got(messages.to_vec(), 0)
}

fn again(message: u64, times: u32) -> Outcome {
    Outcome::Got(vec![message], times)
}

#[track_caller]
fn good(history: &History) {
    assert!(matches!(linear::explain(history), Answer::Explained(_)), "{:?}", linear::explain(history));
    assert_eq!(aspects::faults(history), []);
}

/// Both checkers see it.
#[track_caller]
fn bad(history: &History) {
    subtly_bad(history);
    assert_ne!(aspects::faults(history), [], "the aspects show nothing");
}

/// Only the search sees it.
#[track_caller]
fn subtly_bad(history: &History) {
    assert!(matches!(linear::explain(history), Answer::Wrong(..)), "an explanation was found");
}

#[test]
fn messages_in_order_are_explained() {
    good(&of(
        2,
        &[
            (0, 1, 2, push(&[1]), pushed(1)),
            (0, 3, 4, push(&[2]), pushed(1)),
            (0, 5, 6, push(&[3]), Outcome::Full),
            (1, 7, 8, POP, got(&[1])),
            (1, 9, 10, POP, got(&[2])),
            (1, 11, 12, POP, Outcome::Empty),
        ],
    ));
}

#[test]
fn pushes_that_overlap_may_come_in_any_order() {
    good(&of(
        2,
        &[
            (0, 1, 4, push(&[1]), pushed(1)),
            (1, 2, 3, push(&[2]), pushed(1)),
            (2, 5, 6, POP, got(&[2])),
            (2, 7, 8, POP, got(&[1])),
        ],
    ));
}

#[test]
fn a_message_out_of_nowhere_is_wrong() {
    bad(&of(2, &[(0, 1, 2, push(&[1]), pushed(1)), (1, 3, 4, POP, got(&[7]))]));
}

#[test]
fn a_message_that_comes_before_it_was_pushed_is_wrong() {
    bad(&of(2, &[(1, 1, 2, POP, got(&[1])), (0, 3, 4, push(&[1]), pushed(1))]));
}

#[test]
fn a_message_that_was_refused_and_comes_is_wrong() {
    bad(&of(
        1,
        &[
            (0, 1, 2, push(&[1]), pushed(1)),
            (0, 3, 4, push(&[2]), Outcome::Full),
            (1, 5, 6, POP, got(&[1])),
            (1, 7, 8, POP, got(&[2])),
        ],
    ));
}

#[test]
fn a_message_that_comes_twice_unmarked_is_wrong() {
    bad(&of(2, &[(0, 1, 2, push(&[1]), pushed(1)), (1, 3, 4, POP, got(&[1])), (2, 5, 6, POP, got(&[1]))]));
    // Nor may it be marked, if nobody handed it back.
    bad(&of(2, &[(0, 1, 2, push(&[1]), pushed(1)), (1, 3, 4, POP, got(&[1])), (2, 5, 6, POP, again(1, 1))]));
}

#[test]
fn messages_in_the_wrong_order_are_wrong() {
    bad(&of(
        2,
        &[
            (0, 1, 2, push(&[1]), pushed(1)),
            (3, 3, 4, push(&[2]), pushed(1)),
            (1, 5, 6, POP, got(&[2])),
            (2, 7, 8, POP, got(&[1])),
        ],
    ));
    // Of one batch, in one batch.
    bad(&of(2, &[(0, 1, 2, push(&[1, 2]), pushed(2)), (1, 5, 6, batch(2), got(&[2, 1]))]));
}

#[test]
fn empty_while_a_message_is_there_is_wrong() {
    bad(&of(2, &[(0, 1, 2, push(&[1]), pushed(1)), (1, 3, 4, POP, Outcome::Empty), (1, 5, 6, POP, got(&[1]))]));
    // Whoever pushes in front excuses it; whoever pushes behind does not.
    good(&of(
        2,
        &[
            (2, 1, 7, push(&[9]), pushed(1)),
            (0, 2, 3, push(&[1]), pushed(1)),
            (1, 4, 5, POP, Outcome::Empty),
            (1, 8, 9, batch(2), got(&[9, 1])),
        ],
    ));
    bad(&of(
        2,
        &[
            (0, 2, 3, push(&[1]), pushed(1)),
            (2, 4, 9, push(&[9]), pushed(1)),
            (1, 5, 6, POP, Outcome::Empty),
            (1, 10, 11, batch(2), got(&[1, 9])),
        ],
    ));
    // It can't have been in front if it comes behind.
    subtly_bad(&of(
        2,
        &[
            (2, 1, 7, push(&[9]), pushed(1)),
            (0, 2, 3, push(&[1]), pushed(1)),
            (1, 4, 5, POP, Outcome::Empty),
            (1, 8, 9, batch(2), got(&[1, 9])),
        ],
    ));
}

#[test]
fn full_while_there_is_room_is_wrong() {
    bad(&of(2, &[(0, 1, 2, push(&[1]), pushed(1)), (0, 3, 4, push(&[2]), Outcome::Full)]));
    bad(&of(1, &[(0, 1, 2, push(&[1]), pushed(1)), (1, 3, 4, POP, got(&[1])), (0, 5, 6, push(&[2]), Outcome::Full)]));
    // A message that is held takes its slot; a loan that was given up does not.
    good(&of(
        1,
        &[
            (0, 1, 2, push(&[1]), pushed(1)),
            (1, 3, 4, What::Receive, got(&[1])),
            (0, 5, 6, push(&[2]), Outcome::Full),
            (1, 7, 8, What::Done, Outcome::Done),
        ],
    ));
    bad(&of(
        1,
        &[
            (0, 1, 2, What::Loan, Outcome::Done),
            (0, 3, 4, What::GiveUp, Outcome::Done),
            (0, 5, 6, push(&[2]), Outcome::Full),
        ],
    ));
}

#[test]
fn more_messages_than_there_are_slots_are_wrong() {
    subtly_bad(&of(2, &[(0, 1, 2, push(&[1, 2]), pushed(2)), (1, 3, 4, push(&[3]), pushed(1))]));
    good(&of(2, &[(0, 1, 4, push(&[1, 2, 3]), pushed(3)), (1, 2, 3, POP, got(&[1]))]));
}

#[test]
fn of_a_batch_that_returned_all_is_there() {
    // While it is pushed, it may be in two claims.
    good(&of(2, &[(0, 1, 6, push(&[1, 2]), pushed(2)), (1, 2, 3, POP, got(&[1])), (1, 4, 5, POP, Outcome::Empty)]));
    subtly_bad(&of(
        2,
        &[(0, 1, 2, push(&[1, 2]), pushed(2)), (1, 3, 4, POP, got(&[1])), (1, 5, 6, POP, Outcome::Empty)],
    ));
}

#[test]
fn a_lost_message_is_wrong() {
    bad(&of(
        2,
        &[(0, 1, 2, push(&[1]), pushed(1)), (0, 3, 4, What::Close, Outcome::Done), (1, 5, 6, POP, Outcome::Closed)],
    ));
    // Also if somebody still holds it.
    subtly_bad(&of(
        2,
        &[
            (0, 1, 2, push(&[1]), pushed(1)),
            (2, 3, 4, What::Receive, got(&[1])),
            (0, 5, 6, What::Close, Outcome::Done),
            (1, 7, 8, POP, Outcome::Closed),
            (2, 9, 10, What::Done, Outcome::Done),
        ],
    ));
}

#[test]
fn a_push_into_a_closed_queue_is_wrong() {
    bad(&of(2, &[(0, 1, 2, What::Close, Outcome::Done), (1, 3, 4, push(&[1]), pushed(1))]));
    bad(&of(2, &[(1, 1, 2, push(&[1]), Outcome::Closed), (0, 3, 4, What::Close, Outcome::Done)]));
    // Blocked until after the close, by a message that was taken only then.
    subtly_bad(&one_to_one(of(
        1,
        &[
            (0, 1, 2, push(&[1]), pushed(1)),
            (0, 3, 10, push(&[2]), pushed(1)),
            (2, 4, 5, What::Close, Outcome::Done),
            (1, 6, 7, POP, got(&[1])),
            (1, 8, 9, POP, Outcome::Empty),
        ],
    )));
}

#[test]
fn what_is_handed_back_comes_first_and_marked() {
    let with = |then: &[(u16, u64, u64, What, Outcome)]| {
        let mut calls = vec![
            (0, 1, 2, push(&[1]), pushed(1)),
            (0, 3, 4, push(&[2]), pushed(1)),
            (1, 5, 6, What::Receive, got(&[1])),
            (1, 7, 8, What::HandBack, Outcome::Done),
        ];
        calls.extend_from_slice(then);
        of(4, &calls)
    };
    good(&with(&[(2, 9, 10, POP, again(1, 1)), (2, 11, 12, POP, got(&[2]))]));
    // Not marked, marked too often, too little, or not first.
    bad(&with(&[(2, 9, 10, POP, got(&[1]))]));
    bad(&with(&[(2, 9, 10, POP, again(1, 2))]));
    subtly_bad(&with(&[(2, 9, 10, POP, got(&[2]))]));
    // Of two the older first.
    let two = |first: u64, second: u64| {
        with(&[
            (2, 9, 10, What::Receive, again(1, 1)),
            (3, 11, 12, What::Receive, got(&[2])),
            (3, 13, 14, What::HandBack, Outcome::Done),
            (2, 15, 16, What::HandBack, Outcome::Done),
            (2, 17, 18, POP, again(first, if first == 1 { 2 } else { 1 })),
            (2, 19, 20, POP, again(second, if second == 1 { 2 } else { 1 })),
        ])
    };
    good(&two(1, 2));
    subtly_bad(&two(2, 1));
    // Empty, while it is there.
    let empty = |end| {
        of(
            4,
            &[
                (0, 1, 2, push(&[1]), pushed(1)),
                (1, 3, 4, What::Receive, got(&[1])),
                (1, 5, end, What::HandBack, Outcome::Done),
                (2, 7, 8, POP, Outcome::Empty),
                (2, 10, 11, POP, again(1, 1)),
            ],
        )
    };
    good(&empty(9));
    bad(&empty(6));
}

#[test]
fn what_is_left_of_a_batch_is_handed_back() {
    let keeps_one = What::Pop { most: 2, keep: 1 };
    let with = |then: &[(u16, u64, u64, What, Outcome)]| {
        let mut calls = vec![(0, 1, 2, push(&[1, 2]), pushed(2)), (1, 3, 4, keeps_one.clone(), got(&[1]))];
        calls.extend_from_slice(then);
        of(4, &calls)
    };
    good(&with(&[(2, 5, 6, POP, again(2, 1))]));
    good(&with(&[(2, 5, 6, POP, got(&[2]))]));
    bad(&with(&[(2, 5, 6, POP, again(1, 1))]));
}

#[test]
fn what_the_dead_held_comes_again_and_marked() {
    let with = |then: &[(u16, u64, u64, What, Outcome)]| {
        let mut calls = vec![(0, 1, 2, push(&[1]), pushed(1)), (1, 3, 4, What::Receive, got(&[1]))];
        calls.extend_from_slice(then);
        died(of(4, &calls), 1, 5, 8)
    };
    good(&with(&[(2, 9, 10, POP, again(1, 1))]));
    good(&with(&[(2, 6, 7, POP, again(1, 1))]));
    good(&with(&[(2, 9, 10, POP, Outcome::Empty), (2, 11, 12, POP, again(1, 1))]));
    bad(&with(&[(2, 9, 10, POP, got(&[1]))]));
    // Not before it was killed.
    let early = died(
        of(4, &[(0, 1, 2, push(&[1]), pushed(1)), (1, 3, 4, What::Receive, got(&[1])), (2, 5, 6, POP, again(1, 1))]),
        1,
        7,
        8,
    );
    subtly_bad(&early);
}

#[test]
fn what_was_under_way_at_a_death_has_happened_or_not() {
    let pushing = |then: &[(u16, u64, u64, What, Outcome)]| {
        let mut calls = vec![(1, 1, NEVER, push(&[1, 2]), Outcome::Pending)];
        calls.extend_from_slice(then);
        died(of(2, &calls), 1, 2, 5)
    };
    good(&pushing(&[(2, 6, 7, POP, Outcome::Empty)]));
    good(&pushing(&[(2, 6, 7, batch(2), got(&[1, 2]))]));
    good(&pushing(&[(2, 6, 7, POP, got(&[1])), (2, 8, 9, POP, Outcome::Empty)]));
    bad(&pushing(&[(2, 6, 7, POP, got(&[1])), (2, 8, 9, POP, got(&[1]))]));
    // What was not there when it was gone does not come later; nor does a part come without what was before it.
    subtly_bad(&pushing(&[(0, 6, 7, push(&[3]), pushed(1)), (2, 8, 9, POP, got(&[3])), (2, 10, 11, POP, got(&[1]))]));
    subtly_bad(&pushing(&[(2, 6, 7, POP, got(&[2]))]));
    // It leaks nothing: two can be pushed.
    subtly_bad(&died(
        of(
            2,
            &[
                (1, 1, NEVER, What::Loan, Outcome::Pending),
                (0, 6, 7, push(&[3, 4]), pushed(2)),
                (0, 8, 9, push(&[5]), pushed(1)),
            ],
        ),
        1,
        2,
        5,
    ));

    let popping = |then: &[(u16, u64, u64, What, Outcome)]| {
        let mut calls = vec![(0, 1, 2, push(&[1, 2]), pushed(2)), (1, 3, NEVER, POP, Outcome::Pending)];
        calls.extend_from_slice(then);
        died(of(4, &calls), 1, 4, 5)
    };
    good(&popping(&[(2, 6, 7, POP, got(&[1])), (2, 8, 9, POP, got(&[2]))]));
    good(&popping(&[(2, 6, 7, POP, again(1, 1)), (2, 8, 9, POP, got(&[2]))]));
    good(&popping(&[(2, 6, 7, POP, got(&[2])), (2, 8, 9, POP, Outcome::Empty)]));
    // One pop takes one.
    subtly_bad(&popping(&[(2, 6, 7, POP, Outcome::Empty)]));
    bad(&popping(&[(2, 6, 7, What::Close, Outcome::Done), (2, 8, 9, POP, Outcome::Closed)]));
}

#[test]
fn one_to_one_a_message_that_comes_again_has_its_old_place() {
    let with = |then: &[(u16, u64, u64, What, Outcome)]| {
        let mut calls = vec![
            (0, 1, 2, push(&[1, 2]), pushed(2)),
            (1, 3, 4, What::Receive, got(&[1])),
            (1, 5, 6, What::HandBack, Outcome::Done),
        ];
        calls.extend_from_slice(then);
        one_to_one(of(2, &calls))
    };
    good(&with(&[(1, 7, 8, POP, again(1, 1)), (1, 9, 10, POP, got(&[2]))]));
    bad(&with(&[(1, 7, 8, POP, got(&[1]))]));
    subtly_bad(&with(&[(1, 7, 8, POP, got(&[2]))]));
    subtly_bad(&with(&[(0, 7, 8, push(&[3]), pushed(1))]));
    // A loan that is given up has no place.
    good(&one_to_one(of(
        1,
        &[
            (0, 1, 2, What::Loan, Outcome::Done),
            (0, 3, 4, What::GiveUp, Outcome::Done),
            (0, 5, 6, push(&[3]), pushed(1)),
            (0, 7, 8, push(&[4]), Outcome::Full),
            (1, 9, 10, POP, got(&[3])),
        ],
    )));
}
