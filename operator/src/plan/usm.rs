//! Translation of SNMPv3 users from the keys of a Secret.

use master_config::{Auth, AuthProtocol, PrivProtocol, Privacy, Secret, User};

use super::secret::Keys;

const AUTH_PROTOCOLS: [(&str, AuthProtocol); 7] = [
    ("MD5", AuthProtocol::Md5),
    ("SHA", AuthProtocol::Sha1),
    ("SHA-1", AuthProtocol::Sha1),
    ("SHA-224", AuthProtocol::Sha224),
    ("SHA-256", AuthProtocol::Sha256),
    ("SHA-384", AuthProtocol::Sha384),
    ("SHA-512", AuthProtocol::Sha512),
];

const PRIV_PROTOCOLS: [(&str, PrivProtocol); 7] = [
    ("DES", PrivProtocol::Des),
    ("AES", PrivProtocol::Aes128),
    ("AES-128", PrivProtocol::Aes128),
    ("AES-192", PrivProtocol::Aes192),
    ("AES-256", PrivProtocol::Aes256),
    ("AES-192-C", PrivProtocol::Aes192Cisco),
    ("AES-256-C", PrivProtocol::Aes256Cisco),
];

/// Reads the user `name` from the keys `authProtocol`, `authPassphrase`, `privProtocol` and `privPassphrase`.
///
/// # Errors
/// Returns a message for each problem in the Secret. No message contains a value.
pub(super) fn user(name: &str, secret: &Keys<'_>) -> Result<User, Vec<String>> {
    let auth = pair(secret, "auth", &AUTH_PROTOCOLS);
    let privacy = pair(secret, "priv", &PRIV_PROTOCOLS);
    match (auth, privacy) {
        (Ok(auth), Ok(privacy)) => Ok(User {
            name: name.to_owned(),
            auth: auth.map(|(protocol, passphrase)| Auth { protocol, passphrase }),
            privacy: privacy.map(|(protocol, passphrase)| Privacy { protocol, passphrase }),
        }),
        (auth, privacy) => Err(auth.err().into_iter().chain(privacy.err()).collect()),
    }
}

/// Returns the protocol and passphrase of `kind`. Both or neither must exist.
fn pair<T: Copy>(secret: &Keys<'_>, kind: &str, protocols: &[(&str, T)]) -> Result<Option<(T, Secret)>, String> {
    let (protocol_key, passphrase_key) = (format!("{kind}Protocol"), format!("{kind}Passphrase"));
    let lacks = |there: &str, missing: &str| {
        Err(format!("Secret {} has the key {there} but no key {missing}", secret.full_name))
    };
    match (secret.text(&protocol_key)?, secret.text(&passphrase_key)?) {
        (None, None) => Ok(None),
        (Some(_), None) => lacks(&protocol_key, &passphrase_key),
        (None, Some(_)) => lacks(&passphrase_key, &protocol_key),
        (Some(protocol), Some(passphrase)) => {
            let spelling = normalized(protocol.expose());
            let found = protocols.iter().find(|(name, _)| normalized(name) == spelling);
            found.map(|(_, protocol)| Some((*protocol, passphrase))).ok_or_else(|| {
                let names: Vec<_> = protocols.iter().map(|(name, _)| *name).collect();
                format!("key {protocol_key} of Secret {} must be one of {}", secret.full_name, names.join(", "))
            })
        }
    }
}

/// Returns the name of a protocol in upper case and without hyphens and other separators, which spellings differ in.
fn normalized(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::plan::secret::Secrets;

    fn read(data: &[(&str, &str)]) -> Result<User, Vec<String>> {
        let mut secrets = Secrets::default();
        let data: BTreeMap<_, _> =
            data.iter().map(|(key, text)| ((*key).to_owned(), text.as_bytes().to_vec())).collect();
        secrets.insert("snmp-system", "noc", data);
        user("noc", &secrets.get("snmp-system", "noc").unwrap())
    }

    #[test]
    fn usual_spellings_of_protocols_are_accepted() {
        let auth = [
            ("md5", AuthProtocol::Md5),
            ("SHA", AuthProtocol::Sha1),
            ("sha1", AuthProtocol::Sha1),
            ("SHA-1\n", AuthProtocol::Sha1),
            ("Sha-224", AuthProtocol::Sha224),
            ("SHA256", AuthProtocol::Sha256),
            ("sha_384", AuthProtocol::Sha384),
            ("SHA-512", AuthProtocol::Sha512),
        ];
        for (spelling, protocol) in auth {
            let user = read(&[("authProtocol", spelling), ("authPassphrase", "secret12")]).unwrap();
            assert_eq!(user.auth.unwrap().protocol, protocol, "{spelling}");
        }
        let privacy = [
            ("des", PrivProtocol::Des),
            ("AES", PrivProtocol::Aes128),
            ("aes128", PrivProtocol::Aes128),
            ("AES-192", PrivProtocol::Aes192),
            ("Aes256", PrivProtocol::Aes256),
            ("AES-192-C", PrivProtocol::Aes192Cisco),
            ("aes256c", PrivProtocol::Aes256Cisco),
        ];
        for (spelling, protocol) in privacy {
            let user = read(&[("privProtocol", spelling), ("privPassphrase", "secret12")]).unwrap();
            assert_eq!(user.privacy.unwrap().protocol, protocol, "{spelling}");
        }
    }

    #[test]
    fn errors_in_a_secret_do_not_show_its_values() {
        let errors =
            read(&[("authProtocol", "secret-1"), ("authPassphrase", "secret12"), ("privPassphrase", "secret34")]);
        assert_eq!(
            errors.unwrap_err(),
            [
                "key authProtocol of Secret snmp-system/noc must be one of MD5, SHA, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512",
                "Secret snmp-system/noc has the key privPassphrase but no key privProtocol",
            ]
        );
        assert_eq!(read(&[]).unwrap().auth, None);
    }
}
