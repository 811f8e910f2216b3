//! IDs as tests/vectors says. Frames are read and written by the common suite (tests/clients).
#![cfg(feature = "serde")]

use serde_json::{json, Value};
use snowfleet::{Id, Layout, Parts};

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/ids.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap()
}

fn width(row: &Value, name: &str) -> u8 {
    u8::try_from(row["layout"][name].as_u64().unwrap()).unwrap()
}

#[test]
fn ids_are_the_vectors() {
    let vectors = vectors();
    let rows = vectors["ids"].as_array().unwrap();
    let mut both = Vec::new();
    for row in rows {
        let id: Id = text(row, "id").parse().unwrap();
        let epoch_ms = row["epoch_ms"].as_i64().unwrap();
        let layout = Layout::new(width(row, "timestamp"), width(row, "datacenter"), width(row, "worker"), width(row, "sequence"), epoch_ms).unwrap();
        let number = |name: &str| row[name].as_u64().unwrap();
        let parts = Parts {
            unix_ms: row["unix_ms"].as_i64().unwrap(),
            datacenter: number("datacenter"),
            worker: number("worker"),
            sequence: number("sequence"),
        };
        assert_eq!(layout.decode(id), parts);
        assert_eq!(layout.encode(parts).unwrap(), id);
        assert_eq!((id.to_base32().as_str(), id.to_string().as_str()), (text(row, "base32"), text(row, "id")));
        assert_eq!(Id::from_base32(text(row, "base32")).unwrap(), id);
        let since = id.time(layout).duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(i64::try_from(since.as_millis()).unwrap(), parts.unix_ms);
        both.push((id.to_base32(), id));
    }
    both.sort();
    assert!(both.windows(2).all(|pair| pair[0].1 <= pair[1].1), "texts do not sort as numbers do");
    for row in vectors["read_as"].as_array().unwrap() {
        assert_eq!(Id::from_base32(text(row, "base32")).unwrap().to_string(), text(row, "id"));
    }
    for each in vectors["refused"].as_array().unwrap() {
        assert!(Id::from_base32(each.as_str().unwrap()).is_err(), "{each}");
    }
}

#[test]
fn forms() {
    let id = Id::new(382_339_661_470_629_891).unwrap();
    assert_eq!(json!({ "id": id }).to_string(), r#"{"id":"382339661470629891"}"#);
    for good in [r#""382339661470629891""#, "382339661470629891"] {
        assert_eq!(serde_json::from_str::<Id>(good).unwrap(), id);
    }
    for bad in ["-1", "1.5", r#""x""#, "9223372036854775808", "{}", r#""""#, r#""+1""#, "null"] {
        assert!(serde_json::from_str::<Id>(bad).is_err(), "{bad}");
    }
    assert_eq!(Id::try_from(id.as_i64()).unwrap(), id);
    assert!(Id::try_from(-1i64).is_err() && Id::try_from(1u64 << 63).is_err() && Id::new(u64::MAX).is_none());
    assert!(Layout::new(0, 31, 31, 1, 0).is_err() && Layout::new(41, 5, 5, 13, 0).is_err());
    let layout = Layout::default();
    for bad in
        [Parts::default(), Parts { unix_ms: i64::MIN, ..Parts::default() }, Parts { unix_ms: 1_800_000_000_000, worker: 32, ..Parts::default() }]
    {
        assert!(layout.encode(bad).is_err(), "{bad:?}");
    }
}
