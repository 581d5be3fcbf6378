//! Terminals that are written to.

/// Whether they take sequences that move the cursor and change colours, which may have to be asked for.
pub(crate) fn takes_sequences() -> bool {
    ratatui::crossterm::ansi_support::supports_ansi()
}
