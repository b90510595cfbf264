//! Every route of the areas around a person: what it answers, and each error that is documented for it. The list at the end
//! makes sure that none is forgotten.

use crate::{
    server::whole,
    world::{Alice, App, Bob, Who, World},
};
use http::Request;
use meridian_chat::AppSettings;
use serde_json::{Value, json};

const AREAS: [&str; 7] = ["attributes", "auth", "contacts", "mutes", "presence", "push", "users"];
/// Built and tested before, with files of their own.
const ELSEWHERE: [&str; 21] = [
    "GET /openapi.json",
    "GET /easemob/server.json",
    "GET /{org}/{app}/sdk/users/{username}/token/expires",
    "POST /{org}/{app}/token",
    "DELETE /{org}/{app}/users",
    "GET /{org}/{app}/users",
    "POST /{org}/{app}/users",
    "POST /{org}/{app}/users/batch/status",
    "DELETE /{org}/{app}/users/{username}",
    "GET /{org}/{app}/users/{username}",
    "POST /{org}/{app}/users/{username}/activate",
    "POST /{org}/{app}/users/{username}/deactivate",
    "GET /{org}/{app}/users/{username}/disconnect",
    "DELETE /{org}/{app}/users/{username}/disconnect/{resource}",
    "GET /{org}/{app}/users/{username}/disconnect/{resource}",
    "GET /{org}/{app}/users/{username}/offline_msg_count",
    "GET /{org}/{app}/users/{username}/offline_msg_status/{message}",
    "POST /{org}/{app}/users/{username}/password",
    "PUT /{org}/{app}/users/{username}/password",
    "GET /{org}/{app}/users/{username}/resources",
    "GET /{org}/{app}/users/{username}/status",
];

const NO_USER: (u16, &str, &str) = (404, "service_resource_not_found", "Service resource not found");

