use crate::server::{NO_RIGHT, Server};
use http::Method;
use meridian_chat::{AppSettings, Registration};
use serde_json::{Value, json};

#[tokio::test]
async fn the_app_registers_one_user() {
    let server = Server::start().await;
    let json =
        server.post("/users", json!({"username": "Ann", "password": "pw", "nickname": "A"})).await.ok();
    let user = &json["entities"][0];
    assert_eq!(
        (&user["username"], &user["nickname"], &user["activated"]),
        (&json!("ann"), &json!("A"), &json!(true))
    );
    assert_eq!(user["uuid"].as_str().unwrap().len(), 36);
    assert_eq!((&json["action"], &json["path"]), (&json!("post"), &json!("/users")));

    let again = server.post("/users", json!({"username": "ANN", "password": "pw"})).await;
    again.is_error(400, "duplicate_unique_property_exists", "username be unique, value of ann exists");
    // Without a password the user can log in by token only.
    server.post("/users", json!({"username": "token-only"})).await.ok();
    let body = json!({"grant_type": "password", "username": "token-only", "password": ""});
    let answer = server.call(Method::POST, "/token", None, Some(body)).await;
    answer.is_error(400, "invalid_grant", "invalid username or password");

    let long = "a".repeat(65);
    for (body, text) in [
        (json!({"username": "a b", "password": "pw"}), "is not legal"),
        (json!({"username": long, "password": "pw"}), "USERNAME_TOO_LONG"),
        (json!({"password": "pw"}), "Entity user requires a property named username"),
        (json!({"username": "n", "nickname": "n".repeat(101)}), "NICKNAME_TOO_LONG"),
        (json!({"username": "p", "password": long}), "PASSWORD_TOO_LONG"),
    ] {
        server.post("/users", body).await.is_error(400, "illegal_argument", text);
    }
}

#[tokio::test]
async fn anyone_registers_only_where_registration_is_open() {
    let carol = json!({"username": "carol", "password": "pw"});
    let closed = Server::start().await;
    let register = async |server: &Server, bearer: Option<&str>, body: &Value| {
        server.call(Method::POST, "/users", bearer, Some(body.clone())).await
    };
    let text = "Open registration doesn't allow";
    register(&closed, None, &carol).await.is_error(401, "unauthorized", text);
    let alice = closed.user("alice").await;
    register(&closed, Some(&alice), &carol).await.is_error(401, "unauthorized", text);
    register(&closed, Some("x"), &carol).await.is_error(401, "auth_bad_access_token", "corrupt");

    let settings = AppSettings { registration: Registration::Open, ..AppSettings::default() };
    let open = Server::with(settings).await;
    register(&open, None, &carol).await.ok();
    register(&open, None, &json!([carol])).await.is_error(401, "unauthorized", text);
    let no_password = register(&open, None, &json!({"username": "dave"})).await;
    no_password.is_error(400, "illegal_argument", "password or pin must provided");
}

#[tokio::test]
async fn a_batch_reports_the_names_that_exist() {
    let server = Server::start().await;
    server.user("ann").await;
    let user = |name: &str| json!({"username": name, "password": "pw"});
    let json = server.post("/users", json!([user("ann"), user("bob"), user("carl")])).await.ok();
    let names: Vec<_> = json["entities"].as_array().unwrap().iter().map(|user| &user["username"]).collect();
    assert_eq!(names, ["bob", "carl"]);
    let expected = json!([{"username": "ann", "registerUserFailReason": "the ann already exists"}]);
    assert_eq!(json["data"], expected);
    let bad = server.post("/users", json!([user("dora"), user("e e")])).await;
    bad.is_error(400, "illegal_argument", "is not legal");
    server.get("/users/dora").await.is_error(404, "service_resource_not_found", "");
}

