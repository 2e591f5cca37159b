//! A place in a text of whole lines, and the tokens that both formats are made of.

use super::error::{Found, Reason};

/// What is wrong, and at which byte of the text. In a box, as there is none on nearly every line: so the result of
/// reading a token is two words.
#[derive(Debug)]
pub(super) struct Fault(Box<(usize, Reason)>);

impl Fault {
    /// The byte of the text, and what is wrong there.
    pub(super) fn into_parts(self) -> (usize, Reason) {
        *self.0
    }
}

/// A token: a part of the text, or of the buffer of unescaped text.
///
/// Its beginning and end are in one word, as it is copied more often than looked at: halves that are written apart and
/// read together stall the processor, which halves the speed of the whole parser.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token(u64);

/// Set in a token of the buffer. No text is as long as this: it is a window, or one line.
const UNESCAPED: u64 = 1 << 63;

impl Token {
    fn in_text(start: usize, end: usize) -> Self {
        Self((start as u64) << 32 | end as u64)
    }

    fn in_unescaped(start: usize, end: usize) -> Self {
        Self(Self::in_text(start, end).0 | UNESCAPED)
    }

    /// Whether it has no characters.
    pub(super) fn is_empty(self) -> bool {
        let (start, end) = self.place();
        start == end
    }

    /// Where it ends.
    pub(super) fn end(self) -> usize {
        self.place().1
    }

    /// The same so many bytes further on. No text is so long that the halves would meet.
    pub(super) fn moved_by(self, distance: usize) -> Self {
        Self(self.0 + Self::in_text(distance, distance).0)
    }

    /// The token's characters. Both arguments are those that it was read with.
    pub(super) fn of<'t>(self, text: &'t str, unescaped: &'t str) -> &'t str {
        let (start, end) = self.place();
        let whole = if self.0 & UNESCAPED == 0 { text } else { unescaped };
        whole.get(start..end).unwrap_or_default()
    }

    fn place(self) -> (usize, usize) {
        let offset = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        (offset((self.0 & !UNESCAPED) >> 32), offset(self.0 & u64::from(u32::MAX)))
    }
}

/// A place in a text. Every line of the text ends with a line feed, and no token goes beyond its line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

/// `[a-zA-Z_:]`, and digits behind the first place.
const METRIC_NAME: u8 = 1;
/// `[a-zA-Z_]`, and digits behind the first place.
const LABEL_NAME: u8 = 2;
const DIGIT: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        #[allow(clippy::indexing_slicing)] // A constant: an index out of bounds would not compile.
        let class = &mut classes[byte as usize];
        *class = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => METRIC_NAME | LABEL_NAME,
            b':' => METRIC_NAME,
            b'0'..=b'9' => DIGIT,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// Whether `byte` is one of these classes.
fn is(byte: u8, classes: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|class| class & classes != 0)
}

/// Whether a metric's unquoted name goes on with `byte`.
pub(super) fn continues_name(byte: u8) -> bool {
    is(byte, METRIC_NAME | DIGIT)
}

impl<'t> Cursor<'t> {
    /// The byte here. Behind the text is nothing but line feeds.
    pub(super) fn peek(self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(b'\n')
    }