async fn contacts(world: &World) {
    let (alice, bob) = ("/users/alice/contacts", "/users/bob/contacts");
    let ask = json!({"usernames": ["bob"], "reason": "hello"});
    world.ok(Alice, "POST", &format!("{alice}/apply?resource=a1"), ask.clone()).await;
    world.ok(Bob, "POST", &format!("{bob}/decline/users/alice?resource=b1"), Value::Null).await;
    world.ok(Alice, "POST", &format!("{alice}/apply"), ask).await;
    world.ok(Bob, "POST", &format!("{bob}/accept/users/alice"), Value::Null).await;
    let list = world.ok(Alice, "GET", &format!("{alice}/users"), Value::Null).await;
    assert_eq!((&list["data"], &list["count"], &list["entities"]), (&json!(["bob"]), &json!(1), &json!([])));
    world.ok(Alice, "PUT", &format!("{alice}/users/bob?resource=a1"), json!({"remark": "Bobby"})).await;
    let list = world.ok(Alice, "GET", &format!("{alice}/users?needReturnRemark=true"), Value::Null).await;
    assert_eq!(list["entities"], json!([{"username": "bob", "remark": "Bobby"}]));
    world.ok(App, "POST", &format!("{alice}/users/carol"), Value::Null).await;
    let page =
        world.ok(Alice, "GET", &format!("{alice}?needReturnRemark=true&limit=1&cursor="), Value::Null).await;
    assert_eq!(page["data"]["contacts"], json!([{"username": "bob", "remark": "Bobby"}]));
    let cursor = page["data"]["cursor"].as_str().unwrap();
    let last =
        world.ok(App, "GET", &format!("/user/alice/contacts?limit=5&cursor={cursor}"), Value::Null).await;
    assert_eq!(last["data"], json!({"contacts": [{"username": "carol", "remark": null}]}));
    assert!(last.get("cursor").is_none());
    let remark = world.ok(App, "PUT", "/user/alice/contacts/users/carol", json!({"remark": "C"})).await;
    assert_eq!((&remark["status"], &remark["action"]), (&json!("ok"), &json!("put")));

    let check = json!({"username": "alice", "check_list": ["bob", "dave"]});
    let checked = world.ok(App, "POST", "/contacts/check", check).await;
    assert_eq!(
        checked["entities"],
        json!([{"username": "bob", "relation": "friend"}, {"username": "dave", "relation": "not_friend"}])
    );
    let names = json!({"usernames": ["bob", "carol", "nobody", "a b"]});
    let imported = world.ok(App, "POST", "/users/bob/contacts/import?isSendNotice=false", names).await;
    assert_eq!(imported["data"]["success"], json!(["carol"]));
    assert_eq!(imported["data"]["NotExistFailed"], json!(["bob", "nobody", "a b"]));
    let removed = world.ok(Alice, "DELETE", &format!("{alice}/users/bob?resource=a1"), Value::Null).await;
    assert_eq!(removed["entities"][0]["username"], "bob");
    world.ok(App, "DELETE", "/contacts/users/carol", Value::Null).await;
    let list = world.ok(Alice, "GET", &format!("{alice}/users"), Value::Null).await;
    assert_eq!(list["data"], json!([]));

    for (call, body) in [
        ((App, "POST", "/users/alice/contacts/users/nobody"), Value::Null),
        ((App, "POST", "/users/nobody/contacts/users/alice"), Value::Null),
        ((App, "DELETE", "/users/alice/contacts/users/nobody"), Value::Null),
        ((App, "GET", "/users/nobody/contacts/users"), Value::Null),
        ((App, "GET", "/user/nobody/contacts"), Value::Null),
        ((App, "PUT", "/user/alice/contacts/users/nobody"), json!({"remark": "x"})),
        ((Alice, "POST", "/users/alice/contacts/apply"), json!({"usernames": ["nobody"]})),
        ((App, "DELETE", "/contacts/users/nobody"), Value::Null),
        ((App, "POST", "/contacts/check"), json!({"username": "nobody", "check_list": ["a"]})),
    ] {
        world.fails(call, body, NO_USER).await;
    }
    let remark = (Alice, "PUT", "/users/alice/contacts/users/bob");
    let strangers = "updateRemark | they are not friends, please add as a friend first.";
    world.fails(remark, json!({"remark": "x"}), (400, "illegal_argument", strangers)).await;
    let long = json!({"remark": "x".repeat(101)});
    world.fails(remark, long, (400, "illegal_argument", "remark length must less")).await;
    let accept = (Alice, "POST", "/users/alice/contacts/accept/users/bob");
    world.fails(accept, Value::Null, (403, "forbidden_op", "no invitation")).await;
    let check = (App, "POST", "/contacts/check");
    world.fails(check, json!({"username": " "}), (400, "illegal_argument", "username cannot be blank")).await;
    let none = json!({"username": "alice", "check_list": []});
    world.fails(check, none, (400, "illegal_argument", "check_list size must be between 1 and 100")).await;
    let apply = (Alice, "POST", "/users/alice/contacts/apply");
    let bad = (400, "illegal_argument", "usernames must be a list");
    for body in [json!({}), json!({"usernames": []}), json!({"usernames": "bob"}), json!({"usernames": [7]})]
    {
        world.fails(apply, body, bad).await;
    }
    let page = (Alice, "GET", "/users/alice/contacts?limit=51");
    world.fails(page, Value::Null, (400, "illegal_argument", "limit must be between 1 and 50")).await;
    // Nobody acts for somebody else.
    let other = (Bob, "POST", "/users/alice/contacts/apply");
    world
        .fails(other, json!({"usernames": ["bob"]}), (401, "unauthorized", "Unable to authenticate (OAuth)"))
        .await;
}

