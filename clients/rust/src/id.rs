use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::errors::Error;

/// One identifier: at most 2^63-1, unique in its fleet, and ascending with time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl Id {
    /// The largest ID that there can be.
    pub const MAX: Id = Id(i64::MAX as u64);

    /// An ID of its number; none above 2^63-1.
    pub const fn new(value: u64) -> Option<Id> {
        if value > Self::MAX.0 {
            None
        } else {
            Some(Id(value))
        }
    }

    pub(crate) const fn raw(value: u64) -> Id {
        Id(value)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as databases have it (BIGINT).
    #[allow(clippy::cast_possible_wrap)] // never above 2^63-1
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }

    /// Crockford's base 32: always 13 digits, which sort as the IDs do.
    pub fn to_base32(self) -> String {
        (0..13).rev().map(|place| char::from(DIGITS[(self.0 >> (5 * place) & 31) as usize])).collect()
    }

    /// Reads the 13 digits that `to_base32` writes, in either case; I, L and O are read as 1, 1 and 0.
    pub fn from_base32(text: &str) -> Result<Id, Error> {
        let wrong = || Error::invalid(format!("{text:?} is not an ID in base 32; 0000000000000 to 7ZZZZZZZZZZZZ are"));
        if text.len() != 13 {
            return Err(wrong());
        }
        let mut value = 0u64;
        for (place, digit) in text.bytes().enumerate() {
            let digit = match digit.to_ascii_uppercase() {
                b'O' => 0,
                b'I' | b'L' => 1,
                other => DIGITS.iter().position(|each| *each == other).ok_or_else(wrong)?,
            };
            if place == 0 && digit > 7 {
                return Err(wrong());
            }
            value = value << 5 | digit as u64;
        }
        Ok(Id(value))
    }

    /// When it was minted, by the layout of its fleet ([`Client::layout`](crate::Client::layout) tells it).
    pub fn time(self, layout: Layout) -> SystemTime {
        let ms = layout.decode(self).unix_ms;
        if ms >= 0 {
            UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs())
        } else {
            UNIX_EPOCH - Duration::from_millis(ms.unsigned_abs())
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Id, Error> {
        let digits = !text.is_empty() && text.bytes().all(|each| each.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|_| digits)
            .and_then(Id::new)
            .ok_or_else(|| Error::invalid(format!("{text:?} is not an ID; 0 to 9223372036854775807 are")))
    }
}

impl From<Id> for u64 {
    fn from(id: Id) -> u64 {
        id.0
    }
}

impl From<Id> for i64 {
    fn from(id: Id) -> i64 {
        id.as_i64()
    }
}

impl TryFrom<u64> for Id {
    type Error = Error;

    fn try_from(value: u64) -> Result<Id, Error> {
        Id::new(value).ok_or_else(|| Error::invalid(format!("{value} is no ID: above 2^63-1")))
    }
}

impl TryFrom<i64> for Id {
    type Error = Error;

    fn try_from(value: i64) -> Result<Id, Error> {
        u64::try_from(value).map(Id).map_err(|_| Error::invalid(format!("{value} is no ID: negative")))
    }
}

#[cfg(feature = "serde")]
mod carried {
    use super::{fmt, Id};
    use serde::de::{Error, Unexpected, Visitor};

    impl serde::Serialize for Id {
        /// A string: readers that know doubles only would lose digits of a number.
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_str(self)
        }
    }

    struct Reader;

    impl Visitor<'_> for Reader {
        type Value = Id;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an ID, as a string or a number from 0 to 9223372036854775807")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
            text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<Id, E> {
            Id::new(value).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<Id, E> {
            Id::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
        }
    }

    impl<'de> serde::Deserialize<'de> for Id {
        /// Reads a string or a number.
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Id, D::Error> {
            from.deserialize_any(Reader)
        }
    }
}

/// Which bits of an ID mean what, and when its timestamps begin. It belongs to a fleet and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    timestamp: u8,
    datacenter: u8,
    worker: u8,
    sequence: u8,
    epoch_ms: i64,
}

/// The fields of an ID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Parts {
    /// Unix time in milliseconds.
    pub unix_ms: i64,
    /// The datacenter.
    pub datacenter: u64,
    /// The worker in it.
    pub worker: u64,
    /// The number within the millisecond.
    pub sequence: u64,
}

impl Default for Layout {
    /// That of a fleet for which nothing else was said: 41, 5, 5, 12 from 2024-01-01 on.
    fn default() -> Self {
        Layout { timestamp: 41, datacenter: 5, worker: 5, sequence: 12, epoch_ms: 1_704_067_200_000 }
    }
}

const fn mask(bits: u8) -> u64 {
    (1 << bits) - 1
}

impl Layout {
    /// A layout of its widths, which make 63 bits, with a timestamp; and the Unix milliseconds of timestamp 0.
    pub fn new(timestamp: u8, datacenter: u8, worker: u8, sequence: u8, epoch_ms: i64) -> Result<Layout, Error> {
        let sum = u32::from(timestamp) + u32::from(datacenter) + u32::from(worker) + u32::from(sequence);
        if timestamp == 0 || sum != 63 {
            return Err(Error::invalid(format!("{timestamp}+{datacenter}+{worker}+{sequence} bits are no layout: 63 are one, with a timestamp")));
        }
        Ok(Layout { timestamp, datacenter, worker, sequence, epoch_ms })
    }

    /// Takes an ID apart.
    pub fn decode(&self, id: Id) -> Parts {
        Parts {
            #[allow(clippy::cast_possible_wrap)] // at most 63 bits
            unix_ms: self.epoch_ms.saturating_add((id.0 >> (self.datacenter + self.worker + self.sequence)) as i64),
            datacenter: id.0 >> (self.worker + self.sequence) & mask(self.datacenter),
            worker: id.0 >> self.sequence & mask(self.worker),
            sequence: id.0 & mask(self.sequence),
        }
    }

    /// Makes an ID of its parts. With the other fields 0 it is the smallest ID of that millisecond: a bound for queries by time.
    pub fn encode(&self, parts: Parts) -> Result<Id, Error> {
        let wrong = || Error::invalid(format!("{parts:?} does not fit the layout {self:?}"));
        let timestamp = parts.unix_ms.checked_sub(self.epoch_ms).and_then(|ms| u64::try_from(ms).ok()).ok_or_else(wrong)?;
        let fields = [(timestamp, self.timestamp), (parts.datacenter, self.datacenter), (parts.worker, self.worker), (parts.sequence, self.sequence)];
        let mut value = 0;
        for (field, bits) in fields {
            if field > mask(bits) {
                return Err(wrong());
            }
            value = value << bits | field;
        }
        Ok(Id(value))
    }

    pub(crate) fn same_slot(&self, a: u64, b: u64) -> bool {
        (a ^ b) & (mask(self.datacenter + self.worker) << self.sequence) == 0
    }
}
