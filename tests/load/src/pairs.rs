//! The set-up of a run: an app, people in pairs, everybody logged in.

use crate::{
    check::Verdict,
    cli::Target,
    client::{Connection, Login},
    errors::Errors,
    histogram::Histogram,
    receiver::Received,
    rest::{AppAccess, Rest},
    sender::Sent,
    uplink::Texts,
};
use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::future::Future;

/// Logins and REST calls at the same time.
const CONCURRENCY: usize = 16;

#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) sender_name: String,
    pub(crate) sender: Connection,
    pub(crate) receiver: Connection,
    pub(crate) texts: Texts,
}

/// Tokens for the given users of an app, in their order; users are made as needed.
pub(crate) async fn tokens(rest: &Rest, app: &AppAccess, users: &[String]) -> anyhow::Result<Vec<String>> {
    let app_token = rest.app_token(app).await.context("no app token")?;
    in_parallel(users.iter().map(|user| rest.user_token(app, &app_token, user))).await
}

/// Runs some at a time; gives the results in their order, or the first error.
pub(crate) async fn in_parallel<T>(
    work: impl Iterator<Item = impl Future<Output = anyhow::Result<T>>>,
) -> anyhow::Result<Vec<T>> {
    stream::iter(work).buffered(CONCURRENCY).try_collect().await
}

/// A device name that no other run uses.
pub(crate) fn fresh_resource() -> String {
    format!("load_{:016x}", rand::random::<u64>())
}

/// Makes an app with `count` senders `alice…` and as many receivers `bob…`, all logged in.
pub(crate) async fn open(target: &Target, count: usize, length: usize) -> anyhow::Result<Vec<Pair>> {
    let rest = Rest::new(target.listen);
    let app = rest.make_app(target.admin).await.context("cannot make an app")?;
    let names = |prefix: &str| (0..count).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>();
    let (senders, receivers) = (names("alice"), names("bob"));
    let sender_connections = log_in(target, &rest, &app, &senders, |number| number).await?;
    // Of two cores: with the sender, elsewhere, with the sender, elsewhere…
    let receiver_core = |number| number / target.cores();
    let receiver_connections = log_in(target, &rest, &app, &receivers, receiver_core).await?;
    let people = senders.into_iter().zip(receivers);
    let connections = sender_connections.into_iter().zip(receiver_connections);
    Ok(people
        .zip(connections)
        .map(|((alice, bob), (sender, receiver))| Pair {
            texts: Texts::new(&app.app_key, &alice, &bob, length),
            sender_name: alice,
            sender,
            receiver,
        })
        .collect())
}

/// Logs users in on new devices that have nothing to catch up with, each on the core with the number that `core` gives
/// for the user's.
pub(crate) async fn log_in(
    target: &Target,
    rest: &Rest,
    app: &AppAccess,
    users: &[String],
    core: impl Fn(usize) -> usize,
) -> anyhow::Result<Vec<Connection>> {
    let tokens = tokens(rest, app, users).await?;
    let logins = users.iter().zip(tokens).enumerate().map(|(number, (user, token))| Login {
        tls: crate::client::Tls::default(),
        listen: target.core(core(number)),
        app_key: app.app_key.clone(),
        user: user.clone(),
        token,
        resource: fresh_resource(),
        source: None,
    });
    in_parallel(logins.map(|login| async move { Ok(Connection::open(&login).await?.0) })).await
}

/// What all pairs together came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) acknowledged: u64,
    pub(crate) delivered: u64,
    pub(crate) ack_latency: Histogram,
    pub(crate) delivery_latency: Histogram,
    pub(crate) lateness: Histogram,
    pub(crate) refused: Errors,
    pub(crate) broken: Errors,
    pub(crate) verdict: Verdict,
}

impl Outcome {
    pub(crate) fn add(&mut self, sent: &Sent, received: &Received) {
        self.acknowledged += sent.measured;
        self.delivered += received.measured;
        self.ack_latency.merge(&sent.latency);
        self.delivery_latency.merge(&received.latency);
        self.lateness.merge(&sent.lateness);
        self.refused.merge(&sent.refused);
        self.broken.merge(&sent.unanswered);
        self.broken.merge(&received.errors);
        self.verdict.merge(&Verdict::of(&sent.acknowledged, &received.delivered));
    }

    /// What a run must not show, whatever the figures.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = self.verdict.problems();
        if self.broken.total() > 0 {
            problems.push(format!("broken off: {}", self.broken));
        }
        if self.verdict.acknowledged == 0 {
            problems.push("nothing was acknowledged".into());
        }
        problems
    }
}
