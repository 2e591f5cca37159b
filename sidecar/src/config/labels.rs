//! The pod's labels, in the format of the downward API, and label selectors.

use std::collections::BTreeMap;

use sidecar_config::{LabelSelector, Operator, Requirement};

/// Labels by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// An invalid line of the file of labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(crate) struct LabelsError {
    /// The number of the line, from 1.
    pub(crate) line: usize,
    /// The reason.
    pub(crate) reason: Reason,
}

/// Why a line of the file of labels is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    /// The line has no `=` or no key.
    #[error("not of the form key=\"value\"")]
    Form,
    /// The value lacks a quote at an end, or contains one.
    #[error("the value is not enclosed in a pair of double quotes")]
    Quotes,
    /// The value contains an escape that Go's `%q` does not write.
    #[error("the value contains an escape that is not one of Go's")]
    Escape,
    /// The octets of the value are not UTF-8, for example because of `\xff`.
    #[error("the value is not UTF-8")]
    Utf8,
}

/// Parses lines of `key="value"` with values quoted by Go's `%q`: the downward API's format of `metadata.labels` (Kubernetes'
/// `fieldpath.FormatMap`).
///
/// # Errors
/// Returns an error for the first invalid line.
pub(crate) fn parse(text: &str) -> Result<Labels, LabelsError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    let labels = lines.map(|(i, line)| label(line).map_err(|reason| LabelsError { line: i + 1, reason }));
    labels.collect()
}

fn label(line: &str) -> Result<(String, String), Reason> {
    let (key, quoted) = line.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or(Reason::Form)?;
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(Reason::Quotes)?;
    Ok((key.to_owned(), unquote(inner)?))
}

/// Resolves the escapes of a Go string literal.
fn unquote(quoted: &str) -> Result<String, Reason> {
    let mut octets = Vec::with_capacity(quoted.len());
    let mut rest = quoted.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => return Err(Reason::Quotes),
            '\\' => escape(&mut rest, &mut octets)?,
            _ => push(c, &mut octets),
        }
    }
    String::from_utf8(octets).map_err(|_| Reason::Utf8)
}

fn escape(rest: &mut std::str::Chars<'_>, octets: &mut Vec<u8>) -> Result<(), Reason> {
    match rest.next().ok_or(Reason::Quotes)? {
        'x' => octets.push(u8::try_from(hex(rest, 2)?).map_err(|_| Reason::Escape)?),
        'u' => push(char::from_u32(hex(rest, 4)?).ok_or(Reason::Escape)?, octets),
        'U' => push(char::from_u32(hex(rest, 8)?).ok_or(Reason::Escape)?, octets),
        'a' => octets.push(0x07),
        'b' => octets.push(0x08),
        't' => octets.push(b'\t'),
        'n' => octets.push(b'\n'),
        'v' => octets.push(0x0b),
        'f' => octets.push(0x0c),
        'r' => octets.push(b'\r'),
        c @ ('\\' | '"') => push(c, octets),
        _ => return Err(Reason::Escape),
    }
    Ok(())
}

fn hex(rest: &mut std::str::Chars<'_>, digits: usize) -> Result<u32, Reason> {
    (0..digits).try_fold(0, |number: u32, _| {
        let digit = rest.next().and_then(|c| c.to_digit(16)).ok_or(Reason::Escape)?;
        Ok((number << 4) | digit)
    })
}

fn push(c: char, octets: &mut Vec<u8>) {
    octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Returns whether `selector` matches a pod with `labels`, with the semantics of Kubernetes.
#[must_use]
pub(crate) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| meets(requirement, labels.get(&requirement.key)))
}

