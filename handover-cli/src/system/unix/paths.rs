//! What tells a path from a name.

/// No name of a segment, and no program that is looked for, has a slash in it.
pub(crate) fn is_path(text: &[u8]) -> bool {
    text.contains(&b'/')
}
