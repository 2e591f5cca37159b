//! Lines that begin with `#`: metadata, comments, and the end of OpenMetrics.

use super::{
    Format,
    cursor::{Cursor, Fault, Token},
    error::{Excerpt, Reason},
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
///
/// `family` is the last unquoted name that metadata had, and becomes that of this line: the next lines mostly begin with
/// it.
pub(super) fn read(cursor: &mut Cursor<'_>, format: Format, family: &mut String) -> Result<Hash, Fault> {
    match format {
        Format::Text => read_text(cursor, family).map(|()| Hash::Comment),
        Format::OpenMetrics => read_open_metrics(cursor, family),
    }
}

/// `# HELP name text` and `# TYPE name type`; everything else is a comment.
fn read_text(cursor: &mut Cursor<'_>, family: &mut String) -> Result<(), Fault> {
    cursor.expect(b'#', "#")?;
    let behind_hash = cursor.at;
    cursor.skip_blanks();
    let separated = cursor.at > behind_hash;
    let keyword = cursor.rest().get(..4).unwrap_or_default();
    let is_type = keyword == b"TYPE";
    if separated && (is_type || keyword == b"HELP") && matches!(cursor.rest().get(4), Some(b' ' | b'\t')) {
        cursor.at += 4;
        cursor.skip_blanks();
        read_name(cursor, &mut String::new(), family)?;
        if is_type {
            cursor.skip_blanks();
            read_type(cursor, &["counter", "gauge", "histogram", "summary", "untyped"])?;
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
fn read_open_metrics(cursor: &mut Cursor<'_>, family: &mut String) -> Result<Hash, Fault> {
    cursor.expect(b'#', "#")?;
    cursor.expect(b' ', "a space")?;
    if cursor.rest().starts_with(b"EOF") {
        cursor.at += 3;
        cursor.end_line()?;
        return Ok(Hash::Eof);
    }
    let Some(keyword @ (b"HELP " | b"TYPE " | b"UNIT ")) = cursor.rest().get(..5) else {
        return Err(cursor.expected("HELP, TYPE, UNIT or EOF"));
    };
    cursor.at += 5;
    let mut unescaped = String::new();
    let name = read_name(cursor, &mut unescaped, family)?;
    cursor.expect(b' ', "a space")?;
    match keyword {
        b"TYPE " => read_type(
            cursor,
            &["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"],
        )?,
        b"UNIT " => read_unit(cursor, name.of(cursor.text, &unescaped))?,
        _ => cursor.at = cursor.line_end(),
    }
    cursor.end_line()?;
    Ok(Hash::Comment)
}

/// A metric's name, quoted or not.
fn read_name(cursor: &mut Cursor<'_>, unescaped: &mut String, family: &mut String) -> Result<Token, Fault> {
    if cursor.peek() != b'"' {
        let token = cursor.metric_name(family)?;
        let name = token.of(cursor.text, "");
        if name != family {
            name.clone_into(family);
        }
        return Ok(token);
    }
    let start = *cursor;
    let name = cursor.quoted("a metric name", unescaped)?;
    if name.of(cursor.text, unescaped).is_empty() { Err(start.fault(Reason::EmptyName)) } else { Ok(name) }
}

fn read_type(cursor: &mut Cursor<'_>, types: &[&str]) -> Result<(), Fault> {
    cursor.word(|word| if types.contains(&word) { Ok(()) } else { Err(Reason::Type(Excerpt::new(word))) })
}

/// The rest of the line, which is nothing or ends the metric's name behind a `_`.
fn read_unit(cursor: &mut Cursor<'_>, name: &str) -> Result<(), Fault> {
    let start = *cursor;
    cursor.at = cursor.line_end();
    let unit = cursor.between(start.at, cursor.at);
    let ends_name = name.strip_suffix(unit).is_some_and(|family| family.ends_with('_'));
    if unit.is_empty() || ends_name { Ok(()) } else { Err(start.fault(Reason::Unit(Excerpt::new(unit)))) }
}
