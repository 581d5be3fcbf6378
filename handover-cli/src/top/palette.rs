//! Colours, and what stands for them where there are none.

use ratatui::style::{Color, Modifier, Style};

#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    coloured: bool,
}

impl Palette {
    pub(super) fn new(coloured: bool) -> Palette {
        Palette { coloured }
    }

    fn of(self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn title(self) -> Style {
        self.of(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// On a line of another colour, too, in that of all text.
    pub(super) fn head(self) -> Style {
        Style::new().fg(Color::Reset).add_modifier(Modifier::BOLD)
    }

    /// What is there to be read only by those who look for it.
    pub(super) fn quiet(self) -> Style {
        if self.coloured { self.of(Color::DarkGray) } else { Style::new().add_modifier(Modifier::DIM) }
    }

    pub(super) fn well(self) -> Style {
        self.of(Color::Green)
    }

    pub(super) fn doubtful(self) -> Style {
        self.of(Color::Yellow)
    }

    pub(super) fn bad(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn coming(self) -> Style {
        self.of(Color::Green)
    }

    pub(super) fn going(self) -> Style {
        self.of(Color::Blue)
    }

    pub(super) fn chosen(self) -> Style {
        if self.coloured {
            Style::new().bg(Color::Indexed(237)).add_modifier(Modifier::BOLD)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    /// By how full something is, from 0 to 1.
    pub(super) fn fill(self, part: f64) -> Style {
        match part {
            0.9.. => self.of(Color::Red),
            0.6.. => self.doubtful(),
            _ => self.well(),
        }
    }
}