#[tokio::test]
async fn users_are_listed_in_pages_and_deleted_from_the_oldest() {
    let server = Server::start().await;
    for n in 0..5 {
        server.post("/users", json!({"username": format!("u{n}")})).await.ok();
    }
    let names = |json: &Value| -> Vec<String> {
        let users = json["entities"].as_array().unwrap();
        users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
    };
    let mut seen = Vec::new();
    let mut path = "/users?limit=2&cursor=undefined".to_owned();
    loop {
        let json = server.get(&path).await.ok();
        assert_eq!(json["count"], json["entities"].as_array().unwrap().len());
        seen.extend(names(&json));
        match json.get("cursor") {
            Some(cursor) => path = format!("/users?limit=2&cursor={}", cursor.as_str().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen, ["u0", "u1", "u2", "u3", "u4"]);
    server.get("/users?limit=x").await.is_error(400, "illegal_argument", "limit");

    let json = server.delete("/users?limit=2").await.ok();
    assert_eq!((names(&json), &json["count"]), (vec!["u0".into(), "u1".into()], &json!(2)));
    assert!(json.get("cursor").is_some());
    let json = server.delete("/users?limit=100").await.ok();
    assert_eq!(names(&json), ["u2", "u3", "u4"]);
    assert!(json.get("cursor").is_none());
    assert_eq!(server.get("/users").await.ok()["count"], 0);
}

#[tokio::test]
async fn one_user_is_read_and_deleted() {
    let server = Server::start().await;
    let alice = server.user("alice").await;
    let json = server.get("/users/Alice").await.ok();
    assert_eq!((&json["count"], &json["path"]), (&json!(1), &json!("/users")));
    let json = server.delete("/users/alice").await.ok();
    assert_eq!(json["entities"][0]["username"], "alice");
    let gone = server.get("/users/alice").await;
    gone.is_error(404, "service_resource_not_found", "Service resource not found");
    assert_eq!(gone.json()["exception"], "UserNotFoundException");
    server.delete("/users/alice").await.is_error(404, "service_resource_not_found", "");
    assert_eq!(server.call(Method::GET, "/users/alice", Some(&alice), None).await.status, 401);
}

#[tokio::test]
async fn passwords_change() {
    let server = Server::start().await;
    let alice = server.user("alice").await;
    let path = "/users/alice/password";
    let json = server.put(path, json!({"newpassword": "two"})).await.ok();
    assert_eq!(json["action"], "set user password");
    assert!(json.get("application").is_none());
    // The old token died with the old password.
    assert_eq!(server.call(Method::GET, "/users/alice", Some(&alice), None).await.status, 401);
    server.post(path, json!({"newpassword": "pw"})).await.ok();

    let alice = server.user_token("alice").await;
    let change = async |body| server.call(Method::PUT, path, Some(&alice), Some(body)).await;
    change(json!({})).await.is_error(400, "illegal_argument", "newpassword is required");
    change(json!({"newpassword": "x"})).await.is_error(400, "illegal_argument", "oldPassword is required");
    let wrong = change(json!({"newpassword": "x", "oldpassword": "no"})).await;
    wrong.is_error(400, "invalid_grant", "invalid username or password");
    change(json!({"newpassword": "three", "oldpassword": "pw"})).await.ok();
    let answer = server.put("/users/nobody/password", json!({"newpassword": "x"})).await;
    answer.is_error(404, "entity_not_found", "User null not found");
    let long = json!({"newpassword": "x".repeat(65)});
    server.put(path, long).await.is_error(400, "illegal_argument", "PASSWORD_TOO_LONG");
}

#[tokio::test]
async fn bans_are_set_and_lifted() {
    let server = Server::start().await;
    server.user("alice").await;
    let json = server.post("/users/alice/deactivate", json!({})).await.ok();
    assert_eq!(
        (&json["action"], &json["entities"][0]["activated"]),
        (&json!("Deactivate user"), &json!(false))
    );
    // No body at all, as the Java SDK sends it.
    let answer = server.call(Method::POST, "/users/alice/activate", Some(&server.token), None).await;
    assert_eq!(answer.ok()["action"], "activate user");
    server.user_token("alice").await;
    let answer = server.post("/users/nobody/activate", json!({})).await;
    answer.is_error(404, "entity_not_found", "User null not found");
}

#[tokio::test]
async fn status_follows_the_connections() {
    let server = Server::start().await;
    let alice = server.user("alice").await;
    server.user("bob").await;
    let json = server.get("/users/alice/status").await.ok();
    assert_eq!((&json["data"], &json["count"]), (&json!({"alice": "offline"}), &json!(0)));
    assert!(json.get("application").is_none());
    let attached = server.attach("alice", "webim_1", &alice).await;
    assert_eq!(server.get("/users/ALICE/status").await.ok()["data"], json!({"alice": "online"}));
    let json =
        server.post("/users/batch/status", json!({"usernames": ["Alice", "bob", "none", "a b"]})).await.ok();
    let expected = json!([{"alice": "online"}, {"bob": "offline"}, {"none": "offline"}, {"a b": "offline"}]);
    assert_eq!((&json["data"], &json["action"]), (&expected, &json!("get batch user status")));

    let json = server.call(Method::GET, "/users/alice/resources", Some(&alice), None).await.ok();
    let expected = json!([{"res": "webim_1", "device_uuid": "device-uuid", "device_name": "device-name"}]);
    assert_eq!(json["data"], expected);
    drop(attached);

    let names: Vec<_> = (0..101).map(|n| format!("u{n}")).collect();
    let answer = server.post("/users/batch/status", json!({"usernames": names})).await;
    answer.is_error(400, "illegal_argument", "request body exceeds maximum limit, maximum limit is 100");
    server.get("/users/none/status").await.is_error(404, "service_resource_not_found", "");
}

#[tokio::test]
async fn the_longest_documented_lists_fit() {
    let server = Server::with(AppSettings { rate_factor: 0, ..AppSettings::default() }).await;
    let names: Vec<_> = (0..100).map(|n| format!("{n:064}")).collect();
    server.post("/users/batch/status", json!({"usernames": names})).await.ok();
    let targets: Vec<_> = (0..600).map(|n| format!("{n:064}")).collect();
    let body = json!({"to": targets, "type": "txt", "body": {"msg": "x".repeat(3000)}});
    let json = server.post("/messages/users", body).await.ok();
    assert_eq!(json["data"].as_object().unwrap().len(), 600);
    assert!(json.get("errors").is_none());
}

#[tokio::test]
async fn devices_are_disconnected() {
    let server = Server::start().await;
    let alice = server.user("alice").await;
    assert_eq!(server.get("/users/alice/disconnect").await.ok()["data"], json!({"result": false}));
    let alice_again = server.user_token("alice").await;
    let mut attached = server.attach("alice", "webim_1", &alice_again).await;
    let one = "/users/alice/disconnect/webim_1";
    assert_eq!(server.delete(one).await.ok()["data"], json!({"result": true}));
    (&mut attached.closed).await.unwrap();
    drop(attached);
    assert_eq!(server.get(one).await.ok()["data"], json!({"result": false}));
    assert_eq!(server.delete("/users/alice/disconnect/a%2Fb").await.ok()["data"], json!({"result": false}));

    let attached = server.attach("alice", "webim_2", &alice_again).await;
    assert_eq!(server.get("/users/alice/disconnect").await.ok()["data"], json!({"result": true}));
    attached.closed.await.unwrap();
    // Every token is revoked with it.
    for token in [&alice, &alice_again] {
        let answer = server.call(Method::GET, "/users/alice", Some(token), None).await;
        assert_eq!(answer.status, 401);
    }
    server.get("/users/none/disconnect").await.is_error(404, "service_resource_not_found", "");
    let bob = server.user("bob").await;
    let answer = server.call(Method::GET, one, Some(&bob), None).await;
    answer.is_error(401, "unauthorized", NO_RIGHT);
}
