//! Where the memory of segments is taken from.

use std::path::Path;

/// What to do where a segment in that folder can't be had; one with a name if there is none.
pub(crate) fn how_to_have_more(folder: Option<&Path>) -> String {
    match folder {
        Some(folder) => format!("make it smaller, or free some on the disk of {}", folder.display()),
        None => "make it smaller, or let the page file grow (System Properties, Advanced, Performance, Virtual memory)"
            .to_owned(),
    }
}