async fn blocks(world: &World) {
    let people = json!({"usernames": ["bob", "carol"]});
    let added = world.ok(App, "POST", "/users/alice/blocks/users", people.clone()).await;
    assert_eq!((&added["data"], &added["entities"]), (&json!(["bob", "carol"]), &json!([])));
    let list = world.ok(Alice, "GET", "/users/alice/blocks/users", Value::Null).await;
    assert_eq!((&list["data"], &list["count"]), (&json!(["bob", "carol"]), &json!(2)));
    let page = world.ok(App, "GET", "/users/alice/blocks/users?pageSize=1", Value::Null).await;
    assert_eq!((&page["data"], &page["cursor"]), (&json!(["bob"]), &json!("bob")));
    let check = json!({"username": "alice", "check_list": ["bob", "alice"]});
    let checked = world.ok(App, "POST", "/blocks/check", check).await;
    assert_eq!(checked["entities"][0], json!({"username": "bob", "relation": "blacklist"}));
    assert_eq!(checked["entities"][1]["relation"], "not_blacklist");
    let freed = world.ok(App, "DELETE", "/users/alice/blocks/users/bob", Value::Null).await;
    assert_eq!(freed["entities"][0]["username"], "bob");
    assert!(freed["path"].as_str().unwrap().ends_with("/blocks"));
    let added = world.ok(Alice, "POST", "/sdk/user/alice/blocks?resource=a1", people.clone()).await;
    assert_eq!(added["data"], json!(["bob", "carol"]));
    world.ok(Alice, "DELETE", "/sdk/user/alice/blocks?resource=a1", people).await;
    let list = world.ok(Alice, "GET", "/users/alice/blocks/users", Value::Null).await;
    assert_eq!(list["data"], json!([]));

    let nobody = json!({"usernames": ["nobody"]});
    world.fails((App, "POST", "/users/alice/blocks/users"), nobody.clone(), NO_USER).await;
    world.fails((App, "POST", "/users/nobody/blocks/users"), json!({"usernames": ["bob"]}), NO_USER).await;
    world.fails((App, "DELETE", "/users/alice/blocks/users/nobody"), Value::Null, NO_USER).await;
    world.fails((Alice, "DELETE", "/sdk/user/alice/blocks"), nobody, NO_USER).await;
    let oneself = (400, "illegal_argument", "oneself");
    world.fails((Alice, "POST", "/sdk/user/alice/blocks"), json!({"usernames": ["alice"]}), oneself).await;
}

async fn attributes(world: &World) {
    let form = async |who: Who, path: &str, kind: &str, text: &str| {
        world.note("PUT", path);
        let request = Request::builder().method("PUT").uri(format!("/demo/chat{path}"));
        let request = request.header("authorization", format!("Bearer {}", world.bearer(who)));
        world.server.raw(request.header("content-type", kind).body(whole(text.to_owned())).unwrap()).await
    };
    let encoded = "application/x-www-form-urlencoded";
    let path = "/metadata/user/alice";
    let set = form(Alice, path, encoded, "nickname=N%20x&avatarurl=http%3A%2F%2Fa%2Fb").await.ok();
    assert_eq!(set["data"], json!({"nickname": "N x", "avatarurl": "http://a/b"}));
    let fields: Vec<&String> = set.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["data", "duration", "timestamp"]);
    form(App, path, encoded, "sign=").await.ok();
    let got = world.ok(Bob, "GET", path, Value::Null).await;
    assert_eq!(got["data"], json!({"nickname": "N x", "avatarurl": "http://a/b", "sign": ""}));
    let asked = json!({"targets": ["alice", "bob", "nobody"], "properties": ["nickname"]});
    let many = world.ok(Bob, "POST", "/metadata/user/get", asked).await;
    assert_eq!(many["data"], json!({"alice": {"nickname": "N x"}, "bob": {}, "nobody": {}}));
    let size = world.ok(App, "GET", "/metadata/user/capacity", Value::Null).await;
    assert_eq!(size["data"], 11 + 19 + 4);

    let wrong = form(Alice, path, "application/json", "{}").await;
    wrong.is_error(415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type");
    let foreign = form(Bob, path, encoded, "a=b").await;
    foreign.is_error(401, "unauthorized", "Unable to authenticate (OAuth)");
    let large = form(Alice, path, encoded, &format!("ext={}", "x".repeat(2100))).await;
    large.is_error(400, "illegal_argument", "size of metadata for this single user exceeds");
    form(Alice, path, encoded, "").await.is_error(400, "illegal_argument", "attributes");
    let nobody = form(App, "/metadata/user/nobody", encoded, "a=b").await;
    nobody.is_error(404, "service_resource_not_found", "Service resource not found");
    let many: Vec<String> = (0..101).map(|n| format!("u{n}")).collect();
    let call = (App, "POST", "/metadata/user/get");
    world.fails(call, json!({"targets": many}), (400, "BAD_REQUEST", "exceed allowed batch size 100")).await;
    let capacity = (Alice, "GET", "/metadata/user/capacity");
    world.fails(capacity, Value::Null, (401, "unauthorized", "Unable to authenticate")).await;

    for _ in 0..2 {
        assert_eq!(world.ok(Alice, "DELETE", path, Value::Null).await["data"], true);
    }
    assert_eq!(world.ok(Bob, "GET", path, Value::Null).await["data"], json!({}));
    assert_eq!(world.ok(App, "GET", "/metadata/user/capacity", Value::Null).await["data"], 0);
}

