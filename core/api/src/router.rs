//! Finds the route of a request: a tree of path segments, read once from `routes.tsv`.
//!
//! At each segment a fixed word wins over a parameter; when that way leads nowhere (also: not with this method) the
//! parameter is tried. So `GET /users/batch/status` still reads the status of a user who is called `batch`.

use crate::{auth::AuthClass, call::Params, handlers::Handler, query, rate::Group};
use http::Method;
use std::collections::HashMap;

const TABLE: &str = include_str!("../routes.tsv");
/// No route is longer; a longer path is refused before any work.
const MAX_SEGMENTS: usize = 12;

#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    /// The path with its parameters in braces; the label of metrics.
    pub(crate) template: &'static str,
    pub(crate) auth: AuthClass,
    pub(crate) rate: Group,
    /// `None` for a documented route that is not built yet.
    pub(crate) handler: Option<Handler>,
    params: Vec<&'static str>,
}

#[derive(Debug)]
pub(crate) struct Router {
    routes: Vec<Route>,
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    words: HashMap<&'static str, Node>,
    parameter: Option<Box<Node>>,
    routes: Vec<usize>,
}

#[derive(Debug)]
pub(crate) enum Match<'r> {
    Found(&'r Route, Params),
    /// The path exists with these methods.
    Methods(Vec<&'r Method>),
    Nothing,
}

impl Router {
    /// The router of the built-in table. The error names the row.
    pub(crate) fn load() -> Result<Self, String> {
        Self::parse(TABLE)
    }

    fn parse(table: &'static str) -> Result<Self, String> {
        let mut router = Self { routes: Vec::new(), root: Node::default() };
        for row in table.lines().skip(1) {
            let route = parse_row(row, router.routes.len()).ok_or_else(|| format!("bad route: {row}"))?;
            router.add(route).map_err(|problem| format!("{problem}: {row}"))?;
        }
        Ok(router)
    }

    fn add(&mut self, route: Route) -> Result<(), &'static str> {
        let mut node = &mut self.root;
        for segment in segments(route.template) {
            node = match parameter_name(segment) {
                Some(_) => node.parameter.get_or_insert_default(),
                None => node.words.entry(segment).or_default(),
            };
        }
        if node.routes.iter().any(|&other| self.routes[other].method == route.method) {
            return Err("two routes of one shape");
        }
        node.routes.push(self.routes.len());
        self.routes.push(route);
        Ok(())
    }

    pub(crate) fn find(&self, method: &Method, path: &str) -> Match<'_> {
        let decoded: Option<Vec<String>> =
            segments(path).take(MAX_SEGMENTS + 1).map(|segment| query::decode(segment, false)).collect();
        let Some(parts) = decoded.filter(|parts| parts.len() <= MAX_SEGMENTS) else {
            return Match::Nothing;
        };
        // A HEAD is a GET whose body is not sent.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let mut others = Vec::new();
        let mut values = Vec::new();
        match self.walk(&self.root, method, &parts, &mut values, &mut others) {
            Some(route) => {
                let values = values.into_iter().cloned();
                Match::Found(route, Params(route.params.iter().copied().zip(values).collect()))
            }
            None if others.is_empty() => Match::Nothing,
            None => Match::Methods(others),
        }
    }

    fn walk<'r, 'p>(
        &'r self,
        node: &'r Node,
        method: &Method,
        parts: &'p [String],
        values: &mut Vec<&'p String>,
        others: &mut Vec<&'r Method>,
    ) -> Option<&'r Route> {
        let Some((part, rest)) = parts.split_first() else {
            let routes = node.routes.iter().map(|&route| &self.routes[route]);
            let found = routes.clone().find(|route| route.method == *method);
            if found.is_none() {
                others.extend(routes.map(|route| &route.method));
            }
            return found;
        };
        if let Some(found) =
            node.words.get(part.as_str()).and_then(|next| self.walk(next, method, rest, values, others))
        {
            return Some(found);
        }
        // A parameter is never empty.
        let next = node.parameter.as_deref().filter(|_| !part.is_empty())?;
        values.push(part);
        let found = self.walk(next, method, rest, values, others);
        if found.is_none() {
            values.pop();
        }
        found
    }
}

fn parse_row(row: &'static str, index: usize) -> Option<Route> {
    let columns: [&'static str; 6] = row.split('\t').collect::<Vec<_>>().try_into().ok()?;
    let [method, template, auth, _area, rate, handler] = columns;
    let params: Vec<_> = segments(template).filter_map(parameter_name).collect();
    let auth = AuthClass::parse(auth)?;
    if auth.names_user() && !params.contains(&"username") {
        return None;
    }
    Some(Route {
        method: Method::from_bytes(method.as_bytes()).ok()?,
        template,
        auth,
        rate: Group::parse(rate, index)?,
        handler: match handler {
            "-" => None,
            name => Some(Handler::named(name)?),
        },
        params,
    })
}

/// The segments of a path; one slash at the end is forgiven.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path).split('/')
}

