use crate::server::{EXPIRED, NO_RIGHT, Server, whole};
use http::{Method, Request};
use meridian_chat::AppSettings;
use serde_json::json;

#[tokio::test]
async fn unknown_apps_and_paths_are_404() {
    let server = Server::start().await;
    let request = Request::get("/demo/none/users").body(whole("")).unwrap();
    let error = "organization_application_not_found";
    let text = "Could not find application for demo/none from URI: demo/none/users";
    server.raw(request).await.is_error(404, error, text);
    let request = Request::get("/a%20b/none/users").body(whole("")).unwrap();
    server.raw(request).await.is_error(404, error, "Could not find application");
    for path in ["/", "/demo", "/demo/chat", "/demo/chat/nothing"] {
        let answer = server.raw(Request::get(path).body(whole("")).unwrap()).await;
        answer.is_error(404, "service_resource_not_found", "Service resource not found");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_options_is_200() {
    let server = Server::start().await;
    let answer = server.call(Method::PATCH, "/token", None, None).await;
    answer.is_error(405, "method not allowed", "");
    assert_eq!(answer.headers["allow"], "POST, OPTIONS");
    let answer = server.call(Method::OPTIONS, "/users", None, None).await;
    assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap().contains("DELETE")), (200, true));
}

#[tokio::test]
async fn tokens_are_asked_for() {
    let server = Server::start().await;
    let alice = server.user("alice").await;
    server.user("bob").await;
    let get = |path: &'static str, token: Option<String>| {
        let server = &server;
        async move { server.call(Method::GET, path, token.as_deref(), None).await }
    };
    get("/users", None).await.is_error(401, "unauthorized", EXPIRED);
    let corrupt = "Unable to authenticate due to corrupt access token";
    get("/users", Some("nonsense".into())).await.is_error(401, "auth_bad_access_token", corrupt);
    get("/users", Some(alice.clone())).await.is_error(401, "unauthorized", NO_RIGHT);
    get("/users/bob", Some(alice.clone())).await.is_error(401, "unauthorized", NO_RIGHT);
    get("/users/ALICE", Some(alice.clone())).await.ok();
    let uuid = get("/users/alice", Some(alice.clone())).await.ok()["entities"][0]["uuid"].clone();
    let by_uuid = format!("/users/{}", uuid.as_str().unwrap());
    server.call(Method::GET, &by_uuid, Some(&alice), None).await.ok();
    let bob = server.get("/users/bob").await.ok()["entities"][0]["uuid"].clone();
    let by_uuid = format!("/users/{}", bob.as_str().unwrap());
    server.call(Method::GET, &by_uuid, Some(&alice), None).await.is_error(401, "unauthorized", NO_RIGHT);

    let basic =
        Request::get("/demo/chat/users").header("authorization", "Basic eA==").body(whole("")).unwrap();
    server.raw(basic).await.is_error(401, "unauthorized", "token is illegal.");
}

#[tokio::test]
async fn routes_that_are_not_built_say_so_after_the_checks() {
    let server = Server::start().await;
    let path = "/callbacks/storage/info";
    server.get(path).await.is_error(501, "not_implemented", "GET /{org}/{app}/callbacks/storage/info");
    server.call(Method::GET, path, None, None).await.is_error(401, "unauthorized", EXPIRED);
    let request = Request::get("/demo/none/callbacks/storage/info").body(whole("")).unwrap();
    server.raw(request).await.is_error(404, "organization_application_not_found", "");
}

#[tokio::test]
async fn bodies_are_bounded_and_must_be_json() {
    let server = Server::start().await;
    let post = |body: Vec<u8>| {
        let request = Request::post("/demo/chat/token").body(whole(body)).unwrap();
        server.raw(request)
    };
    post(b"{".to_vec()).await.is_error(400, "json_parse", "");
    post(b"{\"grant_type\":\"\xff\"}".to_vec()).await.is_error(400, "json_parse", "");
    post(format!("{}1{}", "[".repeat(2000), "]".repeat(2000)).into()).await.is_error(400, "json_parse", "");
    post(Vec::new()).await.is_error(400, "json_parse", "");
    post(vec![b' '; 6000]).await.is_error(413, "Request Entity Too Large", "");
}

#[tokio::test]
async fn rates_are_limited_per_app() {
    // The real factor multiplies; one request a second is the smallest documented rate.
    let server = Server::with(AppSettings { rate_factor: 1, ..AppSettings::default() }).await;
    let path = "/push/sync/x";
    server.post(path, json!({})).await.is_error(403, "forbidden_op", "");
    server.post(path, json!({})).await.is_error(429, "reach_limit", "This request has reached api limit");
    let free = Server::with(AppSettings { rate_factor: 0, ..AppSettings::default() }).await;
    for _ in 0..20 {
        free.post(path, json!({})).await.is_error(403, "forbidden_op", "");
    }
}

