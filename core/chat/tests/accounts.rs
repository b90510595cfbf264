//! Accounts, tokens and logins.

mod common;

use common::{World, body, login, user};
use meridian_chat::{AppSettings, ChatError, Identity, NewUser, OverLimit, TokenError};
use meridian_types::{
    AppKey, Resource,
    session::{CloseReason, Credential, Refusal, SendError},
};

fn ann(password: &str) -> NewUser {
    NewUser { username: user("ann"), password: Some(password.into()), nickname: Some("Ann".into()) }
}

#[tokio::test]
async fn a_user_registers_once_and_is_found() {
    let world = World::new().await;
    let (one, two) =
        tokio::join!(world.chat.register(&world.app, ann("pw")), world.chat.register(&world.app, ann("pw")));
    assert!(one.is_ok() != two.is_ok(), "a name is taken once");
    let found = world.chat.user(&world.app, &user("ANN")).await.unwrap();
    assert_eq!(found.nickname.as_deref(), Some("Ann"));
    assert_eq!(world.chat.user_by_uuid(&world.app, &found.uuid).await.unwrap(), found);
    assert!(matches!(world.chat.user(&world.app, &user("bob")).await, Err(ChatError::UserNotFound)));
    assert!(matches!(world.chat.user_by_uuid(&world.app, "zz").await, Err(ChatError::UserNotFound)));
}

#[tokio::test]
async fn users_are_listed_page_by_page() {
    let world = World::new().await;
    for n in 0..25 {
        world.register(&format!("u{n}")).await;
    }
    let (mut names, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.chat.users(&world.app, cursor.as_deref(), 10).await.unwrap();
        names.extend(page.items.into_iter().map(|user| user.username.to_string()));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 25);
}

#[tokio::test]
async fn a_password_gives_a_token_until_it_changes() {
    let world = World::new().await;
    world.chat.register(&world.app, ann("old")).await.unwrap();
    let issue = |password: &'static str| {
        let world = &world;
        async move { world.chat.user_token_by_password(&world.app, &user("ann"), password, None).await }
    };
    assert!(matches!(issue("wrong").await, Err(ChatError::WrongPassword)));
    let token = issue("old").await.unwrap().token;
    assert_eq!(world.chat.identify(&world.app, &token).await, Ok(Identity::User(user("ann"))));
    let mut session = world.login("ann", "d").await;
    world.chat.set_password(&world.app, &user("ann"), "new").await.unwrap();
    assert_eq!((&mut session.attached.closed).await, Ok(CloseReason::PasswordChanged));
    assert_eq!(world.chat.identify(&world.app, &token).await, Err(TokenError::Revoked));
    assert!(matches!(issue("old").await, Err(ChatError::WrongPassword)));
    assert!(issue("new").await.is_ok());
}

#[tokio::test]
async fn bans_forced_logouts_and_deletions_revoke_tokens() {
    let world = World::new().await;
    let name = user("ann");
    let token = world.token("ann").await;
    let mut session = world.login("ann", "d").await;
    world.chat.set_activated(&world.app, &name, false).await.unwrap();
    let late = session.submission("bob", &body("ann", "bob", "too late"));
    assert_eq!(
        session.submit(late).await,
        Err(SendError::Unavailable),
        "a banned user's session is silent at once"
    );
    assert_eq!((&mut session.attached.closed).await, Ok(CloseReason::Removed));
    assert_eq!(world.chat.identify(&world.app, &token).await, Err(TokenError::Revoked));
    let refused = world.chat.attach(login("ann", "d", token.clone())).await;
    assert_eq!(refused.err(), Some(Refusal::Forbidden));
    assert!(matches!(
        world.chat.user_token(&world.app, &name, false, None).await,
        Err(ChatError::UserBanned)
    ));

    world.chat.set_activated(&world.app, &name, true).await.unwrap();
    assert_eq!(world.chat.identify(&world.app, &token).await, Err(TokenError::Revoked), "stays revoked");
    let mut session = world.login("ann", "d").await;
    let token = world.token("ann").await;
    assert!(world.chat.force_offline(&world.app, &name).await.unwrap());
    assert_eq!((&mut session.attached.closed).await, Ok(CloseReason::Kicked));
    assert_eq!(world.chat.identify(&world.app, &token).await, Err(TokenError::Revoked));

    let token = world.token("ann").await;
    world.chat.delete_user(&world.app, &name).await.unwrap();
    assert_eq!(world.chat.identify(&world.app, &token).await, Err(TokenError::Revoked));
    world.register("ann").await;
    assert_eq!(world.chat.identify(&world.app, &token).await, Err(TokenError::Revoked), "not the same ann");
}

