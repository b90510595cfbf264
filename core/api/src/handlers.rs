//! The functions that routes name.

use crate::{
    call::{Call, Request},
    discovery,
    error::ApiError,
    files, messages, openapi, people,
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
    ("attributes.capacity", app!(people::attributes::capacity)),
    ("attributes.delete", app!(people::attributes::delete)),
    ("attributes.get", app!(people::attributes::get)),
    ("attributes.get_many", app!(people::attributes::get_many)),
    ("attributes.put", app!(people::attributes::put)),
    ("blocks.add", app!(people::blocks::add)),
    ("blocks.check", app!(people::blocks::check)),
    ("blocks.list", app!(people::blocks::list)),
    ("blocks.remove", app!(people::blocks::remove)),
    ("blocks.remove_many", app!(people::blocks::remove_many)),
    ("clients.logs", app!(token::client_logs)),
    ("contacts.accept", app!(people::contacts::accept)),
    ("contacts.add", app!(people::contacts::add)),
    ("contacts.apply", app!(people::contacts::apply)),
    ("contacts.check", app!(people::contacts::check)),
    ("contacts.clear", app!(people::contacts::clear)),
    ("contacts.decline", app!(people::contacts::decline)),
    ("contacts.import", app!(people::contacts::import)),
    ("contacts.list", app!(people::contacts::list)),
    ("contacts.page", app!(people::contacts::page)),
    ("contacts.remark", app!(people::contacts::remark)),
    ("contacts.remove", app!(people::contacts::remove)),
    ("discovery.document", Handler::Server(|state, request| Box::pin(discovery::document(state, request)))),
    ("files.download", app!(files::download::download)),
    ("files.upload", app!(files::upload::upload)),
    ("messages.recall", app!(messages::recall::recall)),
    ("messages.recall_many", app!(messages::recall::recall_many)),
    ("messages.send", app!(messages::send::send)),
    ("messages.send_legacy", app!(messages::send::send_legacy)),
    ("mutes.get", app!(people::mutes::get)),
    ("mutes.list", app!(people::mutes::list)),
    ("mutes.set", app!(people::mutes::set)),
    ("openapi.document", Handler::Server(|state, request| Box::pin(openapi::document(state, request)))),
    ("presence.get", app!(people::presence::get)),
    ("presence.online_in_group", app!(people::presence::online_in_group)),
    ("presence.publish", app!(people::presence::publish)),
    ("presence.subscribe", app!(people::presence::subscribe)),
    ("presence.subscriptions", app!(people::presence::subscriptions)),
    ("presence.unsubscribe", app!(people::presence::unsubscribe)),
    ("push.bind", app!(people::push::bind)),
    ("push.bindings", app!(people::push::bindings)),
    ("push.language", app!(people::push::language)),
    ("push.nicknames", app!(people::push::nicknames)),
    ("push.set_language", app!(people::push::set_language)),
    ("push.set_template", app!(people::push::set_template)),
    ("push.sync", app!(people::push::sync)),
    ("push.template", app!(people::push::template)),
    ("push.update", app!(people::push::update)),
    ("rtc.token", app!(token::rtc)),
    ("rtc.users", app!(token::rtc)),
    ("silent.get", app!(people::silent::get)),
    ("silent.get_many", app!(people::silent::get_many)),
    ("silent.kinds", app!(people::silent::kinds)),
    ("silent.set", app!(people::silent::set)),
    ("templates.create", app!(people::templates::create)),
    ("templates.delete", app!(people::templates::delete)),
    ("templates.get", app!(people::templates::get)),
    ("templates.update", app!(people::templates::update)),
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
