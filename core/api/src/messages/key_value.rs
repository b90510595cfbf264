//! JSON values as the typed key-values of the client protocol, typed as the client SDK types them.

use meridian_types::msync::{
    KeyValue,
    key_value::{Value as Held, ValueType},
};
use serde_json::Value;

/// The largest whole number that a client's number type holds exactly.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

pub(crate) fn key_value(key: &str, value: &Value) -> KeyValue {
    let (kind, held) = match value {
        Value::Bool(flag) => (ValueType::Bool, Held::VarintValue(i64::from(*flag))),
        Value::String(text) => (ValueType::String, Held::StringValue(text.clone())),
        Value::Number(number) => match whole(number) {
            Some(whole) => (ValueType::Int, Held::VarintValue(whole)),
            None => (ValueType::Double, Held::DoubleValue(number.as_f64().unwrap_or_default())),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => {
            (ValueType::JsonString, Held::StringValue(value.to_string()))
        }
    };
    KeyValue { key: Some(key.to_owned()), r#type: Some(kind.into()), value: Some(held) }
}

/// A number without a fraction; `1.0` is one, as it is for the clients.
fn whole(number: &serde_json::Number) -> Option<i64> {
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= MAX_EXACT);
    number.as_i64().or_else(|| float().map(|float| float as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn typed(value: Value) -> (ValueType, Held) {
        let pair = key_value("k", &value);
        assert_eq!(pair.key.as_deref(), Some("k"));
        (ValueType::try_from(pair.r#type.unwrap()).unwrap(), pair.value.unwrap())
    }

    #[test]
    fn values_have_the_types_that_the_sdk_gives_them() {
        assert_eq!(typed(json!(true)), (ValueType::Bool, Held::VarintValue(1)));
        assert_eq!(typed(json!("x")), (ValueType::String, Held::StringValue("x".into())));
        assert_eq!(typed(json!(-3)), (ValueType::Int, Held::VarintValue(-3)));
        assert_eq!(typed(json!(1.0)), (ValueType::Int, Held::VarintValue(1)));
        assert_eq!(typed(json!(1.5)), (ValueType::Double, Held::DoubleValue(1.5)));
        assert_eq!(typed(json!(u64::MAX)), (ValueType::Double, Held::DoubleValue(u64::MAX as f64)));
        assert_eq!(
            typed(json!({"a": [1]})),
            (ValueType::JsonString, Held::StringValue("{\"a\":[1]}".into()))
        );
        assert_eq!(typed(json!([])), (ValueType::JsonString, Held::StringValue("[]".into())));
        assert_eq!(typed(Value::Null), (ValueType::JsonString, Held::StringValue("null".into())));
    }
}