async fn presence(world: &World) {
    let path = "/users/alice/presence";
    let said = world.ok(Bob, "POST", "/users/bob/presence/web_1/1", json!({"ext": "busy"})).await;
    assert_eq!(said, json!({"result": "ok"}));
    let followed = world.ok(Alice, "POST", &format!("{path}/600"), json!({"usernames": ["bob"]})).await;
    let record = &followed["result"][0];
    assert_eq!((&record["uid"], &record["ext"]), (&json!("bob"), &json!("busy")));
    assert!(record["expiry"].as_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000);
    let got = world.ok(App, "POST", path, json!({"usernames": ["bob", "carol"]})).await;
    assert_eq!(got["result"][0]["status"], json!({}));
    let never = json!({"uid": "carol", "last_time": "0", "ext": "", "status": []});
    assert_eq!(got["result"][1], never);
    let list = world.ok(Alice, "GET", &format!("{path}/sublist?pageNum=1&pageSize=50"), Value::Null).await;
    assert_eq!(
        (&list["result"]["totalnum"], &list["result"]["sublist"][0]["uid"]),
        (&json!("1"), &json!("bob"))
    );
    let ended = world.ok(Alice, "DELETE", path, json!(["bob"])).await;
    assert_eq!(ended, json!({"result": "ok"}));
    world.ok(Alice, "DELETE", path, json!({"users": ["bob"]})).await;
    let list = world.ok(Alice, "GET", &format!("{path}/sublist"), Value::Null).await;
    assert_eq!(list["result"], json!({"totalnum": "0", "sublist": []}));

    let wrong = |text: &'static str| (400, "illegal_argument", text);
    let publish = (Alice, "POST", "/users/alice/presence/web_1/1");
    world.fails(publish, json!({}), wrong("ext cannot be null")).await;
    world.fails(publish, json!({"ext": "x".repeat(1025)}), wrong("ext is too big ")).await;
    let subscribe = (Alice, "POST", "/users/alice/presence/600");
    world.fails(subscribe, json!({"usernames": []}), wrong("usernames is empty")).await;
    world.fails(subscribe, json!({"usernames": ["alice"]}), wrong("you can't sub yourself")).await;
    let many: Vec<String> = (0..101).map(|n| format!("u{n}")).collect();
    world.fails(subscribe, json!({"usernames": many}), wrong("too many sub presence")).await;
    world.fails((Alice, "POST", path), json!({"usernames": many}), wrong("too many get presences")).await;
    world.fails((Alice, "DELETE", path), json!(many), wrong("too many unsub presence")).await;
    let month = (Alice, "POST", "/users/alice/presence/2592001");
    world.fails(month, json!({"usernames": ["bob"]}), wrong("expiry must be between")).await;
    let group = (App, "GET", "/presence/online/77/type/2");
    world.fails(group, Value::Null, wrong("Type must be 0 or 1.")).await;
    let group = (App, "GET", "/presence/online/77/type/1");
    world.fails(group, Value::Null, (404, "service_resource_not_found", "do not find this group")).await;
}

