//! What of the machine queues depend on, and whether it is as it should be. On Windows.

use winsafe::GlobalMemoryStatusEx;

use crate::doctor::Check;
use crate::numbers;
use crate::target::Target;

/// What there has to be, for whoever finds nothing else that is wrong.
pub(crate) const NEEDS: &str = "queues need Windows 10 or newer";

const MIB: u64 = 1 << 20;

/// What keeps the group of its owner, `g`, or all others, `o`, from writing to a segment.
pub(crate) fn how_to_keep_out(_whom: char, target: &Target) -> String {
    match target {
        Target::Name(_) => "make it anew, for yourself alone (handover create)".to_owned(),
        Target::File(path) => {
            format!("icacls \"{}\" /inheritance:r /grant:r \"%USERNAME%:F\"", path.display())
        }
    }
}

/// Whether a segment of that length can be tried to be made.
pub(crate) fn may_make(_bytes: u64) -> bool {
    true
}

/// All that is looked at.
pub(crate) fn checks() -> Vec<Check> {
    vec![room(GlobalMemoryStatusEx().ok().map(|told| (told.ullTotalPageFile, told.ullAvailPageFile)))]
}

/// Of what memory and page file are together, and of that what is free.
fn room(found: Option<(u64, u64)>) -> Check {
    let about = "page file";
    let Some((bytes, free)) = found else { return Check::well(about, "the system does not say how large it is") };
    let told = format!("with memory it has {}, of which {} are free", numbers::bytes(bytes), numbers::bytes(free));
    if free < (bytes / 20).min(64 * MIB) {
        Check::wrong("no-room", about, told)
            .meaning("New queues are refused for want of memory. Those that are there have theirs.")
            .remedy("let it grow (System Properties, Advanced, Performance, Virtual memory), or end what takes much")
    } else {
        Check::well(about, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_judged_by_what_is_free() {
        for (found, expected) in
            [(None, None), (Some((1 << 34, 1 << 33)), None), (Some((1 << 34, 1 << 20)), Some("no-room"))]
        {
            assert_eq!(room(found).code, expected);
        }
    }
}