#[tokio::test]
async fn logins_are_refused_for_their_reason() {
    let world = World::new().await;
    let token = world.token("ann").await;
    let attempt = |login| async { world.chat.attach(login).await.err() };
    assert_eq!(attempt(login("bob", "d", token.clone())).await, Some(Refusal::CredentialMismatch));
    assert_eq!(attempt(login("ann", "d", "junk".into())).await, Some(Refusal::CredentialMismatch));
    let mut elsewhere = login("ann", "d", token.clone());
    elsewhere.app_key = "other#app".into();
    assert_eq!(attempt(elsewhere).await, Some(Refusal::AppNotFound));
    let mut verbose = login("ann", "d", token.clone());
    verbose.extension = "x".repeat(1025);
    assert_eq!(attempt(verbose).await, Some(Refusal::Malformed));
    let mut by_password = login("ann", "d", String::new());
    by_password.credential = Credential::Password("pw".into());
    assert_eq!(attempt(by_password).await, Some(Refusal::CredentialMismatch));
    let app_token = world.chat.app_token(&world.app, &world.app.client_id, &world.app.client_secret, None);
    let app_token = app_token.await.unwrap().token;
    assert_eq!(attempt(login("ann", "d", app_token)).await, Some(Refusal::CredentialMismatch));
    assert_eq!(attempt(login("ann", "d", token)).await, None);
}

#[tokio::test]
async fn the_device_policy_kicks_or_refuses() {
    for (over_limit, refused) in [(OverLimit::Kick, None), (OverLimit::Refuse, Some(Refusal::TooManyDevices))]
    {
        let settings = AppSettings { devices_per_platform: 1, over_limit, ..AppSettings::default() };
        let world = World::with(settings).await;
        let mut first = world.login("ann", "d1").await;
        let mut second = login("ann", "d2", world.token("ann").await);
        second.extension = "from the office".into();
        let answer = world.chat.attach(second).await;
        assert_eq!(answer.as_ref().err(), refused.as_ref());
        match over_limit {
            OverLimit::Kick => {
                let reason = CloseReason::Replaced { extension: "from the office".into() };
                assert_eq!((&mut first.attached.closed).await, Ok(reason));
            }
            OverLimit::Refuse => assert!(first.attached.closed.try_recv().is_err()),
        }
        assert_eq!(world.chat.devices(&world.app, &user("ann")).await.len(), 1);
    }
}

#[tokio::test]
async fn one_device_can_be_disconnected() {
    let world = World::new().await;
    let mut phone = world.login("ann", "phone").await;
    let tablet = world.login("ann", "tablet").await;
    let device = Resource::parse("phone").unwrap();
    assert!(world.chat.disconnect(&world.app, &user("ann"), &device).await.unwrap());
    assert_eq!((&mut phone.attached.closed).await, Ok(CloseReason::Kicked));
    assert!(!world.chat.disconnect(&world.app, &user("ann"), &device).await.unwrap());
    drop((phone, tablet));
    assert!(!world.chat.is_online(&world.app, &user("ann")).await);
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let world = World::new().await;
    let key = AppKey::parse("org#other").unwrap();
    let other = world.chat.create_app(&key, AppSettings::default()).await.unwrap();
    assert!(matches!(world.chat.create_app(&key, AppSettings::default()).await, Err(ChatError::AppExists)));
    assert_ne!(other.tenant, world.app.tenant);
    let token = world.token("ann").await;
    assert_eq!(world.chat.identify(&other, &token).await, Err(TokenError::Corrupt));
    assert!(matches!(world.chat.user(&other, &user("ann")).await, Err(ChatError::UserNotFound)));
}
