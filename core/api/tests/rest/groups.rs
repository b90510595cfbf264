//! Every route of groups: what it answers, and each error that is documented for it. The list at the end makes sure that none
//! is forgotten.

use crate::{
    files::form,
    server::whole,
    world::{Alice, App, Bob, Who, World},
};
use http::Request;
use meridian_chat::AppSettings;
use serde_json::{Value, json};

const FORBIDDEN: (u16, &str) = (403, "forbidden_op");
const NO_RIGHT: &str = "user has no permission to operate this group";

/// A group of alice's with bob in it, made by the app.
async fn made(world: &World, more: Value) -> String {
    let mut group = json!({"groupname": "G", "description": "d", "public": true, "owner": "alice", "members": ["bob"],
        "allowinvites": false});
    group.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = world.ok(App, "POST", "/chatgroups", group).await;
    answer["data"]["groupid"].as_str().unwrap().to_owned()
}

async fn refused(world: &World, call: (Who, &str, &str), body: Value, text: &str) {
    world.fails(call, body, (FORBIDDEN.0, FORBIDDEN.1, text)).await;
}

async fn life(world: &World) {
    let id = made(world, json!({"custom": "c", "maxusers": 300})).await;
    let path = format!("/chatgroups/{id}");
    let details = world.ok(App, "GET", &path, Value::Null).await;
    let group = &details["data"][0];
    for (name, value) in [
        ("id", json!(id)),
        ("name", json!("G")),
        ("description", json!("d")),
        ("membersonly", json!(false)),
        ("allowinvites", json!(false)),
        ("maxusers", json!(300)),
        ("owner", json!("alice")),
        ("custom", json!("c")),
        ("mute", json!(false)),
        ("affiliations_count", json!(2)),
        ("affiliations", json!([{"member": "bob"}, {"owner": "alice"}])),
        ("disabled", json!(false)),
        ("public", json!(true)),
        ("permission", json!("owner")),
    ] {
        assert_eq!(group[name], value, "{name}");
    }
    let seen = world.ok(Bob, "GET", &format!("{path},99?joined_time=true"), Value::Null).await;
    assert_eq!((&seen["count"], &seen["data"][0]["permission"]), (&json!(1), &json!("member")));
    assert!(seen["data"][0]["affiliations"][0]["joined_time"].is_u64());
    let missing = (404, "service_resource_not_found", "do not find this group: 99");
    world.fails((App, "GET", "/chatgroups/99"), Value::Null, missing).await;

    let changes =
        json!({"name": "H", "description": "e", "maxusers": 200, "membersonly": true, "public": true});
    let done = world.ok(Alice, "PUT", &format!("{path}?resource=a1"), changes).await;
    let all =
        json!({"name": true, "description": true, "maxusers": true, "membersonly": true, "public": true});
    assert_eq!(done["data"], all);
    refused(world, (Bob, "PUT", &path), json!({"groupname": "x"}), NO_RIGHT).await;
    let bad = (400, "invalid_parameter", "some of [x] are not valid fields");
    world.fails((App, "PUT", &path), json!({"x": 1}), bad).await;
    let bad = (400, "illegal_argument", "maxusers is less than the number of members");
    world.fails((App, "PUT", &path), json!({"maxusers": 1}), bad).await;

    let page = world.ok(App, "GET", "/chatgroups?limit=1&cursor=", Value::Null).await;
    assert_eq!((&page["data"][0]["affiliations"], &page["data"][0]["type"]), (&json!(2), &json!("group")));
    assert!(page["data"][0]["owner"].as_str().unwrap().ends_with("_alice"));
    assert_eq!(page["params"]["limit"], json!(["1"]));
    let public = world.ok(Bob, "GET", "/publicchatgroups?version=v3&limit=20", Value::Null).await;
    assert_eq!((&public["data"][0]["id"], &public["data"][0]["name"]), (&json!(id), &json!("H")));

    let joined = world.ok(App, "GET", "/users/bob/joined_chatgroups", Value::Null).await;
    assert_eq!(joined["data"], json!([{"groupid": id, "groupname": "H"}]));
    let client = "/users/bob/joined_chatgroups?pagenum=0&pagesize=20&version=v3";
    let joined = world.ok(Bob, "GET", client, Value::Null).await;
    assert_eq!(joined["data"], json!([{"id": id, "name": "H", "disabled": false, "permission": "member"}]));
    assert!(joined["uri"].as_str().unwrap().contains("joined_chatgroups"));
    let joined = world.ok(Bob, "GET", "/chatgroups/user/bob?pagenum=0&pagesize=20", Value::Null).await;
    assert_eq!((&joined["entities"][0]["groupId"], &joined["total"]), (&json!(id), &json!(1)));
    assert!(!joined["uri"].as_str().unwrap().contains("joined_chatgroups"));
    assert_eq!(world.ok(Bob, "GET", "/chatgroups/user/bob/joined_count", Value::Null).await["data"], 1);
    let none = world.ok(App, "GET", "/users/bob/joined_chatgroups?pagenum=2&pagesize=10", Value::Null).await;
    assert_eq!(none["data"], json!([]));

    assert_eq!(
        world.ok(App, "POST", &format!("{path}/disable"), Value::Null).await["data"],
        json!({"disabled": true})
    );
    let disabled = "can not operate this group, reason: group is disabled";
    refused(world, (Alice, "PUT", &path), json!({"groupname": "x"}), disabled).await;
    assert_eq!(
        world.ok(App, "POST", &format!("{path}/enable"), Value::Null).await["data"],
        json!({"disabled": false})
    );

    assert_eq!(
        world.ok(Alice, "PUT", &path, json!({"newowner": "bob"})).await["data"],
        json!({"newowner": true})
    );
    refused(world, (App, "PUT", &path), json!({"newowner": "bob"}), "new owner and old owner are the same")
        .await;
    let stranger = format!("user: carol doesn't exist in group: {id}");
    refused(world, (App, "PUT", &path), json!({"newowner": "carol"}), &stranger).await;
    let unseen = made(world, json!({"groupname": "P", "public": false})).await;
    let names = async |who: Who| {
        let page = world.ok(who, "GET", "/chatgroups?limit=100", Value::Null).await;
        page["data"].as_array().unwrap().iter().map(|row| row["groupname"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(App).await.len(), 2);
    assert_eq!(names(Bob).await, ["H"], "users see the public ones");
    world.ok(App, "DELETE", &format!("/chatgroups/{unseen}"), Value::Null).await;
    refused(world, (Alice, "DELETE", &path), Value::Null, NO_RIGHT).await;
    let gone = world.ok(Bob, "DELETE", &format!("{path}?version=v3"), Value::Null).await;
    assert_eq!((&gone["data"]["success"], &gone["data"]["id"]), (&json!(true), &json!(id)));
    world.call(App, "GET", &path, Value::Null).await.is_error(
        404,
        missing.1,
        &format!("do not find this group: {id}"),
    );
}

async fn beginnings(world: &World) {
    let chosen = made(world, json!({"groupid": "4711", "desc": "x", "members_only": true})).await;
    assert_eq!(chosen, "4711");
    let group = world.ok(App, "GET", "/chatgroups/4711", Value::Null).await;
    assert_eq!(
        (&group["data"][0]["membersonly"], &group["data"][0]["maxusers"]),
        (&json!(true), &json!(200))
    );
    let bad = |text: &'static str| (400, "illegal_argument", text);
    let new = |more: Value| {
        let mut group = json!({"groupname": "G", "description": "d", "public": true, "owner": "alice"});
        group.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        group
    };
    let call = (App, "POST", "/chatgroups");
    world.fails(call, new(json!({"groupid": "4711"})), bad("groupid 4711 exists already")).await;
    world.fails(call, new(json!({"groupid": "x"})), bad("groupid is not legal")).await;
    world.fails(call, new(json!({"groupname": ""})), bad("groupname is required")).await;
    world
        .fails(
            call,
            new(json!({"groupname": "x".repeat(129)})),
            bad("groupname is longer than 128 characters"),
        )
        .await;
    world.fails(call, new(json!({"members": ["nobody"]})), bad("group member nobody doesn't exist")).await;
    world.fails(call, new(json!({"owner": "nobody"})), bad("group member nobody doesn't exist")).await;
    world.fails(call, new(json!({"maxusers": 0})), bad("maxusers must be 1 or more")).await;
    let large = "members size is greater than max user size !: 100000";
    refused(world, call, new(json!({"maxusers": 100_001})), large).await;
    let full = "members size is greater than max user size !";
    refused(world, call, new(json!({"maxusers": 2, "members": ["bob", "carol"]})), full).await;
    // A user's group is theirs.
    let right = (401, "unauthorized", "Unable to authenticate (OAuth)");
    world.fails((Bob, "POST", "/chatgroups"), new(json!({})), right).await;
    let no_user = (404, "service_resource_not_found", "Service resource not found");
    world.fails((Alice, "POST", "/chatgroups"), new(json!({"members": ["nobody"]})), no_user).await;
}

async fn members(world: &World) {
    let id = made(world, json!({})).await;
    let path = format!("/chatgroups/{id}/users");
    let list = world.ok(App, "GET", &format!("{path}?pagenum=1&pagesize=10"), Value::Null).await;
    assert_eq!((&list["data"], &list["count"]), (&json!([{"owner": "alice"}, {"member": "bob"}]), &json!(2)));
    assert_eq!(list["params"]["pagenum"], json!(["1"]));
    let names = world.ok(App, "GET", &format!("{path}?version=v3&limit=10"), Value::Null).await;
    assert_eq!(names["data"], json!(["bob"]));
    let back = world.ok(App, "GET", &format!("{path}?limit=10&sort=desc"), Value::Null).await;
    assert_eq!(back["data"], json!([{"member": "bob"}, {"owner": "alice"}]));
    let bad = (400, "illegal_argument", "sort must be asc or desc");
    world.fails((App, "GET", &format!("{path}?limit=10&sort=x")), Value::Null, bad).await;
    let page =
        world.ok(Bob, "GET", &format!("{path}?cursor=undefined&limit=1&joined_time=true"), Value::Null).await;
    assert!(page["data"][0]["owner"] == "alice" && page["data"][0]["joined_time"].is_u64());
    let cursor = page["cursor"].as_str().unwrap();
    let last = world.ok(Bob, "GET", &format!("{path}?cursor={cursor}&limit=50"), Value::Null).await;
    assert_eq!(last["data"], json!([{"member": "bob"}]));
    assert!(last.get("cursor").is_none());
    // The UI kit's way.
    let page = world.ok(Bob, "GET", &format!("{path}?pagesize=1&version=v3"), Value::Null).await;
    assert!(page["data"][0]["owner"] == "alice" && page["data"][0]["joined_time"].is_u64());
    assert_eq!((&page["count"], &page["params"]["pagesize"]), (&json!(1), &json!(["1"])));
    let cursor = page["cursor"].as_str().unwrap();
    let last =
        world.ok(Bob, "GET", &format!("{path}?pagesize=1&version=v3&cursor={cursor}"), Value::Null).await;
    assert_eq!((&last["data"][0]["member"], last.get("cursor")), (&json!("bob"), None));
    let numbered =
        world.ok(Bob, "GET", &format!("{path}?version=v3&pagenum=2&pagesize=1"), Value::Null).await;
    assert_eq!(numbered["data"], json!([{"member": "bob"}]));

    let online = world.ok(App, "GET", &format!("/presence/online/{id}/type/1"), Value::Null).await;
    assert_eq!(online["result"], 0);
    let added = world.ok(App, "POST", &format!("{path}/carol"), Value::Null).await;
    assert_eq!(
        added["data"],
        json!({"result": true, "groupid": id, "action": "add_member", "user": "carol"})
    );
    let twice = format!("can not join this group, reason:user: carol already in group: {id}");
    refused(world, (App, "POST", &format!("{path}/carol")), Value::Null, &twice).await;
    let unknown = (400, "illegal_argument", "group member nobody doesn't exist");
    world.fails((App, "POST", &path), json!({"usernames": ["nobody"]}), unknown).await;
    let no_user = (404, "service_resource_not_found", "Service resource not found");
    world.fails((App, "POST", &format!("{path}/nobody")), Value::Null, no_user).await;
    let is_joined = |who: &str| format!("/chatgroups/{id}/user/{who}/is_joined");
    assert_eq!(world.ok(App, "GET", &is_joined("carol"), Value::Null).await["data"], true);
    let gone = world.ok(App, "DELETE", &format!("{path}/carol"), Value::Null).await;
    assert_eq!(
        gone["data"],
        json!({"result": true, "groupid": id, "action": "remove_member", "user": "carol"})
    );
    assert_eq!(world.ok(App, "GET", &is_joined("carol"), Value::Null).await["data"], false);
    let stranger = "users [carol] are not members of this group!";
    refused(world, (Alice, "DELETE", &format!("{path}/carol")), Value::Null, stranger).await;
    refused(
        world,
        (App, "DELETE", &format!("{path}/alice")),
        Value::Null,
        "forbidden operation on group owner!",
    )
    .await;
    let some = world.ok(App, "POST", &path, json!({"usernames": ["bob", "carol"]})).await;
    assert_eq!(some["data"], json!({"newmembers": ["carol"], "groupid": id, "action": "add_member"}));
    let some = world.ok(Alice, "DELETE", &format!("{path}/bob%2Cnobody"), Value::Null).await;
    assert_eq!((&some["data"][0]["result"], &some["data"][1]["result"]), (&json!(true), &json!(false)));
    assert_eq!(some["data"][1]["reason"], json!(format!("user: nobody doesn't exist in group: {id}")));
    let strangers = "users [bob, nobody] are not members of this group!";
    refused(world, (App, "DELETE", &format!("{path}/bob,nobody")), Value::Null, strangers).await;
    // Whom a user brings in is asked, as the group says.
    let asked = world.ok(Alice, "POST", &path, json!({"usernames": ["bob"]})).await;
    assert_eq!(asked["data"]["action"], "add_member");
    assert_eq!(world.ok(Bob, "GET", &is_joined("bob"), Value::Null).await["data"], false);
    let many: Vec<String> = (0..61).map(|n| format!("u{n}")).collect();
    let bad = (400, "illegal_argument", "usernames must be a list of 1 to 60 names");
    world.fails((App, "POST", &path), json!({"usernames": many}), bad).await;
    // A full group, and a private one seen from outside.
    let small = made(world, json!({"maxusers": 2, "public": false})).await;
    let path = format!("/chatgroups/{small}/users");
    refused(world, (App, "POST", &format!("{path}/carol")), Value::Null, "group member list is full!").await;
    world.ok(App, "DELETE", &format!("{path}/bob"), Value::Null).await;
    let stranger = "users [bob] are not members of this group!";
    for path in ["users?limit=10", "user/alice/is_joined", "admin", "announcement"] {
        refused(world, (Bob, "GET", &format!("/chatgroups/{small}/{path}")), Value::Null, stranger).await;
    }
    let own = format!("/chatgroups/{small}/user/bob/is_joined");
    assert_eq!(world.ok(Bob, "GET", &own, Value::Null).await["data"], false);
    let missing = (404, "service_resource_not_found", "do not find this group: 99");
    world.fails((Bob, "GET", "/chatgroups/99/user/bob/is_joined"), Value::Null, missing).await;
    let seen = world.ok(Bob, "GET", &format!("/chatgroups/{small}"), Value::Null).await;
    assert_eq!(seen["data"][0]["affiliations"], json!([]));
}

async fn roles_and_lists(world: &World) {
    let id = made(world, json!({"members": ["bob", "carol"]})).await;
    let path = |rest: &str| format!("/chatgroups/{id}/{rest}");
    let done = world.ok(Alice, "POST", &path("admin"), json!({"newadmin": "bob"})).await;
    assert_eq!(done["data"], json!({"result": "success", "newadmin": "bob"}));
    assert_eq!(world.ok(Bob, "GET", &path("admin"), Value::Null).await["data"], json!(["bob"]));
    refused(world, (Bob, "POST", &path("admin")), json!({"newadmin": "carol"}), NO_RIGHT).await;
    refused(
        world,
        (Alice, "POST", &path("admin")),
        json!({"newadmin": "alice"}),
        "forbidden operation on group owner!",
    )
    .await;

    let muted =
        world.ok(Bob, "POST", &path("mute"), json!({"usernames": ["carol"], "mute_duration": -1})).await;
    assert_eq!(muted["data"], json!([{"result": true, "expire": -1, "user": "carol"}]));
    let timed =
        world.ok(App, "POST", &path("mute"), json!({"usernames": ["carol"], "mute_duration": 60_000})).await;
    let until = timed["data"][0]["expire"].as_u64().unwrap();
    assert_eq!(
        world.ok(App, "GET", &path("mute"), Value::Null).await["data"],
        json!([{"expire": until, "user": "carol"}])
    );
    assert_eq!(
        world.ok(Bob, "GET", &format!("/sdk/chatgroups/{id}/mute/bob"), Value::Null).await["data"],
        false
    );
    let bad = (400, "illegal_argument", "mute_duration must be -1 or a number of milliseconds");
    world.fails((App, "POST", &path("mute")), json!({"usernames": ["carol"]}), bad).await;
    let unmuted = world.ok(App, "DELETE", &path("mute/carol"), Value::Null).await;
    assert_eq!(unmuted["data"], json!([{"result": true, "user": "carol"}]));
    refused(
        world,
        (Bob, "POST", &path("mute")),
        json!({"usernames": ["alice"], "mute_duration": 1}),
        "forbidden operation on group owner!",
    )
    .await;

    assert_eq!(world.ok(Bob, "POST", &path("ban"), Value::Null).await["data"], json!({"mute": true}));
    let row = json!({"result": true, "action": "add_user_whitelist", "user": "carol", "groupid": id});
    assert_eq!(world.ok(App, "POST", &path("white/users/carol"), Value::Null).await["data"], row);
    assert_eq!(
        world.ok(Bob, "POST", &path("white/users"), json!({"usernames": ["carol"]})).await["data"],
        json!([row])
    );
    assert_eq!(world.ok(Bob, "GET", &path("white/users"), Value::Null).await["data"], json!(["carol"]));
    let is = world.ok(Bob, "GET", &path("white/users/carol"), Value::Null).await;
    assert_eq!(is["data"], json!({"member": "carol", "white": true}));
    let off = world.ok(Alice, "DELETE", &path("white/users/carol"), Value::Null).await;
    assert_eq!(off["data"][0]["action"], "remove_user_whitelist");
    assert_eq!(world.ok(App, "DELETE", &path("ban"), Value::Null).await["data"], json!({"mute": false}));

    assert_eq!(
        world.ok(Bob, "POST", &path("blocks/users/carol"), Value::Null).await["data"][0]["result"],
        true
    );
    assert_eq!(world.ok(App, "GET", &path("blocks/users"), Value::Null).await["data"], json!(["carol"]));
    let off = world.ok(App, "DELETE", &path("blocks/users/carol"), Value::Null).await;
    assert_eq!(
        off["data"],
        json!({"result": true, "action": "remove_blocks", "user": "carol", "groupid": id})
    );
    let off = world.ok(App, "POST", &path("blocks/users"), json!({"usernames": ["carol"]})).await;
    assert_eq!((&off["data"][0]["result"], &off["data"][0]["action"]), (&json!(false), &json!("add_blocks")));
    assert_eq!(off["data"][0]["reason"], json!(format!("user: carol doesn't exist in group: {id}")));
    let stranger = "users [carol] are not members of this group!";
    for list in ["blocks/users/carol", "white/users/carol"] {
        refused(world, (App, "POST", &path(list)), Value::Null, stranger).await;
    }
    let mute = json!({"usernames": ["carol"], "mute_duration": 1});
    refused(world, (App, "POST", &path("mute")), mute, stranger).await;
    let done = world.ok(Alice, "DELETE", &path("admin/bob"), Value::Null).await;
    assert_eq!(done["data"], json!({"result": "success", "oldadmin": "bob"}));
    refused(world, (Bob, "POST", &path("ban")), Value::Null, NO_RIGHT).await;
    // Even a public group keeps these for its members.
    world.ok(App, "DELETE", &path("users/bob"), Value::Null).await;
    let stranger = "users [bob] are not members of this group!";
    for list in ["mute", "blocks/users", "white/users", "white/users/bob", "share_files", "acks/1"] {
        refused(world, (Bob, "GET", &path(list)), Value::Null, stranger).await;
    }
    world.ok(Bob, "GET", &path("admin"), Value::Null).await;
}

async fn joining(world: &World) {
    let id = made(world, json!({"members": [], "membersonly": true})).await;
    let path = |rest: &str| format!("/chatgroups/{id}/{rest}");
    let asked = world.ok(Bob, "POST", &path("apply"), json!({"message": "pls"})).await;
    assert_eq!(asked["data"], json!({"result": true, "action": "apply", "id": id, "user": "bob"}));
    let verify = |accept| json!({"applicant": "bob", "verifyResult": accept, "reason": "no"});
    world.ok(Alice, "POST", &path("apply_verify"), verify(false)).await;
    refused(world, (Alice, "POST", &path("apply_verify")), verify(true), "there is no application").await;
    let invited = world.ok(Alice, "POST", &path("invite"), json!({"usernames": ["bob"]})).await;
    assert_eq!(
        invited["data"],
        json!([{"result": true, "action": "invite", "id": id, "user": "bob", "reason": ""}])
    );
    let right = (401, "unauthorized", "Unable to authenticate (OAuth)");
    let other = json!({"invitee": "carol", "verifyResult": true});
    world.fails((Bob, "POST", &path("invite_verify")), other, right).await;
    let answered =
        world.ok(Bob, "POST", &path("invite_verify"), json!({"invitee": "bob", "verifyResult": true})).await;
    assert_eq!(answered["data"]["action"], "invite_verify");
    refused(
        world,
        (Bob, "POST", &path("invite_verify")),
        json!({"verifyResult": true}),
        "there is no invitation",
    )
    .await;
    let twice = format!("invite users to join group failed, bob already in group: {id}");
    refused(world, (Alice, "POST", &path("invite")), json!({"usernames": ["bob"]}), &twice).await;
    refused(world, (Bob, "POST", &path("invite")), json!({"usernames": ["carol"]}), NO_RIGHT).await;
    assert_eq!(world.ok(Bob, "POST", &path("shield?version=v3"), Value::Null).await["data"]["result"], true);
    let seen = world.ok(Bob, "GET", &format!("/chatgroups/{id}"), Value::Null).await;
    assert_eq!(seen["data"][0]["shieldgroup"], true);
    world.ok(Bob, "DELETE", &path("shield"), Value::Null).await;
    assert_eq!(world.ok(Bob, "DELETE", &path("quit"), Value::Null).await["data"]["result"], true);
    refused(world, (Bob, "DELETE", &path("quit")), Value::Null, "users [bob] are not members of this group!")
        .await;
    refused(world, (Alice, "DELETE", &path("quit")), Value::Null, "forbidden operation on group owner!")
        .await;
    let private = made(world, json!({"members": [], "public": false})).await;
    refused(
        world,
        (Bob, "POST", &format!("/chatgroups/{private}/apply")),
        json!({}),
        "the group is not public",
    )
    .await;
}

async fn extras(world: &World) {
    let id = made(world, json!({})).await;
    let path = format!("/chatgroups/{id}/announcement");
    assert_eq!(world.ok(Bob, "GET", &path, Value::Null).await["data"], json!({"announcement": ""}));
    let set = world.ok(Alice, "POST", &path, json!({"announcement": "hi"})).await;
    assert_eq!(set["data"], json!({"id": id, "result": true}));
    assert_eq!(world.ok(App, "GET", &path, Value::Null).await["data"], json!({"announcement": "hi"}));
    let long = (400, "illegal_argument", "announcement is longer than 512 characters");
    world.fails((App, "POST", &path), json!({"announcement": "x".repeat(513)}), long).await;
    refused(world, (Bob, "POST", &path), json!({"announcement": "x"}), NO_RIGHT).await;

    let own = format!("/metadata/chatgroup/{id}/user/bob");
    let set = world.ok(App, "PUT", &own, json!({"metaData": {"nick": "B"}})).await;
    assert_eq!(set["data"], json!({"nick": "B"}));
    world.ok(Bob, "PUT", &format!("/sdk{own}?resource=b1"), json!({"metaData": {"x": "y"}})).await;
    assert_eq!(world.ok(Bob, "GET", &own, Value::Null).await["data"], json!({"nick": "B", "x": "y"}));
    let many = json!({"targets": ["bob", "alice"], "properties": ["nick"]});
    for path in [format!("/metadata/chatgroup/{id}/get"), format!("/sdk/metadata/chatgroup/{id}/get")] {
        assert_eq!(
            world.ok(Bob, "POST", &path, many.clone()).await["data"],
            json!({"bob": {"nick": "B"}, "alice": {}})
        );
    }
    // Here the client SDK goes by numbers.
    let coded = async |who: Who, (method, path): (&str, &str), body: Value| {
        let answer = world.call(who, method, path, body).await;
        (answer.status, answer.json()["error_code"].as_u64())
    };
    let set = json!({"metaData": {"x": "y"}});
    let carols = format!("/metadata/chatgroup/{id}/user/carol");
    assert_eq!(coded(App, ("PUT", &carols), set.clone()).await, (404, Some(60003)));
    assert_eq!(coded(App, ("PUT", "/metadata/chatgroup/99/user/bob"), set.clone()).await, (404, Some(60003)));
    let alices = format!("/metadata/chatgroup/{id}/user/alice");
    assert_eq!(coded(Bob, ("PUT", &alices), set).await, (403, Some(60002)));
    let private = made(world, json!({"members": [], "public": false})).await;
    let alices = format!("/metadata/chatgroup/{private}/user/alice");
    assert_eq!(coded(Bob, ("GET", &alices), Value::Null).await, (404, Some(60003)));
    let long = json!({"metaData": {"a-key-that-is-too-long": "y"}});
    assert_eq!(coded(Bob, ("PUT", &own), long).await, (400, Some(60006)));
    let foreign = format!("/sdk/metadata/chatgroup/{id}/user/alice");
    refused(world, (Bob, "PUT", &foreign), json!({"metaData": {"x": "y"}}), NO_RIGHT).await;
    let answer = world.call(Bob, "PUT", &own, json!({"metaData": {"x": "y".repeat(513)}})).await;
    assert_eq!((answer.status, &answer.json()["error_code"]), (400, &json!(60010)));

    let path = format!("/chatgroups/{id}/acks/123?limit=500&key=undefined");
    let readers = world.ok(Bob, "GET", &path, Value::Null).await;
    assert_eq!((&readers["data"]["userlist"], &readers["data"]["is_last"]), (&json!([]), &json!(true)));
}

async fn files(world: &World) {
    let id = made(world, json!({})).await;
    let path = format!("/chatgroups/{id}/share_files");
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
    let list = world.ok(Alice, "GET", &format!("{path}?pagenum=1&pagesize=10"), Value::Null).await;
    assert_eq!((&list["data"][0]["file_id"], &list["count"]), (&json!(file), &json!(1)));
    let bytes = world.call(Alice, "GET", &format!("{path}/{file}"), Value::Null).await;
    assert_eq!((bytes.status, &bytes.bytes[..]), (200, &b"shared"[..]));
    // Its address alone is not enough.
    let open = world.server.call(http::Method::GET, &format!("/chatfiles/{file}"), None, None).await;
    open.is_error(403, FORBIDDEN.1, "chatfile no permission");
    let missing = (404, "service_resource_not_found", "Service resource not found");
    world.fails((App, "DELETE", &format!("{path}/nothing")), Value::Null, missing).await;
    let gone = world.ok(Bob, "DELETE", &format!("{path}/{file}"), Value::Null).await;
    assert_eq!(gone["data"], json!({"group_id": id, "file_id": file, "result": true}));
    world.fails((App, "GET", &format!("{path}/{file}")), Value::Null, missing).await;
    world.ok(App, "DELETE", &format!("/chatgroups/{id}/users/bob"), Value::Null).await;
    let refused = world.server.raw(upload(world.bearer(Bob).to_owned())).await;
    refused.is_error(403, FORBIDDEN.1, "users [bob] are not members of this group!");
}

#[tokio::test]
async fn every_route_of_groups_answers_as_documented() {
    let world = World::new().await;
    life(&world).await;
    beginnings(&world).await;
    members(&world).await;
    roles_and_lists(&world).await;
    joining(&world).await;
    extras(&world).await;
    files(&world).await;
    world.check_all(&[], &["groups"], &[]);
}

#[tokio::test]
async fn limits_of_the_app_are_told() {
    let world = World::with(AppSettings {
        rate_factor: 0,
        max_groups: 2,
        max_joined_groups: 1,
        ..AppSettings::default()
    })
    .await;
    made(&world, json!({})).await;
    let group = |owner: &str| json!({"groupname": "G", "description": "d", "public": true, "owner": owner});
    let joined = "can not join this group, reason: user alice has joined too many groups/chatroom!";
    refused(&world, (App, "POST", "/chatgroups"), group("alice"), joined).await;
    world.ok(App, "POST", "/chatgroups", group("carol")).await;
    let many = "this appKey has create too many groups/chatrooms!";
    refused(&world, (App, "POST", "/chatgroups"), group("carol"), many).await;
}

#[tokio::test]
async fn messages_to_groups() {
    let world = World::new().await;
    let id = made(&world, json!({"members": ["bob", "carol"]})).await;
    let message = |more: Value| {
        let mut message = json!({"from": "alice", "to": [id], "type": "txt", "body": {"msg": "hi"}});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    let sent = world.ok(App, "POST", "/messages/chatgroups", message(json!({}))).await;
    let first = sent["data"][&id].as_str().unwrap().to_owned();
    let only = world.ok(App, "POST", "/messages/chatgroups/users", message(json!({"users": ["bob"]}))).await;
    assert!(only["data"][&id].as_str().unwrap() > first.as_str());
    let legacy = json!({"target_type": "chatgroups", "target": [id], "msg": {"type": "txt", "msg": "x"}});
    assert_eq!(world.ok(App, "POST", "/messages", legacy).await["data"][&id], "success");
    let unknown = (404, "service_resource_not_found", "do not find this group: 99");
    world.fails((App, "POST", "/messages/chatgroups"), message(json!({"to": ["99"]})), unknown).await;
    let bad = (400, "illegal_argument", "to has more than 3 groups");
    world
        .fails((App, "POST", "/messages/chatgroups"), message(json!({"to": ["1", "2", "3", "4"]})), bad)
        .await;
    let bad = (400, "illegal_argument", "users must be a list of 1 to 20 names");
    world.fails((App, "POST", "/messages/chatgroups/users"), message(json!({"users": []})), bad).await;
    let number = json!(id.parse::<u64>().unwrap());
    world.ok(App, "POST", "/messages/chatgroups", message(json!({"to": [number]}))).await;
    let strangers = "users [nobody] are not members of this group!";
    let named = message(json!({"users": ["nobody"]}));
    refused(&world, (App, "POST", "/messages/chatgroups/users"), named, strangers).await;
    let recall = json!({"msg_id": first, "to": id, "chat_type": "groupchat", "from": "alice"});
    let recalled = world.ok(App, "POST", "/messages/msg_recall", recall.clone()).await;
    assert_eq!(
        (&recalled["data"]["recalled"], &recalled["data"]["chattype"]),
        (&json!("yes"), &json!("groupchat"))
    );
    let again = world.ok(App, "POST", "/messages/msg_recall", recall).await;
    assert_eq!(again["data"]["recalled"], "not_found msg");
    world.ok(App, "POST", &format!("/chatgroups/{id}/disable"), Value::Null).await;
    let disabled = "can not operate this group, reason: group is disabled";
    refused(&world, (App, "POST", "/messages/chatgroups"), message(json!({})), disabled).await;
}

#[tokio::test]
async fn messages_to_groups_are_counted_wherever_they_are_sent() {
    let world = World::with(AppSettings::default()).await;
    let id = made(&world, json!({})).await;
    let message = json!({"target_type": "chatgroups", "target": [id], "msg": {"type": "cmd", "action": "x"},
        "routetype": "ROUTE_ONLINE"});
    for sent in 0.. {
        let answer = world.call(App, "POST", "/messages", message.clone()).await;
        if answer.status == 429 {
            assert!(sent >= 20, "20 a second are allowed");
            break;
        }
        answer.ok();
        assert!(sent < 2000, "the limit never came");
    }
}
