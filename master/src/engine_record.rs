//! What of the SNMP engine outlives a restart: snmpEngineID and snmpEngineBoots (RFC 3414 section 2.2), in the form in
//! which they are kept, be it in a file or in a Secret.

// Where snmpEngineBoots stays once it is reached (RFC 3414 section 2.2.2), as snmpEngineTime.
use async_snmp::v3::{MAX_ENGINE_ID_LEN, MAX_ENGINE_TIME as MAX_BOOTS, MIN_ENGINE_ID_LEN, validate_engine_id};
use data_encoding::HEXLOWER;
use serde::Deserialize;

use crate::snmp::EngineIdentity;

/// The name of the file, and of the key of a Secret.
pub const NAME: &str = "engine.json";

/// The version of the form.
const VERSION: u32 = 1;
/// The enterprise below which the product's own objects stand.
const ENTERPRISE: u32 = 8072;
/// The format of an engine id whose rest is octets of the administrator's choice (RFC 3411, SnmpEngineID).
const OCTETS: u8 = 5;
/// How many of them: by chance no two engines have the same.
const RANDOM: usize = 16;
/// How long an engine id may be, in octets (RFC 3411, SnmpEngineID).
const ENGINE_ID_LENGTHS: std::ops::RangeInclusive<usize> = MIN_ENGINE_ID_LEN..=MAX_ENGINE_ID_LEN;

/// What is kept.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Saved {
    version: u32,
    engine_id: String,
    engine_boots: u32,
}

/// A new engine, in its first boot.
///
/// # Errors
/// The system's, if it has no random numbers.
pub fn create() -> Result<EngineIdentity, getrandom::Error> {
    let mut engine_id = (0x8000_0000 | ENTERPRISE).to_be_bytes().to_vec();
    engine_id.push(OCTETS);
    let mut random = [0; RANDOM];
    getrandom::fill(&mut random)?;
    engine_id.extend(random);
    Ok(EngineIdentity { engine_id, boots: 1 })
}

/// The same engine, one boot later. At 2147483647 boots stay, and no message of USM that is authenticated is within the
/// time window.
#[must_use]
pub fn next_boot(engine: &EngineIdentity) -> EngineIdentity {
    EngineIdentity { engine_id: engine.engine_id.clone(), boots: engine.boots.saturating_add(1).min(MAX_BOOTS) }
}

/// Whether boots have come to their end: the engine needs another id.
#[must_use]
pub fn is_worn_out(engine: &EngineIdentity) -> bool {
    engine.boots >= MAX_BOOTS
}

/// Reads what was kept.
///
/// # Errors
/// What is wrong with it, for people.
pub fn parse(contents: &[u8]) -> Result<EngineIdentity, String> {
    let saved: Saved = serde_json::from_slice(contents).map_err(|error| error.to_string())?;
    if saved.version != VERSION {
        return Err(format!("version: {} is not known", saved.version));
    }
    let engine_id = HEXLOWER.decode(saved.engine_id.as_bytes()).map_err(|error| format!("engineId: {error}"))?;
    if !ENGINE_ID_LENGTHS.contains(&engine_id.len()) {
        return Err(format!("engineId: {} octets, and not 5 to 32", engine_id.len()));
    }
    validate_engine_id(&engine_id).map_err(|_| "engineId: all zeros or ones".to_owned())?;
    if !(1..=MAX_BOOTS).contains(&saved.engine_boots) {
        return Err(format!("engineBoots: {} is not between 1 and {MAX_BOOTS}", saved.engine_boots));
    }
    Ok(EngineIdentity { engine_id, boots: saved.engine_boots })
}

/// What is to be kept, as one line.
#[must_use]
pub fn serialize(engine: &EngineIdentity) -> String {
    let id = HEXLOWER.encode(&engine.engine_id);
    let saved = serde_json::json!({"version": VERSION, "engineId": id, "engineBoots": engine.boots});
    format!("{saved}\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_new_engine_has_an_id_of_its_own() {
        let (one, other) = (create().unwrap(), create().unwrap());
        assert_eq!(one.engine_id[..5], [0x80, 0x00, 0x1F, 0x88, 5]);
        assert_eq!((one.engine_id.len(), one.boots), (21, 1));
        assert_ne!(one.engine_id, other.engine_id);
    }

    #[rstest]
    #[case::empty("", "EOF")]
    #[case::cut_off(r#"{"version":1,"engineId":"80001f88"#, "EOF")]
    #[case::not_hexadecimal(r#"{"version":1,"engineId":"80001f8805zz","engineBoots":1}"#, "engineId")]
    #[case::too_short(r#"{"version":1,"engineId":"8000","engineBoots":1}"#, "engineId: 2 octets")]
    #[case::no_id(r#"{"version":1,"engineId":"0000000000","engineBoots":1}"#, "engineId: all zeros")]
    #[case::no_boots(r#"{"version":1,"engineId":"8000000001","engineBoots":0}"#, "engineBoots: 0")]
    #[case::negative(r#"{"version":1,"engineId":"8000000001","engineBoots":-1}"#, "invalid value")]
    #[case::from_later(r#"{"version":2,"engineId":"8000000001","engineBoots":1}"#, "version: 2")]
    fn what_cannot_be_an_engine_is_told(#[case] contents: &str, #[case] reason: &str) {
        let error = parse(contents.as_bytes()).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }

    proptest! {
        #[test]
        fn what_was_kept_is_read_again(
            engine_id in prop::collection::vec(any::<u8>(), 4..32),
            boots in 1..=MAX_BOOTS,
        ) {
            let engine = EngineIdentity { engine_id: [&[0x80][..], &engine_id].concat(), boots };
            prop_assert_eq!(parse(serialize(&engine).as_bytes()), Ok(engine.clone()));
            let next = next_boot(&engine);
            prop_assert_eq!(next.engine_id, engine.engine_id);
            prop_assert!(next.boots == boots + 1 || boots == MAX_BOOTS && next.boots == MAX_BOOTS);
        }
    }
}
