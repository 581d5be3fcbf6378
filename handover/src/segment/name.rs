//! Names and places of segments.

use std::fmt;
use std::path::PathBuf;

use crate::Error;
use crate::os::{self, Location};

const LONGEST: usize = 200;

/// What is wrong with a name, if anything is.
pub(crate) fn check(name: &str) -> Result<(), Error> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST {
        "it is longer than 200 bytes"
    } else if name.contains('/') {
        "it contains a slash (to use a file anywhere, give its path)"
    } else if name.contains('\0') {
        "it contains a NUL"
    } else if name.starts_with('.') {
        "it starts with a dot"
    } else if let Some(why) = os::unfit_in_a_name(name) {
        why
    } else {
        return Ok(());
    };
    Err(Error::Name { name: name.to_owned(), why })
}

/// Where a segment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Named(String),
    Path(PathBuf),
    /// Without a name, or opened from a descriptor that does not tell it.
    Anonymous,
}

impl Place {
    /// Where the system keeps it. A file's path is made absolute, so that it stays the same file when the process changes
    /// its working folder. None if it has no name.
    pub(crate) fn location(&self) -> Result<Option<Location>, Error> {
        match self {
            Place::Named(name) => {
                check(name)?;
                Ok(Some(os::named(name)))
            }
            Place::Path(path) => {
                let unfit = |why| Error::Name { name: path.display().to_string(), why };
                if path.as_os_str().as_encoded_bytes().contains(&0) {
                    return Err(unfit("it contains a NUL"));
                }
                if path.file_name().is_none() {
                    return Err(unfit("it is no path of a file"));
                }
                let absolute = std::path::absolute(path);
                absolute
                    .map(|path| Some(os::at_path(path)))
                    .map_err(|source| Error::System { doing: format!("find the folder of {self}"), source })
            }
            Place::Anonymous => Ok(None),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Named(name) => write!(f, "segment {name:?}"),
            Place::Path(path) => write!(f, "file {}", path.display()),
            Place::Anonymous => f.write_str("anonymous segment"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for bad in ["", ".", "..", ".hidden", "a/b", "/", "a\0b", &"x".repeat(201)] {
            assert!(matches!(check(bad), Err(Error::Name { .. })), "{bad:?}");
        }
        for good in ["orders", "a.b", "ä", "with space", &"x".repeat(200)] {
            assert!(check(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_path_that_names_no_file_is_refused() {
        for bad in ["", "/", "..", "/tmp/..", "/tmp/a\0b"] {
            assert!(matches!(Place::Path(bad.into()).location(), Err(Error::Name { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_relative_path_is_made_absolute() {
        let file = Place::Path("x".into()).location().unwrap().unwrap();
        assert_eq!(file, os::at_path(std::env::current_dir().unwrap().join("x")));
    }

    #[test]
    fn places_are_shown_as_what_they_are() {
        assert_eq!(Place::Named("orders".into()).to_string(), "segment \"orders\"");
        assert_eq!(Place::Path("/x/y".into()).to_string(), "file /x/y");
        assert_eq!(Place::Anonymous.to_string(), "anonymous segment");
    }
}
