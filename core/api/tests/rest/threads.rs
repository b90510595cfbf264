//! Every route of threads: what it answers, and each error that is documented for it. The list at the end makes sure that
//! none is forgotten.

use crate::world::{Alice, App, Bob, World};
use serde_json::{Value, json};

/// A group of alice's with bob in it, and a message there.
async fn group(world: &World) -> (String, String) {
    let group =
        json!({"groupname": "G", "description": "d", "public": true, "owner": "alice", "members": ["bob"]});
    let id =
        world.ok(App, "POST", "/chatgroups", group).await["data"]["groupid"].as_str().unwrap().to_owned();
    let message = say(world, &id, "about this").await;
    (id, message)
}

async fn say(world: &World, to: &str, text: &str) -> String {
    let message = json!({"from": "alice", "to": [to], "type": "txt", "body": {"msg": text}});
    world.ok(App, "POST", "/messages/chatgroups", message).await["data"][to].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_route_of_threads_answers_as_documented() {
    let world = World::new().await;
    let (group, message) = group(&world).await;
    let new = |more: Value| {
        let mut body = json!({"group_id": group, "name": "T", "msg_id": message, "owner": "alice"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let post = (App, "POST", "/thread");
    let bad = |text: &'static str| (400, "illegal_argument", text);
    world.fails(post, new(json!({"name": "x".repeat(65)})), bad("name is longer than 64 characters")).await;
    world.fails(post, new(json!({"name": ""})), bad("name is required")).await;
    world.fails(post, new(json!({"msg_id": null})), bad("msg_id is required")).await;
    let no_group = (404, "service_resource_not_found", "do not find this group: 99");
    world.fails(post, new(json!({"group_id": "99"})), no_group).await;
    let no_message = (404, "service_resource_not_found", "message not found");
    world.fails(post, new(json!({"msg_id": "99"})), no_message).await;
    let outside = (404, "service_resource_not_found", "user carol is not in the group or thread");
    world.fails(post, new(json!({"owner": "carol"})), outside).await;
    let not_bob = (401, "unauthorized", "Unable to authenticate (OAuth)");
    world.fails((Bob, "POST", "/thread"), new(json!({})), not_bob).await;
    // Ids may be numbers.
    let numbers =
        json!({"group_id": group.parse::<u64>().unwrap(), "msg_id": message.parse::<u64>().unwrap()});
    let made = world.ok(Alice, "POST", "/thread?resource=a1", new(numbers)).await;
    let id = made["data"]["thread_id"].as_str().unwrap().to_owned();
    let exists = world.call(App, "POST", "/thread", new(json!({}))).await;
    assert_eq!(exists.json()["error_code"], 40002);
    let path = format!("/thread/{id}");

    let detail = world.ok(Bob, "GET", &path, Value::Null).await["data"].clone();
    for (name, value) in [
        ("id", json!(id)),
        ("name", json!("T")),
        ("owner", json!("alice")),
        ("affiliations_count", json!(1)),
        ("msgId", json!(message)),
        ("groupId", json!(group)),
    ] {
        assert_eq!(detail[name], value, "{name}");
    }
    let missing = (404, "service_resource_not_found", "thread not found");
    for wrong in ["/thread/99", &format!("/thread/{group}"), "/thread/x"] {
        world.fails((Bob, "GET", wrong), Value::Null, missing).await;
    }

    // Coming in, and who is in.
    let joined = world.ok(Bob, "POST", &format!("{path}/user/bob/join"), Value::Null).await;
    assert_eq!(
        (&joined["data"]["status"], &joined["data"]["detail"]["affiliations_count"]),
        (&json!("ok"), &json!(2))
    );
    world.ok(Bob, "POST", &format!("{path}/user/bob/join"), Value::Null).await;
    let page = world.ok(App, "GET", &format!("{path}/users?limit=1"), Value::Null).await;
    assert_eq!(page["data"]["affiliations"], json!(["alice"]));
    let cursor = page["properties"]["cursor"].as_str().unwrap();
    let last = world.ok(Bob, "GET", &format!("{path}/users?limit=1&cursor={cursor}"), Value::Null).await;
    assert_eq!((&last["data"]["affiliations"], &last["properties"]), (&json!(["bob"]), &json!({})));
    world.fails((App, "POST", &format!("{path}/users")), json!({"usernames": ["carol"]}), outside).await;
    world.ok(App, "POST", &format!("/chatgroups/{group}/users/carol"), Value::Null).await;
    let added = world.ok(App, "POST", &format!("{path}/users"), json!({"usernames": ["carol", "bob"]})).await;
    assert_eq!(added["data"], json!({"status": "ok"}));
    let eleven: Vec<String> = (0..11).map(|n| format!("u{n}")).collect();
    let many = bad("usernames must be a list of 1 to 10 names");
    world.fails((App, "POST", &format!("{path}/users")), json!({"usernames": eleven}), many).await;

    // Names.
    assert_eq!(world.ok(App, "PUT", &path, json!({"name": "U"})).await["data"], json!({"name": "U"}));
    let not_yours = world.call(Bob, "PUT", &path, json!({"name": "V"})).await;
    assert_eq!((not_yours.status, &not_yours.json()["error_code"]), (401, &json!(40001)));

    // Lists.
    let all = world.ok(App, "GET", "/thread?limit=1&sort=asc", Value::Null).await;
    assert_eq!((&all["entities"], &all["properties"]), (&json!([{"id": id}]), &json!({})));
    world.fails((App, "GET", "/thread?sort=x"), Value::Null, bad("sort must be asc or desc")).await;
    for list in [
        format!("/threads/chatgroups/{group}"),
        format!("/threads/chatgroups/{group}/user/bob"),
        "/threads/user/bob".to_owned(),
    ] {
        let page = world.ok(Bob, "GET", &format!("{list}?limit=20"), Value::Null).await;
        let row = &page["entities"][0];
        assert_eq!(
            (&row["id"], &row["name"], &row["groupId"], &row["msgId"]),
            (&json!(id), &json!("U"), &json!(group), &json!(message))
        );
        assert_eq!(page["properties"], json!({}));
    }

    // What was said last.
    let asked = json!({"threadIds": [id, "99"]});
    let none = world.ok(Bob, "POST", "/thread/message", asked.clone()).await;
    assert_eq!(none["entities"], json!([{"thread_id": id, "last_message": {}}]));
    say(&world, &id, "one").await;
    let second = say(&world, &id, "two").await;
    let told = world.ok(Bob, "POST", "/thread/message", asked).await;
    let last = &told["entities"][0]["last_message"];
    assert_eq!((&last["id"], &last["from"], &last["to"]), (&json!(second), &json!("alice"), &json!(id)));
    assert_eq!(last["payload"]["bodies"][0]["msg"], "two");
    let wrong = bad("threadIds must be a list of 1 to 20 ids");
    world.fails((Bob, "POST", "/thread/message"), json!({"threadIds": []}), wrong).await;

    // Going.
    world.ok(Bob, "DELETE", &format!("{path}/user/bob/quit"), Value::Null).await;
    let bob_is_out = (404, "service_resource_not_found", "user bob is not in the group or thread");
    world.fails((Bob, "DELETE", &format!("{path}/user/bob/quit")), Value::Null, bob_is_out).await;
    let body = json!({"usernames": ["carol", "bob"]});
    let removed = world.ok(App, "DELETE", &format!("/threads/{id}/users"), body.clone()).await;
    assert_eq!(
        removed["entities"],
        json!([{"result": true, "user": "carol"}, {"result": false, "user": "bob"}])
    );
    assert_eq!(world.ok(App, "DELETE", &format!("{path}/users"), body).await["entities"][0]["result"], false);
    world.ok(App, "POST", &format!("{path}/users"), json!({"usernames": ["carol"]})).await;
    let one = world.ok(Alice, "DELETE", &format!("{path}/users/carol"), Value::Null).await;
    assert_eq!(one["data"], json!({"result": true, "user": "carol"}));
    world.fails((Bob, "DELETE", &path), Value::Null, not_bob).await;
    assert_eq!(world.ok(Alice, "DELETE", &path, Value::Null).await["data"], json!({"status": "ok"}));
    let gone = world.call(Alice, "DELETE", &path, Value::Null).await;
    assert_eq!((gone.status, &gone.json()["error_code"]), (404, &json!(40011)));
    world.check_all(&[], &["threads"], &[]);
}

#[tokio::test]
async fn threads_follow_their_group() {
    let world = World::new().await;
    let (group, message) = group(&world).await;
    let body = json!({"group_id": group, "name": "T", "msg_id": message, "owner": "alice"});
    let made = world.ok(App, "POST", "/thread", body).await;
    let path = format!("/thread/{}", made["data"]["thread_id"].as_str().unwrap());
    world.ok(Bob, "POST", &format!("{path}/user/bob/join"), Value::Null).await;
    world.ok(App, "DELETE", &format!("/chatgroups/{group}/users/bob"), Value::Null).await;
    let users = world.ok(App, "GET", &format!("{path}/users"), Value::Null).await;
    assert_eq!(users["data"]["affiliations"], json!(["alice"]), "who leaves the group leaves its threads");
    let outside = (404, "service_resource_not_found", "user bob is not in the group or thread");
    world.fails((Bob, "GET", &path), Value::Null, outside).await;
    world.fails((Bob, "GET", &format!("/threads/chatgroups/{group}")), Value::Null, outside).await;
    let own = world.ok(Bob, "GET", "/threads/user/bob", Value::Null).await;
    assert_eq!(own["entities"], json!([]));
    world.ok(App, "POST", &format!("/chatgroups/{group}/disable"), Value::Null).await;
    let disabled = "can not operate this group, reason: group is disabled";
    world.fails((App, "PUT", &path), json!({"name": "x"}), (403, "forbidden_op", disabled)).await;
    world.ok(App, "DELETE", &format!("/chatgroups/{group}"), Value::Null).await;
    let missing = (404, "service_resource_not_found", "thread not found");
    world.fails((App, "GET", &format!("{path}/users")), Value::Null, missing).await;
}
