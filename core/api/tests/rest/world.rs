//! A server with people, and the check that no route of an area was forgotten.

use crate::server::{Answer, Server};
use http::Method;
use meridian_chat::AppSettings;
use serde_json::Value;
use std::{collections::BTreeSet, sync::Mutex};

const TABLE: &str = include_str!("../../routes.tsv");

/// A server with people, and a book of what was called.
pub(crate) struct World {
    pub(crate) server: Server,
    alice: String,
    bob: String,
    called: Mutex<BTreeSet<String>>,
}

/// Whose bearer.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    App,
    Alice,
    Bob,
}
pub(crate) use Who::{Alice, App, Bob};

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(AppSettings { rate_factor: 0, ..AppSettings::default() }).await
    }

    pub(crate) async fn with(settings: AppSettings) -> Self {
        let server = Server::with(settings).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        server.user("carol").await;
        Self { server, alice, bob, called: Mutex::default() }
    }

    pub(crate) fn bearer(&self, who: Who) -> &str {
        match who {
            App => &self.server.token,
            Alice => &self.alice,
            Bob => &self.bob,
        }
    }

    pub(crate) async fn call(&self, who: Who, method: &str, path: &str, body: Value) -> Answer {
        let route = path.split('?').next().unwrap();
        self.called.lock().unwrap().insert(format!("{method} {route}"));
        let method: Method = method.parse().unwrap();
        self.server
            .call(method, path, Some(self.bearer(who)), Some(body).filter(|body| !body.is_null()))
            .await
    }

    /// Counts a call that was made otherwise.
    pub(crate) fn note(&self, method: &str, path: &str) {
        self.called.lock().unwrap().insert(format!("{method} {path}"));
    }

    /// A success.
    pub(crate) async fn ok(&self, who: Who, method: &str, path: &str, body: Value) -> Value {
        let answer = self.call(who, method, path, body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", String::from_utf8_lossy(&answer.bytes));
        answer.json()
    }

    pub(crate) async fn fails(
        &self,
        (who, method, path): (Who, &str, &str),
        body: Value,
        (status, error, text): (u16, &str, &str),
    ) {
        self.call(who, method, path, body).await.is_error(status, error, text);
    }

    /// Fails when a route of these areas was never called.
    pub(crate) fn check_all(&self, others: &[&Self], areas: &[&str], elsewhere: &[&str]) {
        let mut called = self.called.lock().unwrap().clone();
        others.iter().for_each(|other| called.extend(other.called.lock().unwrap().clone()));
        let fits = |template: &str, path: &str| {
            let (template, path): (Vec<_>, Vec<_>) =
                (template.split('/').collect(), path.split('/').collect());
            template.len() == path.len()
                && template.iter().zip(&path).all(|(part, value)| part.starts_with('{') || part == value)
        };
        let mut forgotten = Vec::new();
        for row in TABLE.lines().skip(1) {
            let columns: Vec<&str> = row.split('\t').collect();
            let (route, area) = (format!("{} {}", columns[0], columns[1]), columns[3]);
            if !areas.contains(&area) || elsewhere.contains(&route.as_str()) {
                continue;
            }
            assert_ne!(columns[5], "-", "{route} is not built");
            let template = route.replacen("/{org}/{app}", "", 1);
            // A path may fit a route with parameters and one with fixed words: the fixed one was meant.
            let is_called = called.iter().any(|path| fits(&template, path));
            if !is_called {
                forgotten.push(route);
            }
        }
        assert!(forgotten.is_empty(), "no test calls {forgotten:#?}");
    }
}
