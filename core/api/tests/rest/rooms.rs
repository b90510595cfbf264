//! Every route of rooms: what it answers, and each error that is documented for it. The list at the end makes sure that none
//! is forgotten.

use crate::{
    files::form,
    server::whole,
    world::{Alice, App, Bob, Who, World},
};
use http::Request;
use meridian_chat::AppSettings;
use serde_json::{Value, json};

const FORBIDDEN: &str = "forbidden_op";
const NOT_FOUND: &str = "service_resource_not_found";
const NO_RIGHT: &str = "user has no permission to operate this group";
const STRANGER: &str = "users [bob] are not members of this group!";
const UNAUTHORIZED: (u16, &str, &str) = (401, "unauthorized", "Unable to authenticate (OAuth)");
const NO_USER: (u16, &str, &str) = (404, NOT_FOUND, "Service resource not found");

fn room(more: &Value) -> Value {
    let mut room = json!({"name": "R", "description": "d", "owner": "alice", "members": ["bob"]});
    room.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    room
}

/// A room of alice's with bob in it, made by the app.
async fn made(world: &World, more: Value) -> String {
    let answer = world.ok(App, "POST", "/chatrooms", room(&more)).await;
    answer["data"]["id"].as_str().unwrap().to_owned()
}

async fn refused(world: &World, call: (Who, &str, &str), body: Value, text: &str) {
    world.fails(call, body, (403, FORBIDDEN, text)).await;
}

const fn bad(text: &str) -> (u16, &str, &str) {
    (400, "illegal_argument", text)
}

async fn super_admins(world: &World) {
    let path = "/chatrooms/super_admin";
    let call = (Alice, "POST", "/chatrooms");
    refused(world, call, room(&json!({})), "only a super admin may make rooms").await;
    let done = world.ok(App, "POST", path, json!({"superadmin": "alice"})).await;
    assert_eq!(done["data"], json!({"result": "success", "resource": ""}));
    let list = world.ok(App, "GET", &format!("{path}?pagenum=1&pagesize=10"), Value::Null).await;
    assert_eq!((&list["data"], &list["count"]), (&json!(["alice"]), &json!(1)));
    assert_eq!(list["params"], json!({"pagenum": ["1"], "pagesize": ["10"]}));
    let none = world.ok(App, "GET", &format!("{path}?pagenum=2&pagesize=10"), Value::Null).await;
    assert_eq!(none["data"], json!([]));

    let own = json!({"name": "R", "description": "d", "maxusers": 200, "owner": "alice", "members": ["bob"]});
    let own = world.ok(Alice, "POST", "/chatrooms?resource=a1", own).await;
    let id = own["data"]["id"].as_str().unwrap();
    world.ok(Alice, "DELETE", &format!("/chatrooms/{id}"), Value::Null).await;
    world.fails(call, room(&json!({"members": ["nobody"]})), NO_USER).await;

    world.fails((App, "POST", path), json!({"superadmin": "nobody"}), NO_USER).await;
    world.fails((App, "POST", path), json!({}), bad("superadmin is required")).await;
    world.fails((Alice, "POST", path), json!({"superadmin": "bob"}), UNAUTHORIZED).await;
    let gone = json!({"newSuperAdmin": "alice", "resource": ""});
    // The second time there is nothing to take.
    for _ in 0..2 {
        let done = world.ok(App, "DELETE", &format!("{path}/alice"), Value::Null).await;
        assert_eq!(done["data"], gone);
    }
    refused(world, call, room(&json!({})), "only a super admin may make rooms").await;
}

async fn beginnings(world: &World) {
    let id = made(world, json!({"members": [], "desc": "x"})).await;
    let seen = world.ok(App, "GET", &format!("/chatrooms/{id}"), Value::Null).await;
    assert_eq!(
        (&seen["data"][0]["maxusers"], &seen["data"][0]["affiliations_count"]),
        (&json!(10_000), &json!(1))
    );
    world.ok(App, "DELETE", &format!("/chatrooms/{id}"), Value::Null).await;
    let call = (App, "POST", "/chatrooms");
    for (more, text) in [
        (json!({"name": ""}), "name is required"),
        (json!({"name": "x".repeat(129)}), "name is longer than 128 characters"),
        (json!({"description": "x".repeat(513)}), "description is longer than 512 characters"),
        (json!({"custom": "x".repeat(1025)}), "custom is longer than 1024 characters"),
        (json!({"owner": null}), "owner is required"),
        (json!({"owner": "nobody"}), "group member nobody doesn't exist"),
        (json!({"members": ["nobody"]}), "group member nobody doesn't exist"),
        (json!({"maxusers": 0}), "maxusers must be 1 or more"),
    ] {
        world.fails(call, room(&more), bad(text)).await;
    }
    let large = "members size is greater than max user size !: 10000";
    refused(world, call, room(&json!({"maxusers": 10_001})), large).await;
    let full = "members size is greater than max user size !";
    refused(world, call, room(&json!({"maxusers": 2, "members": ["bob", "carol"]})), full).await;
}