async fn mutes(world: &World) {
    let set = json!({"username": "alice", "chat": 100, "groupchat": "-1"});
    let done = world.ok(App, "POST", "/mutes", set).await;
    assert_eq!(done["data"], json!({"result": "ok"}));
    let got = world.ok(App, "GET", "/mutes/alice", Value::Null).await;
    let data = &got["data"];
    assert_eq!(data["userid"], "demo#chat_alice");
    assert!((1..=100).contains(&data["chat"].as_i64().unwrap()));
    assert_eq!((&data["groupchat"], &data["chatroom"]), (&json!(-1), &json!(0)));
    assert!(data["unixtime"].as_u64().unwrap() < 1 << 32);
    world.ok(App, "POST", "/mutes", json!({"username": "alice", "chat": 0})).await;
    let list = world.ok(App, "GET", "/mutes?pageNum=1&pageSize=10", Value::Null).await;
    let rows = list["data"]["data"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "one for each kind, ended ones too");
    assert_eq!((&rows[0]["username"], &rows[0]["chat"]), (&json!("alice"), &json!(0)));
    assert_eq!((&rows[1]["groupchat"], rows[1].get("chat")), (&json!(-1), None));
    let none = world.ok(App, "GET", "/mutes/bob", Value::Null).await;
    assert_eq!(none["data"]["chat"], 0);

    let nobody = (400, "required_property_not_found", "Entity user requires a property named username");
    world.fails((App, "POST", "/mutes"), json!({"username": "nobody", "chat": 1}), nobody).await;
    world.fails((App, "POST", "/mutes"), json!({"chat": 1}), nobody).await;
    world.fails((App, "GET", "/mutes/nobody"), Value::Null, nobody).await;
    for wrong in [json!(-2), json!(2_147_483_648_u64), json!("x"), json!(true)] {
        let body = json!({"username": "alice", "chat": wrong});
        world.fails((App, "POST", "/mutes"), body, (400, "illegal_argument", "chat must be")).await;
    }
    let size = (400, "illegal_argument", "pageSize must be between 1 and 50");
    world.fails((App, "GET", "/mutes?pageSize=51"), Value::Null, size).await;
}

