//! `GET /openapi.json`: the description of what is built, kept by hand and checked against the table of routes.

use crate::{
    call::Request,
    handlers::Answer,
    service::{Body, State, bytes_body},
};
use http::{HeaderValue, Response, header};
use std::sync::Arc;

const DOCUMENT: &str = include_str!("../openapi.json");

pub(crate) async fn document(_state: Arc<State>, _request: Request) -> Answer {
    let mut response: Response<Body> = Response::new(bytes_body(DOCUMENT));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, DOCUMENT.len().into());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn exactly_the_built_routes_are_described() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys().filter(|key| *key != "servers") {
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        let rows =
            include_str!("../routes.tsv").lines().skip(1).map(|row| row.split('\t').collect::<Vec<_>>());
        let built: BTreeSet<String> = rows
            .filter(|columns| columns[5] != "-")
            .map(|columns| format!("{} {}", columns[0], columns[1].replacen("/{org}/{app}", "", 1)))
            .collect();
        assert_eq!(described.difference(&built).collect::<Vec<_>>(), Vec::<&String>::new(), "not built");
        assert_eq!(built.difference(&described).collect::<Vec<_>>(), Vec::<&String>::new(), "not described");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(document: &Value, value: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(reference)) = fields.get("$ref") {
                        let pointer = reference.trim_start_matches('#');
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                    }
                    fields.values().for_each(|value| check(document, value));
                }
                Value::Array(list) => list.iter().for_each(|value| check(document, value)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        check(&document, &document);
    }
}