fn parameter_name(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::HANDLERS;
    use std::collections::HashSet;

    fn found(router: &Router, method: Method, path: &str) -> Option<(&'static str, Vec<String>)> {
        match router.find(&method, path) {
            Match::Found(route, params) => {
                let values = params.0.into_iter().skip(2).map(|(_, value)| value);
                Some((route.template, values.collect()))
            }
            _ => None,
        }
    }

    #[test]
    fn every_handler_is_used_and_every_name_resolves() {
        // An unknown name fails the load.
        Router::load().unwrap();
        let named: HashSet<&str> = TABLE
            .lines()
            .skip(1)
            .filter_map(|row| row.rsplit('\t').next())
            .filter(|name| *name != "-")
            .collect();
        for (name, _) in HANDLERS {
            assert!(named.contains(name), "{name} is in no row");
        }
        assert_eq!(named.len(), HANDLERS.len());
    }

    #[test]
    fn built_and_missing_routes_are_counted() {
        let router = Router::load().unwrap();
        let built = router.routes.iter().filter(|route| route.handler.is_some()).count();
        println!(
            "{built} of {} routes are built, {} answer 501",
            router.routes.len(),
            router.routes.len() - built
        );
        assert!(router.routes.len() >= 300, "rows were lost from the table");
        assert!(built >= 26, "a built route was lost");
    }

    #[test]
    fn app_handlers_have_the_parameters_they_read() {
        let router = Router::load().unwrap();
        for route in router.routes.iter().filter(|route| route.handler.is_some()) {
            if let Some(Handler::App(_)) = route.handler {
                assert_eq!(route.params[..2], ["org", "app"], "{}", route.template);
            }
        }
    }

    #[test]
    fn words_win_and_parameters_catch_the_rest() {
        let router = Router::load().unwrap();
        let batch = "/{org}/{app}/users/batch/status";
        assert_eq!(found(&router, Method::POST, "/o/a/users/batch/status"), Some((batch, vec![])));
        let status = "/{org}/{app}/users/{username}/status";
        assert_eq!(
            found(&router, Method::GET, "/o/a/users/batch/status"),
            Some((status, vec!["batch".into()]))
        );
        assert_eq!(found(&router, Method::GET, "/o/a/users/ann/status/"), Some((status, vec!["ann".into()])));
        let document = "/easemob/server.json";
        assert_eq!(found(&router, Method::GET, document), Some((document, vec![])));
        let subscribe = "/{org}/{app}/users/{username}/presence/{expiry}";
        let values = vec!["ann".to_owned(), "600".to_owned()];
        assert_eq!(found(&router, Method::POST, "/o/a/users/ann/presence/600"), Some((subscribe, values)));
        let groups = "/{org}/{app}/chatgroups/{group}";
        assert_eq!(found(&router, Method::GET, "/o/a/chatgroups/1%2C2"), Some((groups, vec!["1,2".into()])));
    }

    #[test]
    fn heads_are_gets_and_unknown_things_are_told_apart() {
        let router = Router::load().unwrap();
        assert!(found(&router, Method::HEAD, "/o/a/chatfiles/x").is_some());
        let Match::Methods(methods) = router.find(&Method::PATCH, "/o/a/token") else {
            panic!("the path exists");
        };
        assert_eq!(methods, [&Method::POST]);
        for path in ["/", "", "/o/a/nothing", "/o/a/users//status", "/o/a/users/%ff", "//////////////////"] {
            assert!(matches!(router.find(&Method::GET, path), Match::Nothing), "{path}");
        }
    }

    #[test]
    fn a_bad_table_is_refused() {
        let head = "method\tpath\tauth\tarea\trate\thandler\n";
        for row in [
            "GET\t/{org}/{app}/x\tnone\tx\t-",
            "GET\t/{org}/{app}/x\twho\tx\t-\t-",
            "GET\t/{org}/{app}/x\tnone\tx\tno-such-rate\t-",
            "GET\t/{org}/{app}/x\tnone\tx\t-\tno.such_handler",
            "GET\t/{org}/{app}/x\tself\tx\t-\t-",
            "GET\t/{org}/{app}/x\tnone\tx\t-\t-\nGET\t/{o}/{a}/x\tnone\tx\t-\t-",
        ] {
            let table = String::leak(format!("{head}{row}\n"));
            assert!(Router::parse(table).is_err(), "{row}");
        }
    }
}
