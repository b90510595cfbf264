//! Percent decoding and query strings, as forgiving as the clients are careless.

use serde_json::{Map, Value};

/// Pairs beyond this number are ignored.
const LIMIT: usize = 64;

/// Decodes `%XX`; `None` when the result is not UTF-8. A `%` that starts no escape stands for itself.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let is_plain = |byte| byte != b'%' && !(plus_is_space && byte == b'+');
    if text.bytes().all(is_plain) {
        return Some(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = || Some(hex(*bytes.get(at + 1)?)? << 4 | hex(*bytes.get(at + 2)?)?);
        match byte {
            b'%' if let Some(value) = escape() => {
                decoded.push(value);
                at += 2;
            }
            b'+' if plus_is_space => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// The pairs of a query string, in order. Pairs that are not UTF-8 are dropped.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name, true)?, decode(value, true)?))
        });
        Self(decoded.take(LIMIT).collect())
    }

    /// The first value of a name. Clients write absent values as `undefined` or `null`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        (!matches!(value.as_str(), "" | "undefined" | "null")).then_some(value)
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The query as answers repeat it: name to list of values, without the cache buster `_v`.
    pub(crate) fn echo(&self) -> Value {
        let mut params = Map::new();
        for (name, value) in self.0.iter().filter(|(name, _)| name != "_v") {
            let values = params.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(values) = values {
                values.push(value.clone().into());
            }
        }
        params.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn escapes_are_decoded_and_bad_ones_kept() {
        assert_eq!(decode("a%2Cb%20c", false).unwrap(), "a,b c");
        assert_eq!(decode("a+b", true).unwrap(), "a b");
        assert_eq!(decode("a+b", false).unwrap(), "a+b");
        assert_eq!(decode("100%", true).unwrap(), "100%");
        assert_eq!(decode("%zz%4", true).unwrap(), "%zz%4");
        assert_eq!(decode("%E4%BD%A0", true).unwrap(), "你");
        assert_eq!(decode("%ff", true), None);
    }

    #[test]
    fn absent_values_have_many_spellings() {
        let query =
            Query::parse(Some("&limit=10&&cursor=undefined&key=null&e=&flag&is_top=True&_v=1&limit=2"));
        assert_eq!(query.get("limit"), Some("10"));
        for name in ["cursor", "key", "e", "flag", "missing"] {
            assert_eq!(query.get(name), None, "{name}");
        }
        assert!(query.is_true("is_top"));
        assert_eq!(query.echo()["limit"], json!(["10", "2"]));
        assert!(query.echo().get("_v").is_none());
    }

    #[test]
    fn a_query_is_bounded() {
        let text = "a=1&".repeat(1000);
        assert_eq!(Query::parse(Some(&text)).0.len(), LIMIT);
    }
}
