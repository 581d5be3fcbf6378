//! What tells a path from a name.

/// A slash, a backslash or a drive's letter make it a path; but for the names that say who can find them, `Global\lines` and
/// `Local\lines`.
pub(crate) fn is_path(text: &[u8]) -> bool {
    let name = [&br"Global\"[..], br"Local\"].iter().find_map(|scope| text.strip_prefix(*scope)).unwrap_or(text);
    let drive = matches!(name, [letter, b':', ..] if letter.is_ascii_alphabetic());
    drive || name.contains(&b'/') || name.contains(&b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backslashes_and_drives_make_paths_and_scopes_do_not() {
        for name in ["lines", "a.b", r"Global\lines", r"Local\lines", "ab:c"] {
            assert!(!is_path(name.as_bytes()), "{name}");
        }
        for path in ["./lines", r".\lines", r"c:lines", r"C:\lines", r"Global\a\b", r"Other\lines"] {
            assert!(is_path(path.as_bytes()), "{path}");
        }
    }
}
