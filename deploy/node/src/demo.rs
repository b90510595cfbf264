//! The demo app of a first start.

use anyhow::Context;
use meridian_chat::{App, AppSettings, Chat, ChatError, Registration};
use meridian_types::AppKey;
use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc};

/// The file in the data folder that holds the demo app's credentials.
pub(crate) const FILE: &str = "demo-app.json";

/// Makes `demo#chat` when there is no app at all, and gives it when it is there.
pub(crate) async fn ensure(chat: &Chat, data_dir: &Path) -> anyhow::Result<Option<Arc<App>>> {
    let key = AppKey::parse("demo#chat").context("demo app key")?;
    let app = match chat.app(&key).await {
        Ok(app) => app,
        Err(ChatError::AppNotFound) if chat.apps().await?.is_empty() => {
            // Anyone may register: this app is for trying things out.
            let settings = AppSettings { registration: Registration::Open, ..AppSettings::default() };
            match chat.create_app(&key, settings).await {
                // Cores that start together.
                Err(ChatError::AppExists) => chat.app(&key).await,
                created => created,
            }
            .context("cannot make the demo app")?
        }
        Err(ChatError::AppNotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let path = data_dir.join(FILE);
    if !path.exists() {
        write_credentials(&path, &app).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Some(app))
}

fn write_credentials(path: &Path, app: &App) -> anyhow::Result<()> {
    let json = serde_json::json!({
        "app_key": app.key.as_str(),
        "client_id": app.client_id,
        "client_secret": app.client_secret,
    });
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(serde_json::to_string_pretty(&json)?.as_bytes())?;
    file.write_all(b"\n")?;
    Ok(file.sync_all()?)
}
