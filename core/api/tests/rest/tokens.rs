use crate::server::{Answer, NO_RIGHT, Server};
use http::Method;
use serde_json::{Value, json};

async fn grant(server: &Server, bearer: Option<&str>, body: Value) -> Answer {
    server.call(Method::POST, "/token", bearer, Some(body)).await
}

#[tokio::test]
async fn an_app_token_is_flat() {
    let server = Server::start().await;
    let (id, secret) = (server.app.client_id.as_str(), server.app.client_secret.as_str());
    let body = json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret});
    let json = grant(&server, None, body).await.ok();
    assert_eq!(json["application"], server.app.uuid.as_str());
    assert_eq!(json["expires_in"], 5_184_000);
    let token = json["access_token"].as_str().unwrap().to_owned();
    assert!(json.get("timestamp").is_none(), "the token answer has no envelope");
    server.call(Method::GET, "/users", Some(&token), None).await.ok();

    let wrong = |id: &str, secret: &str| json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret});
    grant(&server, None, wrong("x", secret)).await.is_error(400, "invalid_grant", "client_id does not match");
    grant(&server, None, wrong(id, "x")).await.is_error(400, "invalid_grant", "client_secret does not match");
    let missing = json!({"grant_type": "client_credentials"});
    grant(&server, None, missing).await.is_error(400, "invalid_grant", "client_id does not match");
}

#[tokio::test]
async fn a_password_gives_a_user_token() {
    let server = Server::start().await;
    server.user("alice").await;
    let body = |name: &str, password: &str, ttl: Value| json!({"grant_type": "password", "username": name, "password": password, "ttl": ttl, "timestamp": 1});
    let json = grant(&server, None, body("Alice", "pw", json!("600"))).await.ok();
    assert_eq!(json["expires_in"], 600);
    assert_eq!(json["user"]["username"], "alice");
    assert_eq!(json["user"]["type"], "user");
    // An absurd life is cut, and the token works.
    let json = grant(&server, None, body("alice", "pw", json!(u64::MAX))).await.ok();
    assert_eq!(json["expires_in"], 3_153_600_000_u64);
    let token = json["access_token"].as_str().unwrap();
    server.call(Method::GET, "/users/alice", Some(token), None).await.ok();
    let wrong = grant(&server, None, body("alice", "no", Value::Null)).await;
    wrong.is_error(400, "invalid_grant", "invalid username or password");
    for nobody in ["nobody", "no body", ""] {
        let answer = grant(&server, None, body(nobody, "pw", Value::Null)).await;
        answer.is_error(404, "invalid_grant", "user not found");
    }
    let bad = grant(&server, None, body("alice", "pw", json!("soon"))).await;
    bad.is_error(400, "illegal_argument", "ttl");
    server.post("/users/alice/deactivate", json!({})).await.ok();
    let banned = grant(&server, None, body("alice", "pw", Value::Null)).await;
    banned.is_error(400, "invalid_grant", "user not activated");
}

#[tokio::test]
async fn the_app_may_speak_for_its_users() {
    let server = Server::start().await;
    let alice = server.user("alice").await;
    let body = |name: &str, create: bool| json!({"grant_type": "inherit", "username": name, "autoCreateUser": create, "ttl": 0});
    let app = server.token.as_str();
    let json = grant(&server, Some(app), body("alice", false)).await.ok();
    assert_eq!((&json["user"]["username"], &json["expires_in"]), (&json!("alice"), &json!(0)));
    let json = grant(&server, Some(app), body("new", true)).await.ok();
    assert_eq!(json["user"]["username"], "new");
    server.get("/users/new").await.ok();

    grant(&server, Some(app), body("none", false)).await.is_error(
        404,
        "entity_not_found",
        "User null not found",
    );
    grant(&server, Some(app), body("a b", false)).await.is_error(
        404,
        "entity_not_found",
        "User null not found",
    );
    grant(&server, Some(app), body("a b", true)).await.is_error(
        400,
        "illegal_argument",
        "username [a b] is not legal",
    );
    let long = "a".repeat(65);
    grant(&server, Some(app), body(&long, true)).await.is_error(400, "illegal_argument", "USERNAME_TOO_LONG");
    grant(&server, None, body("alice", false)).await.is_error(401, "unauthorized", NO_RIGHT);
    grant(&server, Some(&alice), body("alice", false)).await.is_error(401, "unauthorized", NO_RIGHT);
    grant(&server, Some("x"), body("alice", false)).await.is_error(401, "auth_bad_access_token", "corrupt");
}

#[tokio::test]
async fn other_grants_are_refused() {
    let server = Server::start().await;
    let agora = grant(&server, Some("007x"), json!({"grant_type": "agora"})).await;
    agora.is_error(401, "auth_bad_access_token", "Unable to authenticate");
    grant(&server, None, json!({"grant_type": "x"})).await.is_error(400, "illegal_argument", "grant_type");
    grant(&server, None, json!({})).await.is_error(400, "illegal_argument", "grant_type");
}

#[tokio::test]
async fn a_token_knows_when_it_ends() {
    let server = Server::start().await;
    let alice = server.user("alice").await;
    let path = "/sdk/users/alice/token/expires";
    let json = server.call(Method::GET, path, Some(&alice), None).await.ok();
    let ends = json["expire_timestamp"].as_u64().unwrap();
    let life_ms = ends - std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    assert!((5_000_000_000..=5_184_000_000).contains(&life_ms), "{life_ms}");
    let bob = server.user("bob").await;
    server.call(Method::GET, path, Some(&bob), None).await.is_error(401, "unauthorized", NO_RIGHT);
}
