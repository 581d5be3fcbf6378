//! What is scribbled over: a segment's bytes, by `docs/FORMAT.md`.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use super::choices::Choices;

const HEADER: usize = 96;
const CHECKSUM: usize = 88;
const START: u64 = 4096;
const CONTROL: u64 = 1024;
const ENTRY: u64 = 128;
/// Of a queue of tasks, with its rings' lines.
const TASKS_CONTROL: u64 = 1024 + 10 * 384;
const POSITION: u64 = (1 << 44) - 1;

/// A segment's file, which is the same memory as its mapping, and its measures as they were when it was made.
pub struct Body {
    file: File,
    header: [u8; HEADER],
    length: u64,
    entries: u64,
    slots: u64,
    stride: u64,
    capacity: u64,
    /// Whether its file goes on behind it.
    longer: bool,
    /// Whether a header was forged that takes in what lies behind: who writes there then is right.
    taken_in: Cell<bool>,
}

/// What stands behind the end of a segment whose file is longer.
const BEYOND: u8 = 0xc5;

impl Body {
    /// Of a descriptor that the segment's creator shared.
    pub fn of(segment: OwnedFd) -> Body {
        let file = File::from(segment);
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).expect("a segment begins with a header");
        let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let (kind, capacity, stride, total) = (header[16], word(24), word(64), word(80));
        let queue = kind == 1;
        let (slots, entries) =
            if queue { (total - stride * capacity, (word(56) & 0xffff_ffff) + 2) } else { (START, 0) };
        // The rest of its last page is mapped as well: who writes there has left the segment.
        let page = total.next_multiple_of(4096);
        let longer = file.set_len(page).is_ok() && page > total;
        let body = Body {
            file,
            header,
            length: total - START,
            entries,
            slots,
            stride,
            capacity,
            longer,
            taken_in: Cell::new(false),
        };
        if longer {
            body.write(total, &vec![BEYOND; (page - total) as usize]);
        }
        body
    }

    /// The same segment for another who scribbles; what lies behind its end is left alone.
    pub fn beside(segment: OwnedFd) -> Body {
        let file = File::from(segment);
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).expect("a segment begins with a header");
        let length = u64::from_le_bytes(header[80..88].try_into().expect("eight bytes")) - START;
        let (entries, slots, stride, capacity) = (0, START, 0, 0);
        Body { file, header, length, entries, slots, stride, capacity, longer: false, taken_in: Cell::new(false) }
    }

    /// Fails if anything was written behind the segment's end.
    pub fn check_beyond(&self) {
        if self.longer && !self.taken_in.get() {
            let end = START + self.length;
            let mut beyond = vec![0; (end.next_multiple_of(4096) - end) as usize];
            self.file.read_exact_at(&mut beyond, end).expect("it was made so long");
            assert!(beyond.iter().all(|byte| *byte == BEYOND), "something was written behind the segment's end");
        }
    }

    /// The header as it stands in the file now.
    pub fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        self.file.read_exact_at(&mut header, 0).expect("within the header");
        header
    }

    /// Puts the header back as it was.
    pub fn restore_header(&self) {
        self.write(0, &self.header);
    }

    fn word(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, offset).expect("within the segment");
        u64::from_le_bytes(bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, offset).expect("within the segment");
    }

    fn set(&self, offset: u64, word: u64) {
        self.write(offset, &word.to_le_bytes());
    }

    /// As on its first day.
    pub fn clear(&self) {
        self.write(START, &vec![0; self.length as usize]);
    }

    fn index_bits(&self) -> u32 {
        if self.capacity == 1 { 0 } else { 64 - (self.capacity - 1).leading_zeros() }
    }

    /// A position: one that stands in a ticket or near it, or any.
    fn position(&self, choices: &mut Choices) -> u64 {
        match choices.below(4) {
            0 => (choices.below(4) << self.index_bits() | choices.below(self.capacity)) & POSITION,
            1 => choices.any() & POSITION,
            _ => {
                let ticket = self.word(START + 128 * choices.below(2));
                ticket.wrapping_add(choices.below(5)).wrapping_sub(2) & POSITION
            }
        }
    }

    fn owner(&self, choices: &mut Choices) -> u64 {
        match choices.below(3) {
            0 => choices.below(1024),
            _ => choices.below(self.entries + 2),
        }
    }

    /// A ticket as a member might have written it, or nearly.
    fn ticket(&self, choices: &mut Choices) -> u64 {
        let closed = u64::from(choices.one_in(16));
        let count = if choices.one_in(2) { choices.below(128) } else { choices.below(4) };
        closed << 63 | count << 54 | self.owner(choices) << 44 | self.position(choices)
    }

    /// A stamp as a member might have written it, or nearly.
    fn stamp(&self, choices: &mut Choices) -> u64 {
        let state = if choices.one_in(4) { choices.below(16) } else { choices.below(8) };
        // Mostly as a lap stands in a position: above an index of zero.
        let index = if choices.one_in(8) { 0 } else { (1 << self.index_bits()) - 1 };
        let lap = (self.position(choices).wrapping_sub(choices.below(2) << self.index_bits()) & POSITION) & !index;
        let owner = if choices.one_in(2) { self.owner(choices) } else { 0 };
        let number = if choices.one_in(2) { choices.below(64) } else { 0 };
        state << 60 | number << 54 | owner << 44 | lap
    }

    /// Changes a few bytes of the body.
    pub fn scribble(&self, choices: &mut Choices) {
        if self.entries == 0 {
            return self.scribble_bytes(choices);
        }
        match choices.below(18) {
            0 => self.scribble_bytes(choices),
            1 => {
                let at = START + choices.below(self.length / 8) * 8;
                self.set(at, self.word(at) ^ 1 << choices.below(64));
            }
            2 => self.set(START + choices.below(CONTROL / 8) * 8, choices.number()),
            3 => self.set(START + 128 * choices.below(8) + 8 * choices.below(3), choices.number()),
            4 | 5 => self.set(START + 128 * choices.below(2), self.ticket(choices)),
            6 => {
                // Ticket or count: a little on or back.
                let at = START + 128 * choices.below(2);
                self.set(at, self.word(at).wrapping_add(choices.below(7)).wrapping_sub(3));
            }
            7 => {
                // Ring of one: the message that is held, or where the last batch ends, near the head.
                let (at, near) = (START + 136 + 8 * choices.below(2), choices.below(70));
                let held = self.word(START + 128).wrapping_add(near);
                self.set(at, if at == START + 136 { held << 8 | choices.below(256) } else { held });
            }
            8 => {
                let entry = START + CONTROL + ENTRY * choices.below(self.entries);
                self.set(entry, if choices.one_in(2) { choices.any() } else { choices.below(4) });
            }
            9 => {
                let entry = START + CONTROL + ENTRY * choices.below(self.entries);
                self.set(entry + 8 * choices.below(ENTRY / 8), choices.number());
            }
            10 => {
                // A message's length, where its kind has one: behind the stamp, or in front if there is none.
                let slot = self.slots + self.stride * choices.below(self.capacity);
                let at = (slot + choices.of(&[0, 8])).min(START + self.length - 4);
                let length = if choices.one_in(2) { choices.number() as u32 } else { choices.below(200) as u32 };
                self.write(at, &length.to_le_bytes());
            }
            11 => {
                // A message's bytes.
                let slot = self.slots + self.stride * choices.below(self.capacity);
                let at = (slot + choices.below(self.stride)) & !3;
                let bytes = (choices.number() as u32).to_le_bytes();
                let room = (START + self.length - at).min(4) as usize;
                self.write(at, &bytes[..room]);
            }
            _ => {
                let slot = self.slots + self.stride * choices.below(self.capacity);
                if slot + 8 <= START + self.length {
                    self.set(slot & !7, self.stamp(choices));
                }
            }
        }
    }

    /// Changes a word of the body, mostly one that says something, and often into one that could stand there.
    pub fn scribble_words(&self, choices: &mut Choices) {
        let mut bytes = vec![0; self.length as usize];
        self.file.read_exact_at(&mut bytes, START).expect("within the segment");
        let word = |at: usize| u64::from_le_bytes(bytes[8 * at..8 * at + 8].try_into().expect("eight bytes"));
        let said: Vec<usize> = (0..bytes.len() / 8).filter(|at| word(*at) != 0).collect();
        let any = |choices: &mut Choices| choices.below(bytes.len() as u64 / 8) as usize;
        let one_that_says = |choices: &mut Choices| match said.len() as u64 {
            0 => any(choices),
            count => said[choices.below(count) as usize],
        };
        let at = match choices.below(6) {
            0 => any(choices),
            1 => choices.below(TASKS_CONTROL / 8) as usize,
            _ => one_that_says(choices),
        };
        let old = word(at);
        let new = match choices.below(8) {
            0 => choices.number(),
            1 => choices.any(),
            2 => old ^ 1 << choices.below(64),
            3 => old.wrapping_add(choices.below(7)).wrapping_sub(3),
            // A block's state and owner.
            4 => old & !0xff | choices.below(256),
            5 => choices.below(12),
            _ => word(one_that_says(choices)),
        };
        self.set(START + 8 * at as u64, new);
    }

    fn scribble_bytes(&self, choices: &mut Choices) {
        let length = 1 + choices.below(64.min(self.length));
        let bytes: Vec<u8> = (0..length).map(|_| choices.below(256) as u8).collect();
        self.write(START + choices.below(self.length - length + 1), &bytes);
    }

    /// Changes the header, and mostly makes its checksum right again.
    pub fn scribble_header(&self, choices: &mut Choices) {
        let mut header = self.header();
        match choices.below(8) {
            0 => {
                let bit = choices.below(8 * HEADER as u64) as usize;
                header[bit / 8] ^= 1 << (bit % 8);
            }
            1 => {
                let length = 1 + choices.below(HEADER as u64) as usize;
                let at = choices.below((HEADER - length + 1) as u64) as usize;
                header[at..at + length].fill_with(|| choices.below(256) as u8);
            }
            2 => {
                // Features, of the kinds there are.
                let features = choices.below(8) | choices.below(2) << 31;
                header[20..24].copy_from_slice(&(features as u32).to_le_bytes());
            }
            3 => {
                // Kind.
                header[16..20].copy_from_slice(&(choices.below(5) as u32).to_le_bytes());
            }
            4 | 5 => self.forge(&mut header, choices),
            _ => {
                let at = choices.below(HEADER as u64 / 4) as usize * 4;
                let wide = at.is_multiple_of(8) && choices.one_in(2);
                let number = choices.number().to_le_bytes();
                let length = if wide { 8 } else { 4 };
                header[at..at + length].copy_from_slice(&number[..length]);
            }
        }
        if !choices.one_in(8) {
            let sum = header[..CHECKSUM]
                .iter()
                .fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
            header[CHECKSUM..].copy_from_slice(&sum.to_le_bytes());
        }
        let total = u64::from_le_bytes(header[80..88].try_into().expect("eight bytes"));
        if total > START + self.length {
            self.taken_in.set(true);
        }
        self.write(0, &header);
    }

    /// Measures that fit each other, and mostly the file: fewer slots, other messages, or other members than it was made
    /// with.
    fn forge(&self, header: &mut [u8; HEADER], choices: &mut Choices) {
        let word = |at: usize| u64::from_le_bytes(self.header[at..at + 8].try_into().expect("eight bytes"));
        let align = if choices.one_in(4) { 1 << choices.below(13) } else { word(40).max(1) };
        // A kind whose length varies stays as long as it was, or shorter: so that the longest there can be is known.
        let most = if word(40) == 4 { word(32) + 1 } else { 400 };
        let size = if choices.one_in(2) { choices.below(most) } else { word(32) };
        let members = if choices.one_in(2) { 1 + choices.below(1100) } else { self.entries.saturating_sub(2).max(1) };
        let one = header[20] & 3 == 3;
        let stride = if one {
            size.max(1).next_multiple_of(align)
        } else {
            (8_u64.next_multiple_of(align) + size).next_multiple_of(align.max(8))
        };
        let slots = (CONTROL + ENTRY * (members + 2)).next_multiple_of(align.max(128));
        let fit = self.length.saturating_sub(slots) / stride;
        let capacity = match choices.below(4) {
            0 => fit + choices.below(3),
            1 => 1 << choices.below(33),
            _ => choices.below(fit.max(1)) + 1,
        };
        let total = (START + slots).wrapping_add(capacity.wrapping_mul(stride));
        for (at, value) in [(24, capacity), (32, size), (40, align), (64, stride), (80, total)] {
            header[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
        }
        header[56..60].copy_from_slice(&(members as u32).to_le_bytes());
    }
}
