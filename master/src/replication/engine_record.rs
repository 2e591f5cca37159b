//! The persistent state of the SNMP engine: snmpEngineID and snmpEngineBoots (RFC 3414 section 2.2).
//!
//! The format is the same in a file and in a Secret.

// snmpEngineBoots and snmpEngineTime have the same maximum (RFC 3414 section 2.2.2).
use async_snmp::v3::{MAX_ENGINE_ID_LEN, MAX_ENGINE_TIME as MAX_BOOTS, MIN_ENGINE_ID_LEN, validate_engine_id};
use data_encoding::HEXLOWER;
use serde::Deserialize;

use crate::snmp::EngineIdentity;

/// The name of the file, and the key in the Secret.
pub(crate) const NAME: &str = "engine.json";

/// The version of the format.
const VERSION: u32 = 1;
/// The enterprise number in new engine ids.
const ENTERPRISE: u32 = 8072;
/// The engine id format "octets, administratively assigned" (RFC 3411, SnmpEngineID).
const FORMAT_OCTETS: u8 = 5;
/// Number of random octets in a new engine id, enough to make it unique.
const RANDOM_OCTETS: usize = 16;
/// Valid lengths of an engine id in octets (RFC 3411, SnmpEngineID).
const ENGINE_ID_LENGTHS: std::ops::RangeInclusive<usize> = MIN_ENGINE_ID_LEN..=MAX_ENGINE_ID_LEN;

/// The JSON format.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Saved {
    version: u32,
    engine_id: String,
    engine_boots: u32,
}

/// Creates an engine in its first boot.
///
/// # Errors
/// Returns an error if the operating system provides no random numbers.
pub(crate) fn create() -> Result<EngineIdentity, getrandom::Error> {
    let mut engine_id = (0x8000_0000 | ENTERPRISE).to_be_bytes().to_vec();
    engine_id.push(FORMAT_OCTETS);
    let mut random = [0; RANDOM_OCTETS];
    getrandom::fill(&mut random)?;
    engine_id.extend(random);
    Ok(EngineIdentity { engine_id, boots: 1 })
}

/// Returns the engine in its next boot.
///
/// At 2147483647 the boots no longer increase. Then no authenticated message is within the time window (RFC 3414
/// section 3.2).
pub(crate) fn next_boot(engine: &EngineIdentity) -> EngineIdentity {
    EngineIdentity { engine_id: engine.engine_id.clone(), boots: engine.boots.saturating_add(1).min(MAX_BOOTS) }
}

/// Returns whether the boots have reached their maximum, so that the engine needs another id.
pub(crate) fn has_exhausted_boots(engine: &EngineIdentity) -> bool {
    engine.boots >= MAX_BOOTS
}

/// Parses a stored engine.
///
/// # Errors
/// Returns a description of what is wrong if the contents are invalid.
pub(crate) fn parse(contents: &[u8]) -> Result<EngineIdentity, String> {
    let saved: Saved = serde_json::from_slice(contents).map_err(|error| error.to_string())?;
    if saved.version != VERSION {
        return Err(format!("version: {} is not supported", saved.version));
    }
    let engine_id = HEXLOWER.decode(saved.engine_id.as_bytes()).map_err(|error| format!("engineId: {error}"))?;
    if !ENGINE_ID_LENGTHS.contains(&engine_id.len()) {
        return Err(format!("engineId: {} octets instead of 5 to 32", engine_id.len()));
    }
    validate_engine_id(&engine_id).map_err(|_| "engineId: all zeros or ones".to_owned())?;
    if !(1..=MAX_BOOTS).contains(&saved.engine_boots) {
        return Err(format!("engineBoots: {} is not between 1 and {MAX_BOOTS}", saved.engine_boots));
    }
    Ok(EngineIdentity { engine_id, boots: saved.engine_boots })
}

/// Serializes the engine as one line of JSON.
pub(crate) fn serialize(engine: &EngineIdentity) -> String {
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
    fn new_engines_have_unique_ids() {
        let (one, other) = (create().unwrap(), create().unwrap());
        assert_eq!(one.engine_id[..5], [0x80, 0x00, 0x1F, 0x88, 5]);
        assert_eq!((one.engine_id.len(), one.boots), (21, 1));
        assert_ne!(one.engine_id, other.engine_id);
    }

    #[rstest]
    #[case::empty("", "EOF")]
    #[case::truncated(r#"{"version":1,"engineId":"80001f88"#, "EOF")]
    #[case::not_hexadecimal(r#"{"version":1,"engineId":"80001f8805zz","engineBoots":1}"#, "engineId")]
    #[case::too_short(r#"{"version":1,"engineId":"8000","engineBoots":1}"#, "engineId: 2 octets")]
    #[case::all_zeros(r#"{"version":1,"engineId":"0000000000","engineBoots":1}"#, "engineId: all zeros")]
    #[case::no_boots(r#"{"version":1,"engineId":"8000000001","engineBoots":0}"#, "engineBoots: 0")]
    #[case::negative(r#"{"version":1,"engineId":"8000000001","engineBoots":-1}"#, "invalid value")]
    #[case::newer_version(r#"{"version":2,"engineId":"8000000001","engineBoots":1}"#, "version: 2")]
    fn an_invalid_state_is_an_error_with_the_reason(#[case] contents: &str, #[case] reason: &str) {
        let error = parse(contents.as_bytes()).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }

    proptest! {
        #[test]
        fn a_serialized_engine_parses_to_itself(
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