    /// The text from here on.
    pub(super) fn rest(self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The part of the text between two places.
    pub(super) fn between(self, start: usize, end: usize) -> &'t str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The line feed that ends the line.
    pub(super) fn line_end(self) -> usize {
        self.at + memchr::memchr(b'\n', self.rest()).unwrap_or(self.rest().len())
    }

    pub(super) fn fault(self, reason: Reason) -> Fault {
        Fault(Box::new((self.at, reason)))
    }

    /// The fault that here is something else than what the grammar asks for.
    pub(super) fn expected(self, expected: &'static str) -> Fault {
        let found = self.text.get(self.at..).and_then(|rest| rest.chars().next()).filter(|found| *found != '\n');
        self.fault(Reason::Expected { expected, found: Found(found) })
    }

    /// Goes behind `byte`, which is asked for here.
    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Fault> {
        if self.peek() != byte {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// Goes behind the line's end, which is asked for here.
    pub(super) fn end_line(&mut self) -> Result<(), Fault> {
        self.expect(b'\n', "the end of the line")
    }

    /// Goes behind spaces and tabs.
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t') {
            self.at += 1;
        }
    }

    /// Goes behind a metric's unquoted name. One that begins as `known` does, a name read before, takes less time.
    pub(super) fn metric_name(&mut self, known: &str) -> Result<Token, Fault> {
        self.name(METRIC_NAME, "a metric name", known)
    }

    /// Goes to the quote of `opening`, which is a label's name, `=` and a quote, if it is here.
    pub(super) fn known_opening(&mut self, opening: &str) -> Option<Token> {
        if !self.rest().starts_with(opening.as_bytes()) {
            return None;
        }
        let start = self.at;
        self.at += opening.len() - 1;
        Some(Token::in_text(start, self.at - 1))
    }

    /// Goes behind an unquoted name that is known to be here.
    pub(super) fn known_name(&mut self, length: usize) -> Token {
        let start = self.at;
        self.at += length;
        Token::in_text(start, self.at)
    }

    /// Goes behind a label's unquoted name.
    pub(super) fn label_name(&mut self) -> Result<Token, Fault> {
        self.name(LABEL_NAME, "a label name", "")
    }

    fn name(&mut self, class: u8, expected: &'static str, known: &str) -> Result<Token, Fault> {
        if !is(self.peek(), class) {
            return Err(self.expected(expected));
        }
        let start = self.at;
        if self.rest().starts_with(known.as_bytes()) {
            self.at += known.len();
        }
        self.at += self.rest().iter().take_while(|byte| is(**byte, class | DIGIT)).count();
        Ok(Token::in_text(start, self.at))
    }

    /// Goes behind a quoted text, whose opening quote is asked for here.
    ///
    /// `\\`, `\"` and `\n` are escapes. A backslash before any other character stands for itself, as in Prometheus
    /// and as OpenMetrics has it.
    #[inline]
    pub(super) fn quoted(&mut self, expected: &'static str, unescaped: &mut String) -> Result<Token, Fault> {
        let open = *self;
        self.expect(b'"', expected)?;
        self.at += special_in_quotes(self.rest());
        if self.peek() != b'"' {
            return self.quoted_with_escapes(open, unescaped);
        }
        self.at += 1;
        Ok(Token::in_text(open.at + 1, self.at - 1))
    }

    /// Goes behind the quoted text that begins at `open`, and has a backslash or the line's end here.
    fn quoted_with_escapes(&mut self, open: Self, unescaped: &mut String) -> Result<Token, Fault> {
        let unescaped_start = unescaped.len();
        let mut start = open.at + 1;
        while self.peek() != b'"' {
            if self.peek() != b'\\' {
                return Err(open.fault(Reason::Unclosed));
            }
            unescaped.push_str(self.between(start, self.at));
            self.at += 1;
            let (character, length) = match self.peek() {
                b'n' => ('\n', 1),
                b'"' => ('"', 1),
                b'\\' => ('\\', 1),
                _ => ('\\', 0),
            };
            unescaped.push(character);
            self.at += length;
            start = self.at;
            self.at += special_in_quotes(self.rest());
        }
        unescaped.push_str(self.between(start, self.at));
        self.at += 1;
        Ok(Token::in_unescaped(unescaped_start, unescaped.len()))
    }

    /// Goes behind everything up to the next blank or the line's end, and has `read` make sense of it.
    pub(super) fn word<T>(&mut self, read: impl FnOnce(&'t str) -> Result<T, Reason>) -> Result<T, Fault> {
        let start = *self;
        // Nearly every byte is decided by the first comparison.
        let count =
            self.rest().iter().take_while(|byte| **byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\n')).count();
        self.at += count;
        read(self.between(start.at, self.at)).map_err(|reason| start.fault(reason))
    }
}

/// Where the first quote, backslash or line feed is, or else the end.
///
/// Labels' texts are short: eight bytes at a time in a word take less time than the call of a function that is fast on
/// long ones.
fn special_in_quotes(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, _) = text.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The high bit of the first byte that is zero, and perhaps of some behind it.
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
        let like = |byte: u8| zeros(word ^ (ONES * u64::from(byte)));
        let found = like(b'"') | like(b'\\') | like(b'\n');
        if found != 0 {
            return place * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let tail = words.len() * 8;
    let rest = text.iter().skip(tail);
    tail + rest.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\n')).count()
}