#[tokio::test]
async fn the_envelope_says_what_was_asked() {
    let server = Server::start().await;
    server.user("alice").await;
    let answer = server.get("/users?limit=5&_v=17").await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let json = answer.ok();
    assert_eq!(json["action"], "get");
    assert_eq!(json["application"], server.app.uuid.as_str());
    assert_eq!(json["applicationName"], "chat");
    assert_eq!(json["organization"], "demo");
    assert_eq!(json["path"], "/users");
    assert_eq!(json["uri"], "http://rest.example.org/demo/chat/users");
    assert_eq!(json["params"], json!({"limit": ["5"]}));
    assert_eq!(json["count"], 1);
    assert!(json["timestamp"].as_u64().unwrap() > 1_700_000_000_000);
    assert!(json["duration"].is_u64());
    assert!(json.get("cursor").is_none(), "clients loop until there is no cursor");
}

#[tokio::test]
async fn a_head_has_no_body() {
    let server = Server::start().await;
    let request =
        Request::head("/demo/chat/users").header("authorization", format!("Bearer {}", server.token));
    let answer = server.raw(request.body(whole("")).unwrap()).await;
    assert_eq!((answer.status, answer.bytes.len()), (200, 0));
    assert!(answer.headers.contains_key("content-length"));
}

#[tokio::test]
async fn discovery_answers_the_address_asked() {
    let server = Server::start().await;
    let get = |uri: &'static str| {
        let request =
            Request::get(uri).header("host", "im.example.org:8443").header("x-forwarded-proto", "https");
        server.raw(request.body(whole("")).unwrap())
    };
    let json = get("/easemob/server.json?app_key=demo%23chat&_v=1").await.ok();
    assert_eq!(json["app_key"], "demo#chat");
    let rest = &json["rest"]["hosts"][0];
    assert_eq!(rest["protocol"], "https");
    assert_eq!(rest["domain"], "im.example.org");
    assert_eq!(rest["port"], "8443");
    assert_eq!(json["enableReportLogs"], "false");
    get("/easemob/server.json").await.ok();
    let error = "organization_application_not_found";
    get("/easemob/server.json?app_key=demo%23none").await.is_error(404, error, "demo/none");
    get("/easemob/server.json?app_id=none").await.is_error(404, error, "");
    let uri = format!("/easemob/server.json?app_id={}", server.app.uuid);
    let request = Request::get(uri).header("host", "im.example.org").body(whole("")).unwrap();
    assert_eq!(server.raw(request).await.ok()["app_key"], "demo#chat");
    let hostless = Request::get("/easemob/server.json").body(whole("")).unwrap();
    server.raw(hostless).await.is_error(400, "illegal_argument", "Host");
}

/// Whatever arrives, an answer of the documented shape goes back.
#[tokio::test]
async fn hostile_requests_are_answered() {
    let server = Server::with(AppSettings { rate_factor: 0, ..AppSettings::default() }).await;
    let words = [
        "users",
        "messages",
        "chatfiles",
        "token",
        "batch",
        "status",
        "msg_recall",
        "recall",
        "password",
        "disconnect",
        "alice",
        "%00",
        "%ff",
        "%",
        "..",
        "a%2Fb",
        "\u{e9}",
        "",
        "presence",
        "123",
        "undefined",
        "123e4567-e89b-12d3-a456-426614174000",
    ];
    let queries = [
        "",
        "?",
        "?limit=-1",
        "?limit=99999999999999999999&cursor=%ff",
        "?cursor=%00&&=&x",
        "?thumbnail=true",
    ];
    let bodies = [
        "",
        "null",
        "[]",
        "{}",
        "[[]]",
        "{\"to\":[{}]}",
        "{\"username\":{}}",
        "{\"grant_type\":1}",
        "{\"msgs\":[1]}",
        "{\"to\":[\"\"],\"type\":\"loc\",\"body\":{\"lat\":1e308}}",
        "{\"msg_id\":-1,\"to\":\"a\",\"chat_type\":\"chat\"}",
        "{\"usernames\":[1]}",
        "--B\r\n\r\n",
        "--B--",
    ];
    let methods = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD];
    // A fixed sequence, so that a failure can be repeated.
    let mut state = 1_u64;
    let mut pick = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut answered = 0;
    for _ in 0..4000 {
        let depth = pick(5);
        let path: String = (0..depth).map(|_| format!("/{}", words[pick(words.len())])).collect();
        let uri = format!("/demo/chat{path}{}", queries[pick(queries.len())]);
        let method = methods[pick(methods.len())].clone();
        let request = Request::builder()
            .method(method.clone())
            .uri(&uri)
            .header("authorization", format!("Bearer {}", server.token))
            .header("content-type", "multipart/form-data; boundary=B");
        // Not every text is a URI; those never get this far.
        let Ok(request) = request.body(whole(bodies[pick(bodies.len())])) else { continue };
        let answer = server.raw(request).await;
        assert!(answer.status != 500 && answer.status != 503, "{method} {uri}: {answer:?}");
        if method != Method::HEAD {
            assert!(answer.json().is_object(), "{method} {uri}");
        }
        answered += 1;
    }
    assert!(answered > 3000, "{answered}");
}