async fn push(world: &World) {
    let set = json!({"nickname": "Al", "notification_display_style": "1", "notification_no_disturbing": true,
        "notification_no_disturbing_start": 22, "notification_no_disturbing_end": "7"});
    let user = world.ok(App, "PUT", "/users/alice", set).await;
    let entity = &user["entities"][0];
    assert_eq!((&entity["nickname"], &entity["notification_display_style"]), (&json!("Al"), &json!(1)));
    assert_eq!(entity["notification_no_disturbing_end"], 7);
    let bind = json!({"device_id": "d1", "device_token": "tok", "notifier_name": "cert"});
    let bound = world.ok(Alice, "PUT", "/users/alice", bind.clone()).await;
    assert_eq!(bound["entities"][0]["pushInfo"][0]["device_Id"], "d1");
    let got = world.ok(App, "GET", "/users/alice", Value::Null).await;
    assert_eq!(
        (&got["entities"][0]["device_token"], &got["entities"][0]["nickname"]),
        (&json!("tok"), &json!("Al"))
    );
    let unbind = json!({"device_id": "d1", "device_token": "", "notifier_name": ""});
    let unbound = world.ok(Alice, "PUT", "/users/alice", unbind).await;
    assert!(unbound["entities"][0].get("pushInfo").is_none());
    world.ok(Alice, "PUT", "/users/alice/push/binding", bind.clone()).await;
    let bindings = world.ok(Alice, "GET", "/users/alice/push/binding", Value::Null).await;
    assert_eq!(bindings["entities"], json!([bind]));
    let names =
        json!([{"username": "alice", "push_nickname": "A"}, {"username": "bob", "push_nickname": ""}]);
    let named = world.ok(App, "PUT", "/push/nickname", names).await;
    assert_eq!(
        (&named["entities"][0]["nickname"], named["entities"][1].get("nickname")),
        (&json!("A"), None)
    );

    let language =
        world.ok(Alice, "PUT", "/users/alice/notification/language", json!({"translationLanguage": "EU"}));
    assert_eq!(language.await["data"], json!({"language": "EU"}));
    let language = world.ok(App, "GET", "/users/alice/notification/language", Value::Null).await;
    assert_eq!(language["data"]["language"], "EU");

    let template = json!({"name": "t1", "title_pattern": "{0}", "content_pattern": "{0} {1}"});
    let made = world.ok(App, "POST", "/notification/template", template.clone()).await;
    assert_eq!((&made["data"]["name"], &made["data"]["title_pattern"]), (&json!("t1"), &json!("{0}")));
    world.ok(App, "PUT", "/notification/template", template).await;
    let got = world.ok(App, "GET", "/notification/template/t1", Value::Null).await;
    assert!(got["data"]["updateAt"].as_u64() >= got["data"]["createAt"].as_u64());
    world.ok(Alice, "PUT", "/users/alice/notification/template", json!({"templateName": "t1"})).await;
    let chosen = world.ok(Alice, "GET", "/users/alice/notification/template", Value::Null).await;
    assert_eq!(chosen["data"]["templateName"], "t1");
    world.ok(App, "DELETE", "/notification/template/t1", Value::Null).await;

    let gone = |name: &str| (400, "EntityNotFoundException", format!("{name} template is not exist"));
    let (status, error, text) = gone("t1");
    world.fails((App, "GET", "/notification/template/t1"), Value::Null, (status, error, &text)).await;
    world.fails((App, "DELETE", "/notification/template/t1"), Value::Null, (status, error, &text)).await;
    let choose = (Alice, "PUT", "/users/alice/notification/template");
    world.fails(choose, json!({"templateName": "t1"}), (status, error, &text)).await;
    let no_title = json!({"name": "t1", "content_pattern": "x"});
    let update = (App, "POST", "/notification/template");
    world.fails(update, no_title, (400, "illegal_argument", "title_pattern is required")).await;
    let put = (App, "PUT", "/users/alice");
    let wrong = |text: &'static str| (400, "illegal_argument", text);
    world.fails(put, json!({"notification_display_style": 2}), wrong("between 0 and 1")).await;
    world.fails(put, json!({"notification_no_disturbing_start": 24}), wrong("between 0 and 23")).await;
    world.fails(put, json!({"nickname": "n".repeat(101)}), wrong("NICKNAME_TOO_LONG")).await;
    world.fails((App, "PUT", "/users/nobody"), json!({"nickname": "n"}), NO_USER).await;
    let instant = (App, "POST", "/push/sync/alice");
    world.fails(instant, json!({}), (403, "forbidden_op", "unopened")).await;
}

