//! A tenant made by the real chat logic, from store to store.
#![allow(clippy::unwrap_used, clippy::panic)] // test code

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use meridian_chat::{App, AppSettings, Chat, ChatConfig, NewFile, NewUser, OutgoingMessage, Target};
use meridian_fs::FsBlobs;
use meridian_memory::MemoryStore;
use meridian_ports::{Blobs, Store};
use meridian_postgres::{PgConfig, PgStore};
use meridian_replication::{compare, verify};
use meridian_services::Postgres;
use meridian_sqlite::{SqliteConfig, SqliteStore};
use meridian_transfer::{Summary, TransferError, export, import};
use meridian_types::room::Priority;
use meridian_types::{
    AppKey, Epoch, RegionId, TenantId, UserName,
    msync::{
        Jid, MessageBody,
        message_body::{Content, Type},
    },
};
use prost::Message;
use std::sync::Arc;
use tempfile::TempDir;

const REGION: RegionId = RegionId(0);

/// A store and files, in a folder that goes with them.
struct Place<S> {
    store: Arc<S>,
    blobs: Arc<FsBlobs>,
    _folder: TempDir,
}

impl<S: Store> Place<S> {
    async fn new(store: S, folder: TempDir) -> Self {
        let blobs = Arc::new(FsBlobs::open(folder.path().join("files")).await.unwrap());
        Self { store: Arc::new(store), blobs, _folder: folder }
    }

    async fn chat(&self) -> Chat {
        Chat::open(ChatConfig::default(), self.store.clone(), self.blobs.clone()).await.unwrap()
    }

    async fn export(&self, app: &AppKey) -> (Vec<u8>, Summary) {
        let mut out = Vec::new();
        let summary = export(&*self.store, &*self.blobs, REGION, app, &mut out).await.unwrap();
        (out, summary)
    }

    async fn import(&self, file: &[u8]) -> Result<(AppKey, Summary), TransferError> {
        import(&*self.store, &*self.blobs, REGION, file).await
    }
}

async fn memory() -> Place<MemoryStore> {
    Place::new(MemoryStore::new(), tempfile::tempdir().unwrap()).await
}

async fn sqlite() -> Place<SqliteStore> {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(SqliteConfig::new(folder.path().join("store.db"))).await.unwrap();
    Place::new(store, folder).await
}

