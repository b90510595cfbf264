//! The functions that routes name.

use crate::{
    call::{Call, Request},
    discovery,
    error::ApiError,
    files, messages,
    service::{Body, State},
    token, users,
};
use http::Response;
use std::{future::Future, pin::Pin, sync::Arc};

pub(crate) type Answer = Result<Response<Body>, ApiError>;
pub(crate) type AnswerFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

pub(crate) type AppHandler = fn(Call, Body) -> AnswerFuture;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Handler {
    /// A call to an app, after the checks.
    App(AppHandler),
    /// A route outside of all apps.
    Server(fn(Arc<State>, Request) -> AnswerFuture),
}

macro_rules! app {
    ($function:path) => {
        Handler::App(|call, body| Box::pin($function(call, body)))
    };
}

pub(crate) const HANDLERS: &[(&str, Handler)] = &[
    ("discovery.document", Handler::Server(|state, request| Box::pin(discovery::document(state, request)))),
    ("files.download", app!(files::download::download)),
    ("files.upload", app!(files::upload::upload)),
    ("messages.recall", app!(messages::recall::recall)),
    ("messages.recall_many", app!(messages::recall::recall_many)),
    ("messages.send", app!(messages::send::send)),
    ("messages.send_legacy", app!(messages::send::send_legacy)),
    ("token.expiry", app!(token::expiry)),
    ("token.grant", app!(token::grant)),
    ("users.activate", app!(users::account::activate)),
    ("users.batch_status", app!(users::status::batch_status)),
    ("users.deactivate", app!(users::account::deactivate)),
    ("users.delete", app!(users::account::delete)),
    ("users.delete_oldest", app!(users::list::delete_oldest)),
    ("users.disconnect_all", app!(users::sessions::disconnect_all)),
    ("users.disconnect_one", app!(users::sessions::disconnect_one)),
    ("users.get", app!(users::account::get)),
    ("users.list", app!(users::list::list)),
    ("users.offline_count", app!(users::status::offline_count)),
    ("users.offline_status", app!(users::status::offline_status)),
    ("users.register", app!(users::register::register)),
    ("users.resources", app!(users::sessions::resources)),
    ("users.set_password", app!(users::account::set_password)),
    ("users.status", app!(users::status::status)),
];

impl Handler {
    pub(crate) fn named(name: &str) -> Option<Self> {
        HANDLERS.iter().find(|(known, _)| *known == name).map(|(_, handler)| *handler)
    }
}
