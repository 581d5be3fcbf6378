//! Messages from standard input.

use std::io::{self, BufRead, BufReader, Read};

use super::Framing;
use crate::interrupt::{Interrupt, LOOK};
use crate::system::standard;
use crate::trouble::Trouble;

pub(crate) struct Input<R: Read> {
    reader: BufReader<R>,
    framing: Framing,
}

impl Input<Interruptible> {
    /// Standard input, which ends when the process is asked to end.
    pub(crate) fn standard(framing: Framing, interrupt: &Interrupt) -> Input<Interruptible> {
        Input::over(Interruptible(interrupt.clone()), framing)
    }
}

impl<R: Read> Input<R> {
    fn over(reader: R, framing: Framing) -> Input<R> {
        Input { reader: BufReader::with_capacity(1 << 16, reader), framing }
    }

    /// The next message, in place of what stands in `message`. False if there is none.
    pub(crate) fn next(&mut self, message: &mut Vec<u8>) -> Result<bool, Trouble> {
        message.clear();
        let Some(end) = self.framing.end() else { return self.next_by_length(message) };
        if self.reader.read_until(end, message).map_err(unreadable)? == 0 {
            return Ok(false);
        }
        if message.last() == Some(&end) {
            message.pop();
            if end == b'\n' && standard::LINES_END_IN_TWO && message.last() == Some(&b'\r') {
                message.pop();
            }
        }
        Ok(true)
    }

    fn next_by_length(&mut self, message: &mut Vec<u8>) -> Result<bool, Trouble> {
        let broken = || {
            Trouble::Failed("the input ends in the middle of it; send all the bytes that its length promises".into())
        };
        let have = (&mut self.reader).take(4).read_to_end(message).map_err(unreadable)?;
        let length = match (<[u8; 4]>::try_from(&message[..]), have) {
            (Ok(bytes), _) => u32::from_le_bytes(bytes),
            (Err(_), 0) => return Ok(false),
            (Err(_), _) => return Err(broken()),
        };
        message.clear();
        // Grows by what comes, not by what is promised.
        let have = (&mut self.reader).take(length.into()).read_to_end(message).map_err(unreadable)?;
        if have < length as usize { Err(broken()) } else { Ok(true) }
    }
}

fn unreadable(error: io::Error) -> Trouble {
    Trouble::Failed(format!("standard input can't be read: {error}"))
}

/// Standard input, read without ever being stuck in it.
pub(crate) struct Interruptible(Interrupt);

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = io::stdin();
        while !self.0.asked() {
            if let Some(count) = standard::read(&input, buffer, LOOK)? {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Framing = Framing { null: false, binary: false };
    const NULL: Framing = Framing { null: true, binary: false };
    const BINARY: Framing = Framing { null: false, binary: true };

    fn all(input: &[u8], framing: Framing) -> (Vec<Vec<u8>>, bool) {
        let (mut input, mut messages, mut message) = (Input::over(input, framing), Vec::new(), Vec::new());
        loop {
            match input.next(&mut message) {
                Ok(true) => messages.push(message.clone()),
                Ok(false) => return (messages, true),
                Err(_) => return (messages, false),
            }
        }
    }

    fn messages(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn lines_are_messages_without_their_ends() {
        assert_eq!(all(b"", LINES), (messages(&[]), true));
        assert_eq!(
            all(b"a\n\nb\0\r\n", LINES),
            (messages(&["a", "", if standard::LINES_END_IN_TWO { "b\0" } else { "b\0\r" }]), true)
        );
        assert_eq!(all(b"a\nunended", LINES), (messages(&["a", "unended"]), true));
    }

    #[test]
    fn what_ends_with_a_nul_may_have_lines() {
        assert_eq!(all(b"a\nb\0\0c", NULL), (messages(&["a\nb", "", "c"]), true));
    }

    #[test]
    fn a_message_behind_its_length_may_be_anything() {
        assert_eq!(all(b"\x03\0\0\0a\n\0\0\0\0\0\x01\0\0\0b", BINARY), (messages(&["a\n\0", "", "b"]), true));
        for cut in [&b"\x01\0\0\0a\x02"[..], b"\x01\0\0\0a\x02\0\0\0b", b"\x01\0\0\0a\xff\xff\xff\xffb"] {
            assert_eq!(all(cut, BINARY), (messages(&["a"]), false));
        }
    }
}