async fn life(world: &World) {
    let id = made(world, json!({"custom": "c", "maxusers": 300})).await;
    let path = format!("/chatrooms/{id}");
    let details = world.ok(App, "GET", &path, Value::Null).await;
    let seen = &details["data"][0];
    for (name, value) in [
        ("id", json!(id)),
        ("name", json!("R")),
        ("description", json!("d")),
        ("membersonly", json!(false)),
        ("allowinvites", json!(false)),
        ("maxusers", json!(300)),
        ("owner", json!("alice")),
        ("custom", json!("c")),
        ("mute", json!(false)),
        ("shieldgroup", json!(false)),
        ("affiliations_count", json!(2)),
        ("affiliations", json!([{"member": "bob"}, {"owner": "alice"}])),
        ("public", json!(true)),
        ("groupid", Value::Null),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
    assert!(seen["created"].is_u64());
    assert_eq!(details["path"], "/chatrooms");
    let several = world.ok(Bob, "GET", &format!("{path}%2C99"), Value::Null).await;
    assert_eq!((&several["count"], &several["data"][0]["permission"]), (&json!(1), &json!("member")));
    let missing = (404, NOT_FOUND, "do not find this group: 99");
    world.fails((App, "GET", "/chatrooms/99"), Value::Null, missing).await;
    // A room is no group, and a group no room.
    world.call(App, "GET", &format!("/chatgroups/{id}"), Value::Null).await.is_error(404, NOT_FOUND, &id);
    let group = json!({"groupid": "4711", "groupname": "G", "public": true, "owner": "alice"});
    world.ok(App, "POST", "/chatgroups", group).await;
    world.fails((App, "PUT", "/chatrooms/4711"), json!({"name": "x"}), (404, NOT_FOUND, "4711")).await;

    let changes = json!({"name": "S", "description": "e", "maxusers": 200, "custom": ""});
    let done = world.ok(App, "PUT", &path, changes).await;
    assert_eq!(
        done["data"],
        json!({"groupname": true, "description": true, "maxusers": true, "custom": true})
    );
    let done = world.ok(Alice, "PUT", &format!("{path}?resource=a1"), json!({"groupname": "S"})).await;
    assert_eq!(done["data"], json!({"groupname": true}));
    refused(world, (Bob, "PUT", &path), json!({"groupname": "x"}), NO_RIGHT).await;
    let unknown = (400, "invalid_parameter", "some of [membersonly] are not valid fields");
    world.fails((App, "PUT", &path), json!({"membersonly": true}), unknown).await;
    let few = bad("maxusers is less than the number of members");
    world.fails((App, "PUT", &path), json!({"maxusers": 1}), few).await;

    lists(world, &id).await;

    let other = made(world, json!({"members": []})).await;
    let seen = world.ok(Bob, "GET", &format!("/chatrooms/{other}"), Value::Null).await;
    assert_eq!(seen["data"][0]["affiliations"], json!([{"owner": "alice"}]), "rooms are public");
    world.ok(App, "DELETE", &format!("/chatrooms/{other}"), Value::Null).await;

    let owner = json!({"newowner": "bob"});
    refused(world, (Bob, "PUT", &path), owner.clone(), NO_RIGHT).await;
    assert_eq!(world.ok(Alice, "PUT", &path, owner.clone()).await["data"], json!({"newowner": true}));
    refused(world, (App, "PUT", &path), owner, "new owner and old owner are the same").await;
    let stranger = format!("user: carol doesn't exist in group: {id}");
    refused(world, (App, "PUT", &path), json!({"newowner": "carol"}), &stranger).await;
    refused(world, (Alice, "DELETE", &path), Value::Null, NO_RIGHT).await;
    let gone = world.ok(Bob, "DELETE", &format!("{path}?version=v3"), Value::Null).await;
    assert_eq!(gone["data"], json!({"success": true, "id": id}));
    for method in ["GET", "DELETE"] {
        world.call(App, method, &path, Value::Null).await.is_error(404, NOT_FOUND, "do not find this group");
    }
}

async fn lists(world: &World, id: &str) {
    let second = made(world, json!({"name": "T", "members": []})).await;
    let page = world.ok(App, "GET", "/chatrooms?limit=1&cursor=", Value::Null).await;
    assert_eq!(
        page["data"],
        json!([{"id": second, "name": "T", "owner": "alice", "affiliations_count": 1}]),
        "the newest first"
    );
    let cursor = page["cursor"].as_str().unwrap();
    let last = world.ok(App, "GET", &format!("/chatrooms?limit=10&cursor={cursor}"), Value::Null).await;
    assert_eq!((&last["data"][0]["id"], &last["count"]), (&json!(id), &json!(1)));
    assert!(last.get("cursor").is_none());
    assert_eq!(page["params"]["limit"], json!(["1"]));
    // The client counts pages.
    let page = world.ok(Bob, "GET", "/chatrooms?pagenum=1&pagesize=20&_v=1", Value::Null).await;
    assert_eq!((&page["count"], &page["data"][0]["owner"]), (&json!(2), &json!("demo#chat_alice")));
    let page = world.ok(Bob, "GET", "/chatrooms?pagenum=2&pagesize=1", Value::Null).await;
    assert_eq!((&page["data"][0]["id"], page.get("cursor")), (&json!(id), None));
    for after in ["pagenum=3&pagesize=1", "pagenum=1000&pagesize=100"] {
        let page = world.ok(Bob, "GET", &format!("/chatrooms?{after}"), Value::Null).await;
        assert_eq!(page["data"], json!([]), "{after}");
    }
    world
        .fails((App, "GET", "/chatrooms?limit=101"), Value::Null, bad("limit must be between 1 and 100"))
        .await;

    let joined = world.ok(App, "GET", "/users/alice/joined_chatrooms", Value::Null).await;
    // Ids tell the second in which a room was made; within one the order is open.
    let mut ids: Vec<&str> =
        joined["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    ids.sort_unstable_by_key(|joined| *joined != id);
    assert_eq!((&joined["count"], ids), (&json!(2), vec![id, second.as_str()]));
    let client = "/users/bob/joined_chatrooms?pagenum=1&pagesize=20&detail=true&_v=1";
    let joined = world.ok(Bob, "GET", client, Value::Null).await;
    let created = joined["data"][0]["created"].as_u64().unwrap();
    assert_eq!(
        joined["data"],
        json!([{"id": id, "name": "S", "title": "S", "owner": "demo#chat_alice", "created": created,
            "description": "e", "max_users": 200}])
    );
    let none = world.ok(Bob, "GET", "/users/bob/joined_chatrooms?pagenum=2&pagesize=20", Value::Null).await;
    assert_eq!(none["data"], json!([]));
    world.fails((Bob, "GET", "/users/alice/joined_chatrooms"), Value::Null, UNAUTHORIZED).await;
    world.fails((App, "GET", "/users/nobody/joined_chatrooms"), Value::Null, NO_USER).await;
    world.ok(App, "DELETE", &format!("/chatrooms/{second}"), Value::Null).await;
}

async fn members(world: &World) {
    let id = made(world, json!({})).await;
    let path = format!("/chatrooms/{id}/users");
    let list = world.ok(App, "GET", &format!("{path}?pagenum=1&pagesize=1000"), Value::Null).await;
    assert_eq!((&list["data"], &list["count"]), (&json!([{"owner": "alice"}, {"member": "bob"}]), &json!(2)));
    assert_eq!(list["params"]["pagenum"], json!(["1"]));
    assert_eq!(list["path"], json!(path));
    let client = world.ok(Bob, "GET", &format!("{path}?version=v3&pagenum=2&pagesize=1"), Value::Null).await;
    assert_eq!(client["data"], json!([{"member": "bob"}]));
    let names = world.ok(App, "GET", &format!("{path}?version=v3&limit=10"), Value::Null).await;
    assert_eq!(names["data"], json!(["bob"]));
    let back = world.ok(App, "GET", &format!("{path}?limit=10&sort=desc"), Value::Null).await;
    assert_eq!(back["data"], json!([{"member": "bob"}, {"owner": "alice"}]));
    let sort = bad("sort must be asc or desc");
    world.fails((App, "GET", &format!("{path}?limit=10&sort=x")), Value::Null, sort).await;
    let page =
        world.ok(Bob, "GET", &format!("{path}?cursor=undefined&limit=1&joined_time=true"), Value::Null).await;
    assert!(page["data"][0]["owner"] == "alice" && page["data"][0]["joined_time"].is_u64());
    let cursor = page["cursor"].as_str().unwrap();
    let last = world.ok(Bob, "GET", &format!("{path}?cursor={cursor}&limit=50"), Value::Null).await;
    assert_eq!((&last["data"], last.get("cursor")), (&json!([{"member": "bob"}]), None));

    let carol = format!("{path}/carol");
    let added = world.ok(App, "POST", &carol, Value::Null).await;
    assert_eq!(added["data"], json!({"result": true, "id": id, "action": "add_member", "user": "carol"}));
    let twice = format!("can not join this group, reason:user: carol already in group: {id}");
    world.fails((App, "POST", &carol), Value::Null, bad(&twice)).await;
    world.fails((App, "POST", &path), json!({"usernames": ["carol"]}), bad(&twice)).await;
    let unknown = bad("group member nobody doesn't exist");
    world.fails((App, "POST", &format!("{path}/nobody")), Value::Null, unknown).await;
    world.fails((App, "POST", &path), json!({"usernames": ["nobody"]}), unknown).await;
    world.fails((Alice, "POST", &format!("{path}/nobody")), Value::Null, NO_USER).await;
    refused(world, (Bob, "POST", &carol), Value::Null, NO_RIGHT).await;
    let many: Vec<String> = (0..61).map(|n| format!("u{n}")).collect();
    let names = bad("usernames must be a list of 1 to 60 names");
    world.fails((App, "POST", &path), json!({"usernames": many}), names).await;

    let gone = world.ok(App, "DELETE", &carol, Value::Null).await;
    assert_eq!(gone["data"], json!({"result": true, "id": id, "action": "remove_member", "user": "carol"}));
    let stranger = "users [carol] are not members of this group!";
    refused(world, (Alice, "DELETE", &carol), Value::Null, stranger).await;
    let owner = "forbidden operation on group owner!";
    refused(world, (App, "DELETE", &format!("{path}/alice")), Value::Null, owner).await;
    // Nobody is asked.
    let some = world.ok(Alice, "POST", &path, json!({"usernames": ["bob", "carol"]})).await;
    assert_eq!(some["data"], json!({"newmembers": ["carol"], "id": id, "action": "add_member"}));
    let some = world.ok(Alice, "DELETE", &format!("{path}/bob%2Cnobody"), Value::Null).await;
    assert_eq!((&some["data"][0]["result"], &some["data"][1]["result"]), (&json!(true), &json!(false)));
    assert_eq!(some["data"][1]["reason"], json!(format!("user: nobody doesn't exist in group: {id}")));
    let strangers = "users [bob, nobody] are not members of this group!";
    refused(world, (App, "DELETE", &format!("{path}/bob,nobody")), Value::Null, strangers).await;

    let small = made(world, json!({"maxusers": 2})).await;
    let carol = format!("/chatrooms/{small}/users/carol");
    refused(world, (App, "POST", &carol), Value::Null, "group member list is full!").await;
    let one = json!({"usernames": ["carol"]});
    refused(world, (Alice, "POST", &format!("/chatrooms/{small}/users")), one, "group member list is full!")
        .await;
    for id in [id, small] {
        world.ok(App, "DELETE", &format!("/chatrooms/{id}"), Value::Null).await;
    }
}

async fn roles_and_speech(world: &World) {
    let id = made(world, json!({"members": ["bob", "carol"]})).await;
    let path = |rest: &str| format!("/chatrooms/{id}/{rest}");
    let admin = json!({"newadmin": "bob"});
    let done = world.ok(Alice, "POST", &path("admin?resource=a1&version=v3"), admin).await;
    assert_eq!(done["data"], json!({"result": "success", "newadmin": "bob"}));
    let admins = world.ok(Bob, "GET", &path("admin"), Value::Null).await;
    assert_eq!((&admins["data"], &admins["count"]), (&json!(["bob"]), &json!(1)));
    refused(world, (Bob, "POST", &path("admin")), json!({"newadmin": "carol"}), NO_RIGHT).await;
    let owner = "forbidden operation on group owner!";
    refused(world, (Alice, "POST", &path("admin")), json!({"newadmin": "alice"}), owner).await;

    let forever = json!({"usernames": ["carol"], "mute_duration": -1});
    let muted = world.ok(Bob, "POST", &path("mute"), forever).await;
    assert_eq!(muted["data"], json!([{"result": true, "expire": -1, "user": "carol"}]));
    let timed = json!({"usernames": ["carol"], "mute_duration": 60_000});
    let timed = world.ok(App, "POST", &path("mute"), timed).await;
    let until = timed["data"][0]["expire"].as_u64().unwrap();
    let list = world.ok(App, "GET", &path("mute"), Value::Null).await;
    assert_eq!(list["data"], json!([{"expire": until, "user": "carol"}]));
    let own = format!("/sdk/chatrooms/{id}/mute/bob?version=v3");
    assert_eq!(world.ok(Bob, "GET", &own, Value::Null).await["data"], false);
    let duration = bad("mute_duration must be -1 or a number of milliseconds");
    world.fails((App, "POST", &path("mute")), json!({"usernames": ["carol"]}), duration).await;
    let unmuted = world.ok(App, "DELETE", &path("mute/carol"), Value::Null).await;
    assert_eq!(unmuted["data"], json!([{"result": true, "user": "carol"}]));
    let alice = json!({"usernames": ["alice"], "mute_duration": 1});
    refused(world, (Bob, "POST", &path("mute")), alice, owner).await;

    assert_eq!(world.ok(Bob, "POST", &path("ban"), Value::Null).await["data"], json!({"mute": true}));
    let seen = world.ok(App, "GET", &format!("/chatrooms/{id}"), Value::Null).await;
    assert_eq!(seen["data"][0]["mute"], true);
    assert_eq!(world.ok(App, "DELETE", &path("ban"), Value::Null).await["data"], json!({"mute": false}));

    let done = world.ok(Alice, "DELETE", &path("admin/bob"), Value::Null).await;
    assert_eq!(done["data"], json!({"result": "success", "oldadmin": "bob"}));
    refused(world, (Bob, "POST", &path("ban")), Value::Null, NO_RIGHT).await;
    world.ok(App, "DELETE", &format!("/chatrooms/{id}"), Value::Null).await;
}

async fn block_and_allow_lists(world: &World) {
    let id = made(world, json!({"members": ["bob", "carol"]})).await;
    let path = |rest: &str| format!("/chatrooms/{id}/{rest}");
    let row = json!({"result": true, "action": "add_user_whitelist", "user": "carol", "chatroomid": id});
    assert_eq!(world.ok(App, "POST", &path("white/users/carol"), Value::Null).await["data"], row);
    let carol = json!({"usernames": ["carol"]});
    assert_eq!(world.ok(Alice, "POST", &path("white/users"), carol.clone()).await["data"], json!([row]));
    assert_eq!(world.ok(Bob, "GET", &path("white/users"), Value::Null).await["data"], json!(["carol"]));
    let is = world.ok(Bob, "GET", &path("white/users/carol"), Value::Null).await;
    assert_eq!(is["data"], json!({"member": "carol", "white": true}));
    let off = world.ok(Alice, "DELETE", &path("white/users/carol"), Value::Null).await;
    assert_eq!(off["data"][0]["action"], "remove_user_whitelist", "clients take the first of a list");
    refused(world, (Bob, "POST", &path("white/users")), carol.clone(), NO_RIGHT).await;

    let blocked = world.ok(Alice, "POST", &path("blocks/users/carol"), Value::Null).await;
    assert_eq!((&blocked["data"][0]["result"], &blocked["data"][0]["user"]), (&json!(true), &json!("carol")));
    assert_eq!(world.ok(App, "GET", &path("blocks/users"), Value::Null).await["data"], json!(["carol"]));
    let kept_out = format!("can not join this group, reason:user: carol is in the blacklist of group: {id}");
    refused(world, (Alice, "POST", &path("users/carol")), Value::Null, &kept_out).await;
    let off = world.ok(App, "DELETE", &path("blocks/users/carol"), Value::Null).await;
    assert_eq!(
        off["data"],
        json!({"result": true, "action": "remove_blocks", "user": "carol", "chatroomid": id})
    );
    let several = world.ok(Alice, "DELETE", &path("blocks/users/bob,carol"), Value::Null).await;
    assert_eq!(several["data"].as_array().unwrap().len(), 2);
    let again = world.ok(App, "POST", &path("blocks/users"), carol).await;
    assert_eq!(
        (&again["data"][0]["result"], &again["data"][0]["action"]),
        (&json!(false), &json!("add_blocks"))
    );
    assert_eq!(again["data"][0]["reason"], json!(format!("user: carol doesn't exist in chatroom: {id}")));
    let stranger = "users [carol] are not members of this group!";
    for list in ["blocks/users/carol", "white/users/carol"] {
        refused(world, (App, "POST", &path(list)), Value::Null, stranger).await;
    }
    let mute = json!({"usernames": ["carol"], "mute_duration": 1});
    refused(world, (App, "POST", &path("mute")), mute, stranger).await;
    let owner = "forbidden operation on group owner!";
    refused(world, (App, "POST", &path("blocks/users/alice")), Value::Null, owner).await;

    // These lists are for those who are in.
    world.ok(App, "DELETE", &path("users/bob"), Value::Null).await;
    for list in ["mute", "blocks/users", "white/users", "white/users/bob", "share_files"] {
        refused(world, (Bob, "GET", &path(list)), Value::Null, STRANGER).await;
    }
    world.ok(Bob, "GET", &path("admin"), Value::Null).await;
    world.ok(Bob, "GET", &path("users"), Value::Null).await;
    world.ok(App, "DELETE", &format!("/chatrooms/{id}"), Value::Null).await;
}

async fn announcements(world: &World) {
    let id = made(world, json!({"members": []})).await;
    let path = format!("/chatrooms/{id}/announcement");
    let unset = world.ok(Bob, "GET", &format!("{path}?version=v3"), Value::Null).await;
    assert_eq!(unset["data"], json!({"announcement": ""}), "also for who is not in");
    let set = world.ok(Alice, "POST", &path, json!({"announcement": "hi"})).await;
    assert_eq!(set["data"], json!({"id": id, "result": true}));
    assert_eq!(world.ok(App, "GET", &path, Value::Null).await["data"], json!({"announcement": "hi"}));
    let long = bad("announcement is longer than 512 characters");
    world.fails((App, "POST", &path), json!({"announcement": "x".repeat(513)}), long).await;
    refused(world, (Bob, "POST", &path), json!({"announcement": "x"}), STRANGER).await;
    world.ok(App, "DELETE", &format!("/chatrooms/{id}"), Value::Null).await;
}

async fn attributes(world: &World) {
    let id = made(world, json!({})).await;
    let all = format!("/metadata/chatroom/{id}");
    let of = |user: &str, forced: &str| format!("/metadata/chatroom/{id}/user/{user}{forced}");
    let set = |values: Value| json!({"metaData": values, "autoDelete": "NO_DELETE"});
    let done = |keys: &[&str]| json!({"successKeys": keys, "errorKeys": {}});

    assert_eq!(world.ok(App, "POST", &all, Value::Null).await["data"], json!({}), "without a body: all");
    let first = json!({"metaData": {"a": "1", "b": "2"}, "autoDelete": "DELETE", "notificationExt": "n"});
    assert_eq!(world.ok(Bob, "PUT", &of("bob", ""), first).await["data"], done(&["a", "b"]));
    assert_eq!(world.ok(Bob, "POST", &all, json!({})).await["data"], json!({"a": "1", "b": "2"}));
    assert_eq!(world.ok(Alice, "POST", &all, json!({"keys": ["b", "x"]})).await["data"], json!({"b": "2"}));

    // What is somebody else's stays, unless it is forced.
    let mixed = world.ok(Alice, "PUT", &of("alice", ""), set(json!({"a": "9", "c": "3"}))).await;
    assert_eq!(mixed["data"]["successKeys"], json!(["c"]));
    assert!(mixed["data"]["errorKeys"]["a"].as_str().unwrap().contains("is not part of you"));
    let forced = world.ok(Alice, "PUT", &of("alice", "/forced"), set(json!({"a": "9"}))).await;
    assert_eq!(forced["data"], done(&["a"]));
    let keys = |keys: &[&str]| json!({"keys": keys});
    let foreign = world.ok(Bob, "DELETE", &of("bob", ""), keys(&["a", "b"])).await;
    assert_eq!(foreign["data"]["successKeys"], json!(["b"]));
    assert!(foreign["data"]["errorKeys"]["a"].as_str().unwrap().contains("is not part of you"));
    // The app need not name anybody who exists.
    let forced = world.ok(App, "DELETE", &of("admin", "/forced"), keys(&["a"])).await;
    assert_eq!(forced["data"], done(&["a"]));
    assert_eq!(world.ok(App, "POST", &all, json!({})).await["data"], json!({"c": "3"}));

    let wrong = json!({"a b": "1", "ok": "1", "long": "x".repeat(4097)});
    let some = world.ok(Bob, "PUT", &of("bob", ""), set(wrong)).await;
    assert_eq!(some["data"]["successKeys"], json!(["ok"]));
    assert!(some["data"]["errorKeys"]["a b"].as_str().unwrap().contains("is not Legal"));
    assert!(some["data"]["errorKeys"]["long"].as_str().unwrap().contains("is exceeding maximum limit"));
    let long = "x".repeat(129);
    let some = world.ok(Bob, "DELETE", &of("bob", ""), keys(&["ok", &long])).await;
    assert!(
        some["data"]["errorKeys"].as_object().unwrap().values().any(|text| text == "the key is not Legal")
    );
    // The greatest that fits, in a script of three bytes.
    let great: serde_json::Map<_, _> = (0..10).map(|n| (format!("k{n}"), json!("字".repeat(4096)))).collect();
    let some = world.ok(Bob, "PUT", &of("bob", ""), set(great.into())).await;
    assert_eq!(some["data"]["successKeys"].as_array().unwrap().len(), 10);
    // As many as there may be.
    for tens in 0..10 {
        let ten: serde_json::Map<_, _> = (0..10).map(|n| (format!("n{tens}.{n}"), json!("v"))).collect();
        let some = world.ok(App, "PUT", &of("alice", ""), set(ten.into())).await;
        let limit = "exceeds the user defined limit";
        let errors = some["data"]["errorKeys"].as_object().unwrap();
        assert!(errors.values().all(|text| text.as_str().unwrap().contains(limit)), "{errors:?}");
        assert_eq!(errors.is_empty(), tens < 8, "{tens}");
    }

    let metadata = bad("metaData must be an object of texts");
    world.fails((Bob, "PUT", &of("bob", "")), json!({}), metadata).await;
    world.fails((Bob, "PUT", &of("bob", "")), set(json!({"a": 1})), metadata).await;
    let eleven: serde_json::Map<_, _> = (0..11).map(|n| (format!("k{n}"), json!("v"))).collect();
    let many = bad("metaData must have 1 to 10 attributes");
    world.fails((Bob, "PUT", &of("bob", "")), set(eleven.into()), many).await;
    let delete = bad("autoDelete can only be 'DELETE' or 'NO_DELETE'");
    let body = json!({"metaData": {"a": "1"}, "autoDelete": "x"});
    world.fails((Bob, "PUT", &of("bob", "")), body, delete).await;
    world
        .fails((Bob, "DELETE", &of("bob", "")), keys(&[]), bad("keys must be a list of 1 to 10 texts"))
        .await;
    // Nobody writes in another's name.
    world.fails((Bob, "PUT", &of("alice", "")), set(json!({"a": "1"})), UNAUTHORIZED).await;
    let missing = (404, NOT_FOUND, "do not find this group: 99");
    world.fails((Bob, "POST", "/metadata/chatroom/99"), json!({}), missing).await;
    world.fails((Bob, "PUT", "/metadata/chatroom/99/user/bob"), set(json!({"a": "1"})), missing).await;

    world.ok(App, "DELETE", &format!("/chatrooms/{id}/users/bob"), Value::Null).await;
    for (method, path, body) in [
        ("POST", all.clone(), json!({})),
        ("PUT", of("bob", ""), set(json!({"a": "1"}))),
        ("PUT", of("bob", "/forced"), set(json!({"a": "1"}))),
        ("DELETE", of("bob", ""), keys(&["a"])),
        ("DELETE", of("bob", "/forced"), keys(&["a"])),
    ] {
        let answer = world.call(Bob, method, &path, body).await;
        assert_eq!((answer.status, &answer.json()["error_code"]), (400, &json!(60011)), "{method} {path}");
    }
    world.ok(App, "DELETE", &format!("/chatrooms/{id}"), Value::Null).await;
}

async fn files(world: &World) {
    let id = made(world, json!({})).await;
    let path = format!("/chatrooms/{id}/share_files");
    let upload = |token: String| {
        Request::post(format!("/demo/chat{path}"))
            .header("content-type", "multipart/form-data; boundary=B")
            .header("authorization", format!("Bearer {token}"))
            .body(whole(form("a.txt", "text/plain", b"shared", &[])))
            .unwrap()
    };
    world.note("POST", &path);
    let shared = world.server.raw(upload(world.bearer(Bob).to_owned())).await.json();
    let file = shared["data"]["file_id"].as_str().unwrap().to_owned();
    assert_eq!(
        (&shared["data"]["file_name"], &shared["data"]["file_size"], &shared["data"]["file_owner"]),
        (&json!("a.txt"), &json!(6), &json!("bob"))
    );
    assert!(shared["data"]["file_url"].as_str().unwrap().ends_with(&format!("{path}/{file}")));
    let list = world.ok(Alice, "GET", &path, Value::Null).await;
    assert_eq!((&list["data"][0]["file_id"], &list["count"]), (&json!(file), &json!(1)));
    let bytes = world.call(Alice, "GET", &format!("{path}/{file}"), Value::Null).await;
    assert_eq!((bytes.status, &bytes.bytes[..]), (200, &b"shared"[..]));
    world.fails((App, "GET", &path), Value::Null, UNAUTHORIZED).await;
    let missing = (404, NOT_FOUND, "Service resource not found");
    world.fails((Bob, "DELETE", &format!("{path}/nothing")), Value::Null, missing).await;
    let gone = world.ok(Bob, "DELETE", &format!("{path}/{file}?resource=b1"), Value::Null).await;
    assert_eq!(gone["data"], json!({"id": id, "file_id": file, "result": true}));
    world.fails((Bob, "GET", &format!("{path}/{file}")), Value::Null, missing).await;
    world.ok(App, "DELETE", &format!("/chatrooms/{id}/users/bob"), Value::Null).await;
    let refused = world.server.raw(upload(world.bearer(Bob).to_owned())).await;
    refused.is_error(403, FORBIDDEN, STRANGER);
    world.ok(App, "DELETE", &format!("/chatrooms/{id}"), Value::Null).await;
}

#[tokio::test]
async fn every_route_of_rooms_answers_as_documented() {
    let world = World::new().await;
    super_admins(&world).await;
    beginnings(&world).await;
    life(&world).await;
    members(&world).await;
    roles_and_speech(&world).await;
    block_and_allow_lists(&world).await;
    announcements(&world).await;
    attributes(&world).await;
    files(&world).await;
    world.check_all(&[], &["chatrooms"], &[]);
}

#[tokio::test]
async fn limits_of_the_app_are_told() {
    let settings = AppSettings { rate_factor: 0, max_rooms: 1, room_size_limit: 5, ..AppSettings::default() };
    let world = World::with(settings).await;
    let call = (App, "POST", "/chatrooms");
    let large = "members size is greater than max user size !: 5";
    refused(&world, call, room(&json!({"maxusers": 6})), large).await;
    let id = made(&world, json!({})).await;
    refused(&world, (App, "PUT", &format!("/chatrooms/{id}")), json!({"maxusers": 6}), large).await;
    let many = "this appKey has create too many groups/chatrooms!";
    refused(&world, call, room(&json!({})), many).await;
}

#[tokio::test]
async fn messages_to_rooms() {
    let world = World::new().await;
    let id = made(&world, json!({"members": ["bob", "carol"]})).await;
    let message = |more: Value| {
        let mut message = json!({"from": "alice", "to": [id], "type": "txt", "body": {"msg": "hi"}});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    let path = "/messages/chatrooms";
    let sent = world.ok(App, "POST", path, message(json!({"chatroom_msg_level": "high"}))).await;
    let first = sent["data"][&id].as_str().unwrap().to_owned();
    assert_eq!(sent["path"], path);
    for level in ["normal", "low"] {
        world.ok(App, "POST", path, message(json!({"chatroom_msg_level": level}))).await;
    }
    let level = bad("chatroom_msg_level can only be 'high', 'normal' or 'low'");
    world.fails((App, "POST", path), message(json!({"chatroom_msg_level": "x"})), level).await;
    let number = json!(id.parse::<u64>().unwrap());
    world.ok(App, "POST", path, message(json!({"to": [number]}))).await;
    let only = world.ok(App, "POST", "/messages/chatrooms/users", message(json!({"users": ["bob"]}))).await;
    assert!(only["data"][&id].as_str().unwrap() > first.as_str());
    let legacy = json!({"target_type": "chatrooms", "target": [id], "msg": {"type": "txt", "msg": "x"}});
    assert_eq!(world.ok(App, "POST", "/messages", legacy).await["data"][&id], "success");

    let unknown = (404, NOT_FOUND, "do not find this group: 99");
    world.fails((App, "POST", path), message(json!({"to": ["99"]})), unknown).await;
    let eleven: Vec<String> = (1..12).map(|n| n.to_string()).collect();
    world.fails((App, "POST", path), message(json!({"to": eleven})), bad("to has more than 10 rooms")).await;
    // A room is no group.
    world.fails((App, "POST", "/messages/chatgroups"), message(json!({})), (404, NOT_FOUND, &id)).await;
    let some = (App, "POST", "/messages/chatrooms/users");
    world.fails(some, message(json!({"users": []})), bad("users must be a list of 1 to 20 names")).await;
    let other = made(&world, json!({})).await;
    let one = bad("to must be a list of one room");
    world.fails(some, message(json!({"to": [id, other], "users": ["bob"]})), one).await;
    let strangers = "users [nobody] are not members of this group!";
    refused(&world, some, message(json!({"users": ["nobody"]})), strangers).await;
    world.fails((Bob, "POST", path), message(json!({})), UNAUTHORIZED).await;

    let recall = json!({"msg_id": first, "to": id, "chat_type": "chatroom", "from": "alice"});
    let recalled = world.ok(App, "POST", "/messages/msg_recall", recall.clone()).await;
    assert_eq!(
        (&recalled["data"]["recalled"], &recalled["data"]["chattype"]),
        (&json!("yes"), &json!("chatroom"))
    );
    let again = world.ok(App, "POST", "/messages/msg_recall", recall).await;
    assert_eq!(again["data"]["recalled"], "not_found msg");
    let group = json!({"msg_id": first, "to": id, "chat_type": "groupchat", "from": "alice"});
    let other_kind = world.ok(App, "POST", "/messages/msg_recall", group).await;
    assert_eq!(other_kind["data"]["recalled"], "can't find msg to");
}

#[tokio::test]
async fn messages_to_all_rooms() {
    let world = World::with(AppSettings { rate_factor: 1, ..AppSettings::default() }).await;
    let path = "/messages/chatrooms/broadcast";
    let message = json!({"from": "alice", "msg": {"type": "txt", "msg": "hi"}, "chatroom_msg_level": "high"});
    let none = world.ok(App, "POST", path, message.clone()).await;
    assert!(none["data"]["id"].as_str().unwrap().parse::<u64>().is_ok(), "also without a room: {none}");
    let id = made(&world, json!({})).await;
    let to = json!({"to": [id], "type": "txt", "body": {"msg": "hi"}});
    world.ok(App, "POST", "/messages/chatrooms", to).await;
    let sent = world.ok(App, "POST", path, message.clone()).await;
    let data = sent["data"].as_object().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["id"]);
    let recall = json!({"msg_id": data["id"], "to": id, "chat_type": "chatroom", "from": "alice"});
    assert_eq!(world.ok(App, "POST", "/messages/msg_recall", recall).await["data"]["recalled"], "yes");

    world.fails((App, "POST", path), json!({}), bad("msg is required")).await;
    world.fails((App, "POST", path), json!({"msg": {}}), bad("type is required")).await;
    let sender = json!({"from": "", "msg": {"type": "txt", "msg": "hi"}});
    world.fails((App, "POST", path), sender, bad("from can't be empty")).await;
    for sent in 5.. {
        let answer = world.call(App, "POST", path, message.clone()).await;
        if answer.status == 429 {
            assert!(sent >= 10, "10 a minute are allowed");
            break;
        }
        answer.ok();
        assert!(sent < 100, "the limit never came");
    }
}
