//! One look at every segment.

use std::time::Instant;

use handover::{Error, Kind, NamedSegment, segments};

use super::inside::Inside;
use super::pace::Pace;
use crate::target::Target;

/// What was to be seen at that time.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) at: Instant,
    /// In the order of their names.
    pub(crate) segments: Vec<Segment>,
}

/// What can be told of a segment of any kind.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) name: String,
    /// None if that can't be told.
    pub(crate) kind: Option<Kind>,
    pub(crate) bytes: u64,
    /// Whether any process has it open.
    pub(crate) in_use: bool,
    /// None for plain memory, in which only its users know what stands; or why it can't be told.
    pub(crate) inside: Result<Option<Inside>, String>,
}

impl Look {
    /// Looks at all segments that have names.
    pub(crate) fn at_all() -> Result<Look, Error> {
        let at = Instant::now();
        Ok(Look { at, segments: segments()?.into_iter().filter_map(looked_at).collect() })
    }

    /// As `at_all`, and at one in a file, if that is there.
    pub(crate) fn at_all_and(file: Option<&Target>) -> Result<Look, Error> {
        let mut look = Look::at_all()?;
        let Some(file) = file else { return Ok(look) };
        let (kind, inside) = match file.kind() {
            Err(Error::NotFound { .. }) => return Ok(look),
            Err(error) => (None, Err(error.to_string())),
            Ok(kind) => (Some(kind), Inside::of(kind, file).map_err(|error| error.to_string())),
        };
        // Who has a file open without being a member of it can't be told.
        let members = inside.as_ref().ok().and_then(Option::as_ref).map(|inside| &inside.members);
        let in_use = members.is_some_and(|members| members.iter().any(|member| member.alive));
        look.segments.push(Segment { name: file.shown(), kind, bytes: 0, in_use, inside });
        look.segments.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(look)
    }

    pub(crate) fn segment(&self, name: &str) -> Option<&Segment> {
        let found = self.segments.binary_search_by(|segment| segment.name.as_str().cmp(name));
        found.ok().map(|place| &self.segments[place])
    }

    /// How fast that one moved since an earlier look; nothing moves in what was not there then.
    pub(crate) fn pace(&self, earlier: &Look, segment: &Segment) -> Pace {
        let now = segment.inside.as_ref().ok().and_then(Option::as_ref);
        let before = earlier.segment(&segment.name).and_then(|segment| segment.inside.as_ref().ok()?.as_ref());
        match (before, now) {
            (Some(before), Some(now)) => Pace::between(before, now, self.at.saturating_duration_since(earlier.at)),
            (None, Some(now)) => Pace::resting(now),
            (_, None) => Pace::default(),
        }
    }
}

/// None for one that went away meanwhile.
fn looked_at(segment: NamedSegment) -> Option<Segment> {
    let NamedSegment { name, kind, bytes, in_use, .. } = segment;
    let (kind, inside) = match kind {
        Err(error) => (None, Err(error.to_string())),
        Ok(kind) => match Inside::of(kind, &Target::Name(name.clone())) {
            Err(Error::NotFound { .. }) => return None,
            inside => (Some(kind), inside.map_err(|error| error.to_string())),
        },
    };
    Some(Segment { name, kind, bytes, in_use, inside })
}
