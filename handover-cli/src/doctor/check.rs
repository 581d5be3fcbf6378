//! What was looked at, and how it is.

use serde_json::{Value, json};

use super::Colours;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Well,
    /// As it may be, but somebody may want to know.
    Note,
    Wrong,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Well => "well",
            State::Note => "note",
            State::Wrong => "wrong",
        }
    }
}

/// Something that was looked at: what was found, what that means, and how to put it right.
#[derive(Debug)]
pub(crate) struct Check {
    pub(super) state: State,
    /// For programs, of everything but what is well.
    pub(crate) code: Option<&'static str>,
    about: String,
    found: String,
    means: Option<&'static str>,
    remedy: Option<String>,
}

impl Check {
    pub(crate) fn well(about: impl Into<String>, found: impl Into<String>) -> Check {
        Check { state: State::Well, code: None, about: about.into(), found: found.into(), means: None, remedy: None }
    }

    pub(crate) fn note(code: &'static str, about: impl Into<String>, found: impl Into<String>) -> Check {
        Check { state: State::Note, code: Some(code), ..Check::well(about, found) }
    }

    pub(crate) fn wrong(code: &'static str, about: impl Into<String>, found: impl Into<String>) -> Check {
        Check { state: State::Wrong, code: Some(code), ..Check::well(about, found) }
    }

    pub(crate) fn meaning(self, means: &'static str) -> Check {
        Check { means: Some(means), ..self }
    }

    pub(crate) fn remedy(self, remedy: impl Into<String>) -> Check {
        Check { remedy: Some(remedy.into()), ..self }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "about": self.about, "state": self.state.word(), "code": self.code,
            "found": self.found, "means": self.means, "remedy": self.remedy,
        })
    }

    /// With what it is about in a column of that width.
    pub(super) fn lines(&self, width: usize, colours: &Colours) -> String {
        let state = colours.paint(self.state, &format!("{:<5}", self.state.word()));
        let mut text = format!("{state}  {:<width$}  {}\n", self.about, self.found);
        if let Some(means) = self.means {
            text += &format!("         {means}\n");
        }
        if let Some(remedy) = &self.remedy {
            text += &format!("         Do: {remedy}\n");
        }
        text
    }

    pub(super) fn width(&self) -> usize {
        self.about.chars().count()
    }
}
