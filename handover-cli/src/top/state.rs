//! What is shown, and what keys do to it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::widgets::ListState;

use crate::watch::{Inside, Look, Pace, Segment, Spread};

/// As many values as the widest line shows.
const KEPT: usize = 400;
/// Times are told of about so many looks.
const RECENT: usize = 60;

pub(super) struct Top {
    now: Look,
    paces: HashMap<String, Pace>,
    past: HashMap<String, Past>,
    /// The names in the order in which they are shown.
    names: Vec<String>,
    order: Order,
    reversed: bool,
    chosen: Option<String>,
    opened: Option<String>,
    /// How many of the opened one's members are above the first that is shown.
    pub(super) above: usize,
    paused: bool,
    help: bool,
    pub(super) interval: Duration,
    /// Which rows are to be seen.
    pub(super) rows: ListState,
    /// How many there is room for.
    pub(super) page: usize,
}

/// What is remembered of a segment.
#[derive(Default)]
pub(super) struct Past {
    pub(super) came: VecDeque<f64>,
    pub(super) went: VecDeque<f64>,
    /// How long tasks had waited and been worked on, as it stood then.
    times: VecDeque<(Instant, Spread, Spread)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Name,
    Depth,
    In,
    Out,
    Members,
}

impl Order {
    const ALL: [Order; 5] = [Order::Name, Order::Depth, Order::In, Order::Out, Order::Members];

    pub(super) fn told(self) -> &'static str {
        match self {
            Order::Name => "name",
            Order::Depth => "depth",
            Order::In => "rate in",
            Order::Out => "rate out",
            Order::Members => "members",
        }
    }

    fn next(self) -> Order {
        let place = Order::ALL.iter().position(|order| *order == self).unwrap_or(0);
        Order::ALL[(place + 1) % Order::ALL.len()]
    }
}

pub(super) enum Flow {
    On,
    Quit,
}

/// The times of tasks in the last while, or ever if there were none in it.
pub(super) struct Times {
    pub(super) within: Option<Duration>,
    pub(super) waited: Spread,
    pub(super) worked: Spread,
}

impl Top {
    pub(super) fn new(look: Look, interval: Duration, opened: Option<String>) -> Top {
        let mut top = Top {
            now: look,
            paces: HashMap::new(),
            past: HashMap::new(),
            names: Vec::new(),
            order: Order::Name,
            reversed: false,
            chosen: opened.clone(),
            opened,
            above: 0,
            paused: false,
            help: false,
            interval,
            rows: ListState::default(),
            page: 1,
        };
        top.arrange();
        top
    }

    /// Takes in how things stand now.
    pub(super) fn see(&mut self, look: Look) {
        self.paces = look.segments.iter().map(|one| (one.name.clone(), look.pace(&self.now, one))).collect();
        self.past.retain(|name, _| look.segment(name).is_some() || self.opened.as_ref() == Some(name));
        for segment in &look.segments {
            let Ok(Some(inside)) = &segment.inside else { continue };
            let (past, pace) = (self.past.entry(segment.name.clone()).or_default(), &self.paces[&segment.name]);
            keep(&mut past.came, pace.came, KEPT);
            keep(&mut past.went, pace.went, KEPT);
            if let Some(standing) = &inside.standing {
                keep(&mut past.times, (look.at, standing.waited.clone(), standing.worked.clone()), RECENT);
            }
        }
        self.now = look;
        self.arrange();
    }

    /// Puts the names in order, and chooses another one in the place of one that is gone.
    fn arrange(&mut self) {
        let place = self.chosen_place();
        let mut segments: Vec<&Segment> = self.now.segments.iter().collect();
        segments.sort_by(|a, b| {
            let key = |segment: &Segment| self.key(segment);
            // Names upward, numbers downward.
            key(b).total_cmp(&key(a)).then_with(|| a.name.cmp(&b.name))
        });
        if self.reversed {
            segments.reverse();
        }
        self.names = segments.iter().map(|segment| segment.name.clone()).collect();
        if !self.chosen.as_ref().is_some_and(|chosen| self.names.contains(chosen)) {
            self.chosen = self.names.get(place.min(self.names.len().saturating_sub(1))).cloned();
        }
    }