fn key(text: &str) -> AppKey {
    AppKey::parse(text).unwrap()
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

async fn send(chat: &Chat, app: &App, from: &str, to: &str, text: &str) {
    let party = |name: &str| Some(Jid { name: Some(name.into()), ..Jid::default() });
    let body = MessageBody {
        r#type: Some(Type::Chat as i32),
        from: party(from),
        to: party(to),
        contents: vec![Content { r#type: Some(0), text: Some(text.into()), ..Content::default() }],
        ..MessageBody::default()
    };
    let message = OutgoingMessage {
        priority: Priority::default(),
        is_broadcast: false,
        from: user(from),
        to: Target::User(user(to)),
        only: Vec::new(),
        body: body.encode_to_vec().into(),
        sync_device: false,
        online_only: false,
        at: None,
    };
    chat.send(app, message).await.unwrap();
}

/// 300,000 bytes: more than one piece of a file.
fn picture() -> Vec<u8> {
    (0..300_000_u32).map(|byte| (byte % 251) as u8).collect()
}

/// Two apps; the second, which is not the first of its store, has users, messages and a file.
async fn fill<S: Store>(place: &Place<S>) -> AppKey {
    let chat = place.chat().await;
    chat.create_app(&key("other#app"), AppSettings::default()).await.unwrap();
    let app = chat.create_app(&key("org#app"), AppSettings::default()).await.unwrap();
    // An app spreads its people over its logs by chance; twenty never share one.
    let people: Vec<String> =
        std::iter::once("alice".into()).chain((1..20).map(|n| format!("p{n}"))).collect();
    for name in &people {
        let new = NewUser { username: user(name), password: Some("secret".into()), nickname: None };
        chat.register(&app, new).await.unwrap();
    }
    for n in 0..700 {
        let (from, to) = (&people[n % people.len()], &people[(n + 1) % people.len()]);
        send(&chat, &app, from, to, &format!("message {n}")).await;
    }
    let file = NewFile {
        name: "picture.png".into(),
        content_type: "image/png".into(),
        restricted: true,
        thumbnail: (170, 170),
        owner: Some(user("alice")),
    };
    let content = Box::pin(stream::once(async { Ok(Bytes::from(picture())) }));
    chat.store_file(&app, file, content).await.unwrap();
    chat.close().await;
    app.key.clone()
}

/// The tenant's part of two stores is equal; what other apps they have may differ.
async fn assert_equal(a: &dyn Store, b: &dyn Store) {
    let differences = compare(a, b, 100).await.unwrap();
    let of_tenant: Vec<_> = differences
        .iter()
        .map(|difference| format!("{difference:?}"))
        .filter(|text| text.contains("LogId(2."))
        .collect();
    assert_eq!(of_tenant, Vec::<String>::new());
}

#[tokio::test]
async fn a_tenant_goes_from_sqlite_to_memory_and_back() {
    there_and_back(memory().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_from_sqlite_to_postgres_and_back() {
    let server = Postgres::start();
    let config = PgConfig::parse(&server.url("postgres")).unwrap();
    let store = PgStore::open(config).await.unwrap();
    let between = Place::new(store, tempfile::tempdir().unwrap()).await;
    let store = between.store.clone();
    there_and_back(between).await;
    store.close().await;
}

/// From SQLite to another store to SQLite.
async fn there_and_back<S: Store>(between: Place<S>) {
    let (first, last) = (sqlite().await, sqlite().await);
    let app = fill(&first).await;
    let (file, summary) = first.export(&app).await;
    assert!(summary.logs > 2 && summary.operations >= 721, "{summary:?}");
    assert_eq!((summary.blobs, summary.blob_bytes, summary.blobs_missing), (1, 300_000, 0));

    assert_eq!(between.import(&file).await.unwrap(), (app.clone(), summary.clone()));
    assert_equal(&*first.store, &*between.store).await;
    verify(&*between.store).await.unwrap();

    let (again, _) = between.export(&app).await;
    assert_eq!(last.import(&again).await.unwrap(), (app.clone(), summary));
    assert_equal(&*first.store, &*last.store).await;
    verify(&*last.store).await.unwrap();

    // Secrets and all: the same app for its clients.
    let (here, there) = (first.chat().await, last.chat().await);
    let (a, b) = (here.app(&app).await.unwrap(), there.app(&app).await.unwrap());
    assert_eq!((a.tenant, &a.uuid, &a.client_secret), (b.tenant, &b.uuid, &b.client_secret));
    let token = here.user_token(&a, &user("alice"), true, None).await.unwrap().token;
    there.identify(&b, &token).await.unwrap();

    // A file is where the app looks for it.
    let mut found = 0;
    for head in last.store.logs(None, 100).await.unwrap() {
        let kind = meridian_types::Kind::new("file");
        for (_, object) in
            last.store.objects(&[head.log], &kind, meridian_ports::ObjectPage::new(None, 10)).await.unwrap()
        {
            let record = there.file(&b, &object.id).await.unwrap().unwrap();
            let content = there.read_file(&b, &record, None).await.unwrap().unwrap();
            let bytes: Vec<Bytes> = content.try_collect().await.unwrap();
            assert_eq!(bytes.concat(), picture());
            found += 1;
        }
    }
    assert_eq!(found, 1);

    // The app lives on, and the next one does not get its number.
    send(&there, &b, "alice", "p1", "after the move").await;
    let next = there.create_app(&key("next#app"), AppSettings::default()).await.unwrap();
    assert_eq!((b.tenant, next.tenant), (TenantId(2), TenantId(3)));
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn what_is_there_is_not_replaced() {
    let source = memory().await;
    let app = fill(&source).await;
    let (file, _) = source.export(&app).await;
    let again = source.import(&file).await.unwrap_err();
    assert!(matches!(again, TransferError::AppExists { .. }), "{again}");

    // Another app has the number.
    let target = memory().await;
    let chat = target.chat().await;
    for name in ["a#a", "b#b"] {
        chat.create_app(&key(name), AppSettings::default()).await.unwrap();
    }
    chat.close().await;
    let taken = target.import(&file).await.unwrap_err();
    assert!(taken.to_string().contains("tenant number 2, which b#b has here"), "{taken}");

    // Logs of the number, of nobody.
    let target = memory().await;
    for head in source.store.logs(None, 100).await.unwrap().iter().filter(|head| head.log.tenant().0 == 2) {
        target.store.claim(head.log, Epoch(9), None).await.unwrap();
    }
    let newer = target.import(&file).await.unwrap_err();
    assert!(matches!(newer, TransferError::NewerEpoch { .. }), "{newer}");

    let nobody = export(&*source.store, &*source.blobs, REGION, &key("no#body"), Vec::new()).await;
    assert!(matches!(nobody, Err(TransferError::NoApp { .. })), "{nobody:?}");
    let elsewhere = import(&*memory().await.store, &*source.blobs, RegionId(1), &file[..]).await;
    assert!(matches!(elsewhere, Err(TransferError::Region { .. })), "{elsewhere:?}");
}

/// Nobody can name anything of the tenant, and no new app gets what was written of it.
async fn assert_invisible(target: &Place<MemoryStore>, app: &AppKey) {
    let chat = target.chat().await;
    assert!(chat.app(app).await.is_err());
    assert!(chat.apps().await.unwrap().is_empty());
    chat.close().await;
}

#[tokio::test]
async fn a_cut_or_damaged_export_is_refused_invisible_and_can_be_imported_whole_afterwards() {
    let source = sqlite().await;
    let app = fill(&source).await;
    let (file, summary) = source.export(&app).await;
    let places = [0, 10, 18, 100, file.len() / 3, file.len() / 2, file.len() - 200_000, file.len() - 9];
    for place in places.into_iter().chain([file.len() - 1]) {
        let target = memory().await;
        let cut = target.import(&file[..place]).await.unwrap_err();
        let clear = matches!(cut, TransferError::CutOff { .. } | TransferError::NotAnExport);
        assert!(clear, "cut at {place}: {cut}");
        assert_invisible(&target, &app).await;

        let mut damaged = file.clone();
        damaged[place] ^= 4;
        let refused = target.import(&damaged).await.unwrap_err();
        let clear = matches!(
            refused,
            TransferError::CutOff { .. }
                | TransferError::Damaged { .. }
                | TransferError::NotAnExport
                | TransferError::Format { .. }
        );
        assert!(clear, "damaged at {place}: {refused}");
        assert_invisible(&target, &app).await;

        // The same store takes the whole file, and goes on where it was.
        assert_eq!(target.import(&file).await.unwrap(), (app.clone(), summary.clone()));
        assert_equal(&*source.store, &*target.store).await;
        verify(&*target.store).await.unwrap();
    }
}

#[tokio::test]
async fn the_number_of_an_unfinished_import_is_not_given_to_a_new_app() {
    let (source, target) = (memory().await, memory().await);
    let app = fill(&source).await;
    let (file, _) = source.export(&app).await;
    target.import(&file[..file.len() - 5]).await.unwrap_err();
    let chat = target.chat().await;
    let new = chat.create_app(&key("new#app"), AppSettings::default()).await.unwrap();
    assert_eq!(new.tenant, TenantId(3), "2 is reserved");
    chat.close().await;
    target.import(&file).await.unwrap();
    assert_equal(&*source.store, &*target.store).await;
}

#[tokio::test]
async fn a_file_that_is_gone_is_told() {
    let source = memory().await;
    let app = fill(&source).await;
    for head in source.store.logs(None, 100).await.unwrap() {
        let kind = meridian_types::Kind::new("file");
        let page = meridian_ports::ObjectPage::new(None, 10);
        for (log, object) in source.store.objects(&[head.log], &kind, page).await.unwrap() {
            source.blobs.delete(&format!("{}/{}", log.tenant(), object.id)).await.unwrap();
        }
    }
    let (file, summary) = source.export(&app).await;
    assert_eq!((summary.blobs, summary.blobs_missing), (0, 1));
    assert_eq!(memory().await.import(&file).await.unwrap().1, summary);
}