async fn silent_mode(world: &World) {
    let path = "/users/alice/notification";
    let all = world.ok(Alice, "PUT", &format!("{path}/user/alice?resource=a1"), json!({"type": "AT"})).await;
    assert_eq!(all["data"], json!({"type": "AT"}));
    let all =
        world.ok(Alice, "PUT", &format!("{path}/user/alice"), json!({"ignoreInterval": "8:30-10:15"})).await;
    assert_eq!(all["data"], json!({"type": "AT", "ignoreInterval": "8:30-10:15"}));
    let bob = world.ok(App, "PUT", &format!("{path}/user/bob"), json!({"ignoreDuration": 60_000})).await;
    let until = bob["data"]["ignoreDuration"].as_u64().unwrap();
    let now = bob["timestamp"].as_u64().unwrap();
    assert!((now..=now + 61_000).contains(&until), "the answer says when it ends");
    world.ok(Alice, "PUT", &format!("{path}/chatgroup/g1"), json!({"type": "NONE"})).await;
    let group = world.ok(Alice, "GET", &format!("{path}/chatgroup/g1"), Value::Null).await;
    assert_eq!(group["data"], json!({"type": "NONE"}));
    let some = world.ok(Alice, "GET", &format!("{path}?user=bob,carol&group=g1"), Value::Null).await;
    assert_eq!(some["data"]["user"]["carol"], json!({}));
    assert_eq!(
        (&some["data"]["user"]["bob"]["ignoreDuration"], &some["data"]["group"]["g1"]["type"]),
        (&json!(until), &json!("NONE"))
    );
    let none = world.ok(Alice, "GET", &format!("{path}?user=&group="), Value::Null).await;
    assert_eq!(none["data"], json!({"user": {}, "group": {}}));
    world.ok(Alice, "PUT", &format!("{path}/user/bob"), json!({"type": "ALL"})).await;
    let kinds = world.ok(Alice, "GET", &format!("{path}/mute/type?limit=1"), Value::Null).await;
    assert_eq!(kinds["data"], json!([{"group": "g1", "value": "NONE"}]));
    let cursor = kinds["cursor"].as_str().unwrap();
    let kinds =
        world.ok(Alice, "GET", &format!("{path}/mute/type?limit=9&cursor={cursor}"), Value::Null).await;
    assert_eq!((&kinds["data"], kinds.get("cursor")), (&json!([{"user": "bob", "value": "ALL"}]), None));
    let cleared = world.ok(Alice, "PUT", &format!("{path}/chatgroup/g1"), json!({"type": "DEFAULT"})).await;
    assert_eq!(cleared["data"], json!({}));

    let invalid = |what: &'static str| (400, "illegal_argument", what);
    let set = (Alice, "PUT", "/users/alice/notification/user/bob");
    world.fails(set, json!({"type": "SOME"}), invalid("parameters is invalid : type")).await;
    world
        .fails(set, json!({"ignoreDuration": 604_800_001}), invalid("parameters is invalid : ignoreDuration"))
        .await;
    let all = (Alice, "PUT", "/users/alice/notification/user/alice");
    world
        .fails(
            all,
            json!({"ignoreInterval": "25:00-1:00"}),
            invalid("parameters is invalid : ignoreInterval"),
        )
        .await;
    let kind = (Alice, "GET", "/users/alice/notification/planet/bob");
    world.fails(kind, Value::Null, invalid("parameters is invalid : chattype")).await;
    let many: Vec<String> = (0..21).map(|n| format!("g{n}")).collect();
    let call = format!("/users/alice/notification?group={}", many.join(","));
    world.fails((Alice, "GET", &call), Value::Null, invalid("at most 20")).await;
}

async fn clients(world: &World) {
    for path in ["/client/logs", "/sdk/users/alice/client/logs"] {
        let taken = world.ok(Alice, "POST", path, json!({"resource": "a1", "logContent": "text"})).await;
        assert_eq!(taken, json!({"status": "ok"}));
    }
    let closed = (403, "forbidden_op", "service not open!");
    world.fails((Alice, "GET", "/users/alice/token/rtc"), Value::Null, closed).await;
    world.fails((Alice, "POST", "/rtc_mapper/batch/get"), json!({"data": [1]}), closed).await;
}

#[tokio::test]
async fn every_route_around_a_person_answers_as_documented() {
    let world = World::new().await;
    contacts(&world).await;
    blocks(&world).await;
    attributes(&world).await;
    presence(&world).await;
    mutes(&world).await;
    push(&world).await;
    silent_mode(&world).await;
    clients(&world).await;
    world.check_all(&[], &AREAS, &ELSEWHERE);
}

#[tokio::test]
async fn what_an_app_has_not_opened_says_so() {
    let settings = AppSettings {
        mutes_enabled: false,
        presence_enabled: false,
        max_contacts: 1,
        ..AppSettings::default()
    };
    let world = World::with(settings).await;
    let closed = (403, "forbidden_op", "user_mute is not used for this app");
    world.fails((App, "GET", "/mutes"), Value::Null, closed).await;
    let answer = world.call(Alice, "POST", "/users/alice/presence", json!({"usernames": ["bob"]})).await;
    answer.is_error(400, "service open exception", "the app not open presence");
    assert_eq!(answer.json()["result"], "the app not open presence");
    world.ok(App, "POST", "/users/alice/contacts/users/bob", Value::Null).await;
    let more = (App, "POST", "/users/alice/contacts/users/carol");
    world.fails(more, Value::Null, (403, "exceed_limit", "user contact number exceed limit")).await;
    let apply = (Alice, "POST", "/users/alice/contacts/apply");
    world
        .fails(apply, json!({"usernames": ["carol"]}), (403, "exceed_limit", "Inviter's contact max count"))
        .await;
}
