//! Plots, as pictures and in the terminal: pages that know lines and letters, and the two kinds of plots that are drawn.

pub(crate) mod curves;
pub(crate) mod dots;
mod page;
mod png;
mod svg;
pub(crate) mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use self::page::Page;
use crate::trouble::Trouble;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Svg,
    Png,
}

/// A file that a plot is to be written to.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    path: PathBuf,
    format: Format,
}

impl FromStr for Picture {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Picture, &'static str> {
        let path = PathBuf::from(text);
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let format = match extension.as_deref() {
            Some("svg") => Format::Svg,
            Some("png") => Format::Png,
            _ => return Err("a plot is written as .svg or .png"),
        };
        Ok(Picture { path, format })
    }
}

impl Picture {
    /// Before anything is measured for it: whether there is a place for it.
    pub(crate) fn check(&self) -> Result<(), Trouble> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if folder.is_dir() && !self.path.is_dir() {
            return Ok(());
        }
        let path = self.path.display();
        Err(Trouble::Failed(format!("{path}: no plot can be written there; name a file in a folder that exists")))
    }

    pub(crate) fn draw(&self, (width, height): (f64, f64), plot: impl Fn(&mut dyn Page)) -> Result<(), Trouble> {
        let bytes = match self.format {
            Format::Svg => {
                let mut page = svg::Svg::new(width, height);
                plot(&mut page);
                page.finish().into_bytes()
            }
            Format::Png => {
                let mut page = png::Png::new(width, height);
                plot(&mut page);
                page.finish()?
            }
        };
        fs::write(&self.path, bytes)
            .map_err(|error| Trouble::Failed(format!("{}: {error}; the figures stand above", self.path.display())))
    }
}