    fn key(&self, segment: &Segment) -> f64 {
        let pace = self.paces.get(&segment.name);
        // What can't be told of comes last.
        let Ok(Some(inside)) = &segment.inside else { return if self.order == Order::Name { 0.0 } else { -1.0 } };
        match self.order {
            Order::Name => 0.0,
            Order::Depth => inside.depth as f64,
            Order::In => pace.map_or(0.0, |pace| pace.came),
            Order::Out => pace.map_or(0.0, |pace| pace.went),
            Order::Members => inside.members.len() as f64,
        }
    }

    /// Where the chosen one stands.
    pub(super) fn chosen_place(&self) -> usize {
        self.names
            .iter()
            .position(|name| Some(name) == self.chosen.as_ref())
            .unwrap_or(self.rows.selected().unwrap_or(0))
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.names.iter().filter_map(|name| self.now.segment(name))
    }

    pub(super) fn chosen(&self) -> Option<&Segment> {
        self.chosen.as_ref().and_then(|name| self.now.segment(name))
    }

    /// The name of the one that is open, and what there is of it now.
    pub(super) fn opened(&self) -> Option<(&str, Option<&Segment>)> {
        self.opened.as_deref().map(|name| (name, self.now.segment(name)))
    }

    pub(super) fn pace(&self, name: &str) -> Pace {
        self.paces.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn past(&self, name: &str) -> Option<&Past> {
        self.past.get(name)
    }

    pub(super) fn times(&self, segment: &Segment) -> Option<Times> {
        let standing = match &segment.inside {
            Ok(Some(Inside { standing: Some(standing), .. })) => standing,
            _ => return None,
        };
        let ever = Times { within: None, waited: standing.waited.clone(), worked: standing.worked.clone() };
        let Some((at, waited, worked)) = self.past(&segment.name).and_then(|past| past.times.front()) else {
            return Some(ever);
        };
        let (waited, worked) = (standing.waited.since(waited), standing.worked.since(worked));
        if waited.count() + worked.count() == 0 {
            return Some(ever);
        }
        Some(Times { within: Some(self.now.at.saturating_duration_since(*at)), waited, worked })
    }

    pub(super) fn order(&self) -> (Order, bool) {
        (self.order, self.reversed)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) fn is_helping(&self) -> bool {
        self.help
    }

    pub(super) fn press(&mut self, key: KeyEvent) -> Flow {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'C') if control => return Flow::Quit,
            KeyCode::Char('q') => return Flow::Quit,
            // Whatever else is pressed, who has read the help goes on.
            _ if self.help => self.help = false,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => self.opened = None,
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::PageUp => self.go(-(self.page as isize)),
            KeyCode::PageDown => self.go(self.page as isize),
            KeyCode::Home | KeyCode::Char('g') => self.go(isize::MIN / 2),
            KeyCode::End | KeyCode::Char('G') => self.go(isize::MAX / 2),
            _ if self.opened.is_some() => {}
            KeyCode::Enter | KeyCode::Right => {
                self.opened = self.chosen.clone();
                self.above = 0;
            }
            KeyCode::Char('s') => {
                self.order = self.order.next();
                self.arrange();
            }
            KeyCode::Char('r') => {
                self.reversed = !self.reversed;
                self.arrange();
            }
            _ => {}
        }
        Flow::On
    }

    /// Down by so many queues, or members of the one that is open.
    fn go(&mut self, down: isize) {
        if let Some((_, segment)) = self.opened() {
            let inside = segment.and_then(|segment| segment.inside.as_ref().ok()?.as_ref());
            let most = inside.map_or(0, |inside| inside.members.len().saturating_sub(self.page));
            self.above = self.above.saturating_add_signed(down).min(most);
        } else {
            let place = self.chosen_place().saturating_add_signed(down).min(self.names.len().saturating_sub(1));
            self.chosen = self.names.get(place).cloned();
        }
    }
}

fn keep<T>(values: &mut VecDeque<T>, value: T, most: usize) {
    values.push_back(value);
    if values.len() > most {
        values.pop_front();
    }
}