fn meets(requirement: &Requirement, value: Option<&String>) -> bool {
    match requirement.operator {
        Operator::In => value.is_some_and(|value| requirement.values.contains(value)),
        Operator::NotIn => value.is_none_or(|value| !requirement.values.contains(value)),
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
        // Not an operator of pod selectors. A valid document does not contain it.
        Operator::Matches => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn labels_of_the_downward_api_are_parsed() {
        let text = "app=\"checkout\"\napp.kubernetes.io/pod-index=\"0\"\nempty=\"\"\n";
        let expected = labels(&[("app", "checkout"), ("app.kubernetes.io/pod-index", "0"), ("empty", "")]);
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(parse(""), Ok(Labels::new()));
    }

    #[rstest]
    #[case(r#"k="a=b""#, "a=b")]
    #[case(r#"k="say \"hi\"""#, "say \"hi\"")]
    #[case(r#"k="a\\b""#, "a\\b")]
    #[case(r#"k="\a\b\f\n\r\t\v""#, "\u{7}\u{8}\u{c}\n\r\t\u{b}")]
    #[case(r#"k="\x41\u00e9\U0001F600""#, "Aé😀")]
    #[case(r#"k="\xc3\xa9""#, "é")]
    #[case("k=\"é\"", "é")]
    fn go_escapes_are_resolved(#[case] line: &str, #[case] value: &str) {
        assert_eq!(parse(line), Ok(labels(&[("k", value)])));
    }

    #[rstest]
    #[case("app", Reason::Form)]
    #[case("=\"x\"", Reason::Form)]
    #[case("app=checkout", Reason::Quotes)]
    #[case("app=\"", Reason::Quotes)]
    #[case("app=\"x", Reason::Quotes)]
    #[case("app=\"x\"y\"", Reason::Quotes)]
    #[case(r#"app="x\""#, Reason::Quotes)]
    #[case(r#"app="\q""#, Reason::Escape)]
    #[case(r#"app="\x4""#, Reason::Escape)]
    #[case(r#"app="\ud800""#, Reason::Escape)]
    #[case(r#"app="\UFFFFFFFF""#, Reason::Escape)]
    #[case(r#"app="\xff""#, Reason::Utf8)]
    fn invalid_line_is_reported_with_its_number(#[case] line: &str, #[case] reason: Reason) {
        assert_eq!(parse(&format!("a=\"b\"\n\n{line}\n")), Err(LabelsError { line: 3, reason }));
    }

    fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
        Requirement { key: key.to_owned(), operator, values: values.iter().map(|&v| v.to_owned()).collect() }
    }

    #[rstest]
    #[case(Operator::In, &["checkout", "cart"], true)]
    #[case(Operator::In, &["cart"], false)]
    #[case(Operator::NotIn, &["cart"], true)]
    #[case(Operator::NotIn, &["checkout"], false)]
    #[case(Operator::Exists, &[], true)]
    #[case(Operator::DoesNotExist, &[], false)]
    fn requirement_matches_the_label(#[case] operator: Operator, #[case] values: &[&str], #[case] met: bool) {
        let pod = labels(&[("app", "checkout")]);
        let selector =
            LabelSelector { match_expressions: vec![requirement("app", operator, values)], ..LabelSelector::default() };
        assert_eq!(selects(&selector, &pod), met);
    }

    #[test]
    fn missing_label_meets_only_the_negative_requirements() {
        let none = Labels::new();
        let met = |operator, values: &[&str]| meets(&requirement("app", operator, values), none.get("app"));
        assert!(met(Operator::NotIn, &["x"]) && met(Operator::DoesNotExist, &[]));
        assert!(!met(Operator::In, &["x"]) && !met(Operator::Exists, &[]));
    }

    #[test]
    fn every_requirement_must_hold_and_the_empty_selector_selects_all() {
        let pod = labels(&[("app", "checkout"), ("tier", "web")]);
        assert!(selects(&LabelSelector::default(), &pod));
        let mut selector = LabelSelector { match_labels: pod.clone(), ..LabelSelector::default() };
        assert!(selects(&selector, &pod));
        selector.match_expressions.push(requirement("tier", Operator::NotIn, &["web"]));
        assert!(!selects(&selector, &pod));
    }
}
