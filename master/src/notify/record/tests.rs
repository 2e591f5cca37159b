use agentx::SubId;
use notification::{AlarmId, Details, State, date_and_time};
use proptest::prelude::*;

use super::*;

fn entry_of(number: SubId, text: String) -> Entry {
    let alarm_type: Oid = "1.3.6.1.4.1.99999.0.1".parse().unwrap();
    let object =
        VarBind { name: Oid::new(vec![1, 3, 6, 1, 4, 1, 99_999, 1, number]).unwrap(), value: Value::Gauge32(1) };
    let time = date_and_time(std::time::UNIX_EPOCH).to_vec();
    let details = Details {
        id: AlarmId::of(b"c", &alarm_type, &object.name),
        alarm_type: alarm_type.clone(),
        sequence: 7,
        state: State::Raised,
        severity: Severity::Major,
        time: time.clone(),
        resource: "acme/web/web-0".to_owned(),
        text,
        event_type: None,
    };
    Entry {
        namespace: (number.is_multiple_of(2)).then(|| "acme".into()),
        proven: number.is_multiple_of(2),
        context: Arc::from(*b"c"),
        raised: time,
        worst: Severity::Critical,
        notification: Notification { oid: alarm_type, objects: vec![object], details: Some(details) },
    }
}

#[test]
fn a_record_is_read_as_it_was_written() {
    for count in [0, 1, 2, 10_000] {
        let entries: Vec<_> = (0..count).map(|number| entry_of(number, "Too many errors".to_owned())).collect();
        let (record, left_out) = write(entries.clone().into_iter()).unwrap();
        assert_eq!((read(&record).unwrap(), left_out), (entries, 0));
    }
}

#[test]
fn a_record_fits_into_a_secret_and_says_what_does_not() {
    // Texts that cannot be compressed.
    let mut state = 1_u64;
    let mut text = || {
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
        };
        (0..255).map(|_| letter()).collect::<String>()
    };
    let (record, left_out) = write((0..10_000).map(|number| entry_of(number, text()))).unwrap();
    assert!(record.len() <= MAX_RECORD && left_out > 0, "{} octets, {left_out} left out", record.len());
    assert_eq!(read(&record).unwrap().len(), 10_000 - left_out);
}

#[test]
fn the_file_is_replaced_and_a_damaged_one_is_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let store = RecordStore::new(directory.path());
    assert_eq!(store.load(), []);
    for count in [3, 1] {
        let entries: Vec<_> = (0..count).map(|number| entry_of(number, String::new())).collect();
        assert_eq!(store.save(entries.clone().into_iter()).unwrap(), 0);
        assert_eq!(store.load(), entries);
    }
    std::fs::write(directory.path().join("alarms"), b"damaged").unwrap();
    assert_eq!(store.load(), []);
}

proptest! {
    #[test]
    fn a_damaged_record_never_panics_and_has_no_forged_alarm(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let entries: Vec<_> = (0..20).map(|number| entry_of(number, String::new())).collect();
        let (mut record, _) = write(entries.into_iter()).unwrap();
        let at = at.index(record.len());
        record[at] ^= 1 << bit;
        if let Ok(read) = read(&record) {
            prop_assert!(read.iter().all(|entry| entry.notification.has_own_id(&entry.context)));
        }
    }
}
