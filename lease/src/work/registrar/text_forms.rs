//! The data forms, feature `serde`, of what is handed on as text: that text, read back as any other that comes from outside.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::work::registrar::{PublicKey, SignedHead};

macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

as_text!(PublicKey);
as_text!(SignedHead);
