//! Where the memory of segments is taken from.

use std::path::Path;

/// What to do where a segment in that folder can't be had; one with a name if there is none.
pub(crate) fn how_to_have_more(folder: Option<&Path>) -> String {
    let shows = folder.unwrap_or(Path::new("/dev/shm")).display();
    format!("make it smaller, or free some (df -h {shows} shows what is there, ulimit -f how large a file may be)")
}
