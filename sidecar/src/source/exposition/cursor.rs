//! A cursor in a text of complete lines, and the tokens of both formats.

use super::error::{Found, Reason};

/// An error and its byte position in the text. It is boxed, so that the result of parsing a token takes two words.
/// Errors are rare.
#[derive(Debug)]
pub(super) struct LineError(Box<(usize, Reason)>);

impl LineError {
    /// Returns the byte position in the text, and the reason.
    pub(super) fn into_parts(self) -> (usize, Reason) {
        *self.0
    }
}

/// A token: a range of the text, or of the buffer of unescaped texts.
///
/// Its start and end are in one word, because it is copied more often than it is used. Two halves that are written
/// separately and read together stall the processor, which halves the speed of the whole parser.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token(u64);

/// Marks a token of the buffer. No text is this long: it is a window or one line.
const UNESCAPED: u64 = 1 << 63;

impl Token {
    fn in_text(start: usize, end: usize) -> Self {
        Self((start as u64) << 32 | end as u64)
    }

    fn in_unescaped(start: usize, end: usize) -> Self {
        Self(Self::in_text(start, end).0 | UNESCAPED)
    }

    /// Returns whether the token is empty.
    pub(super) fn is_empty(self) -> bool {
        let (start, end) = self.range();
        start == end
    }

    /// Returns the end position.
    pub(super) fn end(self) -> usize {
        self.range().1
    }

    /// Returns the token moved by `distance` bytes. No text is so long that the halves overlap.
    pub(super) fn moved_by(self, distance: usize) -> Self {
        Self(self.0 + Self::in_text(distance, distance).0)
    }

    /// Returns the characters of the token. The arguments must be those that it was parsed with.
    pub(super) fn of<'t>(self, text: &'t str, unescaped: &'t str) -> &'t str {
        let (start, end) = self.range();
        let whole = if self.0 & UNESCAPED == 0 { text } else { unescaped };
        whole.get(start..end).unwrap_or_default()
    }

    fn range(self) -> (usize, usize) {
        let offset = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        (offset((self.0 & !UNESCAPED) >> 32), offset(self.0 & u64::from(u32::MAX)))
    }
}

/// A position in a text. Every line of the text ends with a line feed, and no token extends beyond its line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

/// `[a-zA-Z_:]`, and digits after the first character.
const METRIC_NAME: u8 = 1;
/// `[a-zA-Z_]`, and digits after the first character.
const LABEL_NAME: u8 = 2;
const DIGIT: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        #[allow(clippy::indexing_slicing, reason = "in a constant, an index out of bounds does not compile")]
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

/// Returns whether `byte` is in one of these classes.
fn is(byte: u8, classes: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|class| class & classes != 0)
}

/// Returns whether an unquoted metric name can continue with `byte`.
pub(super) fn continues_name(byte: u8) -> bool {
    is(byte, METRIC_NAME | DIGIT)
}

impl<'t> Cursor<'t> {
    /// Returns the byte at the cursor, or a line feed after the text.
    pub(super) fn peek(self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(b'\n')
    }

    /// Returns the text from the cursor on.
    pub(super) fn rest(self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Returns the text between two positions.
    pub(super) fn between(self, start: usize, end: usize) -> &'t str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Returns the position of the line feed that ends the line.
    pub(super) fn line_end(self) -> usize {
        self.at + memchr::memchr(b'\n', self.rest()).unwrap_or(self.rest().len())
    }

    /// Returns an error at the cursor.
    pub(super) fn error(self, reason: Reason) -> LineError {
        LineError(Box::new((self.at, reason)))
    }

    /// Returns the error that the text at the cursor is not what the grammar requires.
    pub(super) fn expected(self, expected: &'static str) -> LineError {
        let found = self.text.get(self.at..).and_then(|rest| rest.chars().next()).filter(|found| *found != '\n');
        self.error(Reason::Expected { expected, found: Found(found) })
    }

    /// Moves after `byte`, which must be at the cursor.
    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), LineError> {
        if self.peek() != byte {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// Moves after the end of the line, which must be at the cursor.
    pub(super) fn end_line(&mut self) -> Result<(), LineError> {
        self.expect(b'\n', "the end of the line")
    }

    /// Moves after spaces and tabs.
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t') {
            self.at += 1;
        }
    }

