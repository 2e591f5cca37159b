//! Lines that begin with `#`: metadata, comments, and `# EOF` of OpenMetrics.

use super::{
    cursor::{Cursor, LineError, Token},
    error::{Excerpt, Reason},
    format::Format,
};

/// The kind of a line that begins with `#`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HashLine {
    /// Metadata or a comment. Nothing is kept.
    Comment,
    /// `# EOF` of OpenMetrics.
    Eof,
}

/// Parses the line at the cursor, and moves the cursor after it.
///
/// `family` is the last unquoted name in metadata, and is set to the name of this line. The following lines mostly
/// begin with it.
pub(super) fn parse(cursor: &mut Cursor<'_>, format: Format, family: &mut String) -> Result<HashLine, LineError> {
    match format {
        Format::Text => parse_text(cursor, family).map(|()| HashLine::Comment),
        Format::OpenMetrics => parse_open_metrics(cursor, family),
    }
}

/// Parses `# HELP name text` or `# TYPE name type`. Everything else is a comment.
fn parse_text(cursor: &mut Cursor<'_>, family: &mut String) -> Result<(), LineError> {
    cursor.expect(b'#', "#")?;
    let after_hash = cursor.at;
    cursor.skip_blanks();
    let separated = cursor.at > after_hash;
    let keyword = cursor.rest().get(..4).unwrap_or_default();
    let is_type = keyword == b"TYPE";
    if separated && (is_type || keyword == b"HELP") && matches!(cursor.rest().get(4), Some(b' ' | b'\t')) {
        cursor.at += 4;
        cursor.skip_blanks();
        parse_name(cursor, &mut String::new(), family)?;
        if is_type {
            cursor.skip_blanks();
            parse_type(cursor, &["counter", "gauge", "histogram", "summary", "untyped"])?;
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

/// Parses `# HELP name text`, `# TYPE name type`, `# UNIT name unit` or `# EOF`. There are no other comments.
fn parse_open_metrics(cursor: &mut Cursor<'_>, family: &mut String) -> Result<HashLine, LineError> {
    cursor.expect(b'#', "#")?;
    cursor.expect(b' ', "a space")?;
    if cursor.rest().starts_with(b"EOF") {
        cursor.at += 3;
        cursor.end_line()?;
        return Ok(HashLine::Eof);
    }
    let Some(keyword @ (b"HELP " | b"TYPE " | b"UNIT ")) = cursor.rest().get(..5) else {
        return Err(cursor.expected("HELP, TYPE, UNIT or EOF"));
    };
    cursor.at += 5;
    let mut unescaped = String::new();
    let name = parse_name(cursor, &mut unescaped, family)?;
    cursor.expect(b' ', "a space")?;
    match keyword {
        b"TYPE " => parse_type(
            cursor,
            &["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"],
        )?,
        b"UNIT " => parse_unit(cursor, name.of(cursor.text, &unescaped))?,
        _ => cursor.at = cursor.line_end(),
    }
    cursor.end_line()?;
    Ok(HashLine::Comment)
}

/// Parses a quoted or unquoted metric name.
fn parse_name(cursor: &mut Cursor<'_>, unescaped: &mut String, family: &mut String) -> Result<Token, LineError> {
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
    if name.of(cursor.text, unescaped).is_empty() { Err(start.error(Reason::EmptyName)) } else { Ok(name) }
}

fn parse_type(cursor: &mut Cursor<'_>, types: &[&str]) -> Result<(), LineError> {
    cursor.word(|word| if types.contains(&word) { Ok(()) } else { Err(Reason::Type(Excerpt::new(word))) })
}

/// Parses the rest of the line as a unit. It is empty, or the metric name ends with `_` and the unit.
fn parse_unit(cursor: &mut Cursor<'_>, name: &str) -> Result<(), LineError> {
    let start = *cursor;
    cursor.at = cursor.line_end();
    let unit = cursor.between(start.at, cursor.at);
    let ends_name = name.strip_suffix(unit).is_some_and(|family| family.ends_with('_'));
    if unit.is_empty() || ends_name { Ok(()) } else { Err(start.error(Reason::Unit(Excerpt::new(unit)))) }
}
