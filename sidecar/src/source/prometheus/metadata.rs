//! Lines that begin with `#`: metadata, comments, and the end of OpenMetrics.

use super::{
    Format,
    cursor::{Cursor, Fault},
    error::Reason,
};

/// What a line that begins with `#` is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hash {
    /// Metadata or a comment: nothing to keep.
    Comment,
    /// `# EOF` of OpenMetrics.
    Eof,
}

/// Reads the line at the cursor, and goes behind it.
pub(super) fn read(cursor: &mut Cursor<'_>, format: Format) -> Result<Hash, Fault> {
    match format {
        Format::Text => read_text(cursor).map(|()| Hash::Comment),
        Format::OpenMetrics => read_open_metrics(cursor),
    }
}

/// `# HELP name text` and `# TYPE name type`; everything else is a comment.
fn read_text(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    cursor.expect(b'#', "#")?;
    let behind_hash = cursor.at;
    cursor.skip_blanks();
    let separated = cursor.at > behind_hash;
    let keyword = cursor.rest().get(..4).unwrap_or_default();
    let is_type = keyword == b"TYPE";
    if separated && (is_type || keyword == b"HELP") && matches!(cursor.rest().get(4), Some(b' ' | b'\t')) {
        cursor.at += 4;
        cursor.skip_blanks();
        read_name(cursor)?;
        if is_type {
            cursor.skip_blanks();
            cursor.metric_type()?;
            cursor.skip_blanks();
            return cursor.end_line();
        }
        if !matches!(cursor.peek(), b' ' | b'\t' | b'\n') {
            return Err(cursor.expected("a blank"));
        }
    }
    cursor.at = cursor.line_end() + 1;
    Ok(())
}

/// `# HELP name text`, `# TYPE name type`, `# UNIT name unit` or `# EOF`; there are no other comments.
fn read_open_metrics(cursor: &mut Cursor<'_>) -> Result<Hash, Fault> {
    cursor.expect(b'#', "#")?;
    cursor.expect(b' ', "a space")?;
    if cursor.rest().starts_with(b"EOF") {
        cursor.at += 3;
        cursor.end_line()?;
        return Ok(Hash::Eof);
    }
    let is_type = match cursor.rest().get(..5) {
        Some(b"TYPE ") => true,
        Some(b"HELP " | b"UNIT ") => false,
        _ => return Err(cursor.expected("HELP, TYPE, UNIT or EOF")),
    };
    cursor.at += 5;
    read_name(cursor)?;
    cursor.expect(b' ', "a space")?;
    if is_type {
        cursor.metric_type()?;
        cursor.end_line()?;
    } else {
        cursor.at = cursor.line_end() + 1;
    }
    Ok(Hash::Comment)
}

fn read_name(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    if cursor.peek() != b'"' {
        return cursor.metric_name().map(|_| ());
    }
    let start = *cursor;
    let mut unescaped = String::new();
    let name = cursor.quoted("a metric name", &mut unescaped)?;
    if name.of(cursor.text, &unescaped).is_empty() { Err(start.fault(Reason::EmptyName)) } else { Ok(()) }
}
