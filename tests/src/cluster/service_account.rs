//! Tokens of ServiceAccounts with claims that the API server would not issue, signed with the key of the cluster.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use data_encoding::BASE64URL_NOPAD;
use rcgen::{KeyPair, SigningKey as _};
use serde_json::Value;

use super::Cluster;

/// The length of each of the two numbers in an ES256 signature, in octets (RFC 7518 section 3.4).
const NUMBER: usize = 32;

impl Cluster {
    /// Returns a token with the header of `token` and changed claims, signed with the key of the API server.
    pub fn signed_anew(&self, token: &str, change: impl FnOnce(&mut Value)) -> Result<String> {
        let mut parts = token.split('.');
        let (header, claims) = (parts.next().unwrap_or_default(), parts.next().context("no token")?);
        let mut claims: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes())?)?;
        change(&mut claims);
        let signed = format!("{header}.{}", BASE64URL_NOPAD.encode(claims.to_string().as_bytes()));
        let key = KeyPair::from_pem(&fs::read_to_string(self.files.credential("service-accounts.key"))?)?;
        let signature = numbers(&key.sign(signed.as_bytes())?)?;
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }
}

/// Converts an ECDSA signature from a SEQUENCE of two INTEGERs to the two numbers one after the other.
fn numbers(der: &[u8]) -> Result<Vec<u8>> {
    let (sequence, rest) = element(der, 0x30)?;
    ensure!(rest.is_empty(), "the signature is followed by other data");
    let (first, rest) = element(sequence, 0x02)?;
    let (second, rest) = element(rest, 0x02)?;
    ensure!(rest.is_empty(), "the signature has more than two numbers");
    let mut numbers = Vec::new();
    for number in [first, second] {
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        let lacking =
            NUMBER.checked_sub(digits.len()).context("a number of the signature is too long for the curve")?;
        numbers.extend(std::iter::repeat_n(0, lacking));
        numbers.extend(digits);
    }
    Ok(numbers)
}

/// Returns the content of the first element, which must have this tag and less than 128 octets, and the rest.
fn element(der: &[u8], tag: u8) -> Result<(&[u8], &[u8])> {
    let (head, rest) = der.split_first_chunk::<2>().context("the element is missing")?;
    let length = usize::from(head[1]);
    ensure!(head[0] == tag && length < 128, "the element has an unexpected tag or length: {head:?}");
    rest.split_at_checked(length).context("the element is incomplete")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_two_numbers_of_32_octets() {
        let long = [&[0x02, 33, 0][..], &[0xff; 32]].concat();
        let der = [&[0x30, 38, 0x02, 1, 7][..], &long].concat();
        let expected = [&[0; 31][..], &[7], &[0xff; 32]].concat();
        assert_eq!(numbers(&der).unwrap(), expected);
        for end in 0..der.len() {
            assert!(numbers(&der[..end]).is_err(), "{end}");
        }
    }
}
