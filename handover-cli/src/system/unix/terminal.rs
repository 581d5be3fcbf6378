//! Terminals that are written to.

/// Whether they take sequences that move the cursor and change colours.
pub(crate) fn takes_sequences() -> bool {
    true
}