    /// Moves after an unquoted metric name. This is faster if the name begins with `previous`, an earlier name.
    pub(super) fn metric_name(&mut self, previous: &str) -> Result<Token, LineError> {
        self.name(METRIC_NAME, "a metric name", previous)
    }

    /// Moves to the quote of `opening` (a label name, `=` and a quote) if it is at the cursor. Returns the
    /// name.
    pub(super) fn label_opening(&mut self, opening: &str) -> Option<Token> {
        if !self.rest().starts_with(opening.as_bytes()) {
            return None;
        }
        let start = self.at;
        self.at += opening.len() - 1;
        Some(Token::in_text(start, self.at - 1))
    }

    /// Moves after an unquoted name of this length, which the caller has already checked.
    pub(super) fn checked_name(&mut self, length: usize) -> Token {
        let start = self.at;
        self.at += length;
        Token::in_text(start, self.at)
    }

    /// Moves after an unquoted label name.
    pub(super) fn label_name(&mut self) -> Result<Token, LineError> {
        self.name(LABEL_NAME, "a label name", "")
    }

    fn name(&mut self, class: u8, expected: &'static str, previous: &str) -> Result<Token, LineError> {
        if !is(self.peek(), class) {
            return Err(self.expected(expected));
        }
        let start = self.at;
        if self.rest().starts_with(previous.as_bytes()) {
            self.at += previous.len();
        }
        self.at += self.rest().iter().take_while(|byte| is(**byte, class | DIGIT)).count();
        Ok(Token::in_text(start, self.at))
    }

    /// Moves after a quoted text, whose opening quote must be at the cursor.
    ///
    /// The escapes are `\\`, `\"` and `\n`. As in Prometheus and OpenMetrics, a backslash before any other character is
    /// literal.
    #[inline]
    pub(super) fn quoted(&mut self, expected: &'static str, unescaped: &mut String) -> Result<Token, LineError> {
        let open = *self;
        self.expect(b'"', expected)?;
        self.at += special_in_quotes(self.rest());
        if self.peek() != b'"' {
            return self.quoted_with_escapes(open, unescaped);
        }
        self.at += 1;
        Ok(Token::in_text(open.at + 1, self.at - 1))
    }

    /// Moves after the quoted text that begins at `open` and has a backslash or the end of the line at the cursor.
    fn quoted_with_escapes(&mut self, open: Self, unescaped: &mut String) -> Result<Token, LineError> {
        let unescaped_start = unescaped.len();
        let mut start = open.at + 1;
        while self.peek() != b'"' {
            if self.peek() != b'\\' {
                return Err(open.error(Reason::Unclosed));
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

    /// Moves to the next blank or the end of the line, and parses the text in between.
    pub(super) fn word<T>(&mut self, parse: impl FnOnce(&'t str) -> Result<T, Reason>) -> Result<T, LineError> {
        let start = *self;
        // Nearly every byte is decided by the first comparison.
        let count =
            self.rest().iter().take_while(|byte| **byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\n')).count();
        self.at += count;
        parse(self.between(start.at, self.at)).map_err(|reason| start.error(reason))
    }
}

/// Returns the position of the first quote, backslash or line feed, or else the end.
///
/// Label values are short. Checking eight bytes at a time is faster than calling a function that is fast for long
/// texts.
fn special_in_quotes(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, _) = text.as_chunks::<8>();
    for (position, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // Sets the high bit of the first zero byte, and perhaps of later bytes.
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
        let equals = |byte: u8| zeros(word ^ (ONES * u64::from(byte)));
        let found = equals(b'"') | equals(b'\\') | equals(b'\n');
        if found != 0 {
            return position * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let tail = words.len() * 8;
    let rest = text.iter().skip(tail);
    tail + rest.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\n')).count()
}
