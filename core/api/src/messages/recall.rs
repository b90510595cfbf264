//! Recalls: `POST /messages/msg_recall`, and the older `POST /messages/recall`.
//!
//! A recall that comes too late is no error: the answer is 200 and a word says what became of it.

use super::send::sender;
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use meridian_chat::{RecallOutcome, RecallRequest, Target};
use meridian_types::{MessageId, MucId, MucKind, UserName};
use serde_json::{Map, Value, json};

/// Recalls of one call; so many fit in the size limit of a body anyway.
const MAX_BATCH: usize = 100;

type Fields = Map<String, Value>;

/// `POST /messages/msg_recall`
pub(crate) async fn recall(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let order = Order::parse(&fields)?;
    let word = order.run(&call).await?;
    let data = json!({
        "recalled": word,
        "chattype": order.chat_type,
        "from": order.from.as_str(),
        "to": order.to_text,
        "msg_id": order.id_text,
    });
    Ok(Envelope::full(&call, "/messages/msg_recall").data(data).into_response())
}

/// `POST /messages/recall`
pub(crate) async fn recall_many(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let Some(items) = fields.get("msgs").and_then(Value::as_array).filter(|items| !items.is_empty()) else {
        return Err(ApiError::illegal_argument("msgs must be a list of messages"));
    };
    if items.len() > MAX_BATCH {
        return Err(ApiError::illegal_argument(format!("msgs has more than {MAX_BATCH} messages")));
    }
    let orders: Vec<Order> = items
        .iter()
        .map(|item| {
            Order::parse(item.as_object().ok_or_else(|| ApiError::json_parse("msgs must hold objects"))?)
        })
        .collect::<Result<_, _>>()?;
    let mut results = Vec::with_capacity(orders.len());
    for order in orders {
        let word = order.run(&call).await?;
        results.push(json!({ "msg_id": order.id_text, "recalled": word }));
    }
    Ok(Envelope::full(&call, "/messages/recall").data(json!({ "msgs": results })).into_response())
}

#[derive(Debug)]
struct Order {
    id_text: String,
    chat_type: &'static str,
    to_text: String,
    from: UserName,
    force: bool,
}

impl Order {
    fn parse(fields: &Fields) -> Result<Self, ApiError> {
        let chat_type = match body_reader::text(fields, "chat_type")? {
            Some("chat") => "chat",
            Some("groupchat") => "groupchat",
            Some("chatroom") => "chatroom",
            _ => {
                return Err(ApiError::illegal_argument(
                    "chat_type can only be 'chat', 'groupchat' or 'chatroom'",
                ));
            }
        };
        let id_text = match fields.get("msg_id") {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return Err(ApiError::illegal_argument("msg_id is required")),
        };
        let to_text = match fields.get("to") {
            // Ids of groups and rooms are also written as numbers.
            Some(Value::Number(number)) if chat_type != "chat" => number.to_string(),
            _ => body_reader::text(fields, "to")?.unwrap_or_default().to_owned(),
        };
        if to_text.is_empty() {
            return Err(ApiError::illegal_argument("to is required"));
        }
        let (from, force) = (sender(fields)?, body_reader::flag(fields, "force")?);
        Ok(Self { id_text, chat_type, to_text, from, force })
    }

    /// Runs the recall; the documented word for what became of it.
    async fn run(&self, call: &Call) -> Result<&'static str, ApiError> {
        let to = match self.chat_type {
            "chat" => UserName::parse(&self.to_text).ok().map(Target::User),
            chat_type => {
                let is_wanted = |id: &MucId| (id.kind() == MucKind::Room) == (chat_type == "chatroom");
                MucId::parse(&self.to_text).filter(is_wanted).map(Target::Muc)
            }
        };
        let Some(to) = to else { return word(RecallOutcome::NoConversation) };
        let Ok(id) = self.id_text.parse() else {
            return word(RecallOutcome::NotFound);
        };
        let request =
            RecallRequest { message_id: MessageId(id), from: self.from.clone(), to, force: self.force };
        word(call.state.chat.recall(&call.app, request).await?)
    }
}

fn word(outcome: RecallOutcome) -> Result<&'static str, ApiError> {
    match outcome {
        RecallOutcome::Recalled => Ok("yes"),
        RecallOutcome::NoConversation => Ok("can't find msg to"),
        RecallOutcome::TooLate => Ok("exceed recall time limit"),
        RecallOutcome::NotFound => Ok("not_found msg"),
        RecallOutcome::Disabled => Err(ApiError::recall_disabled()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Result<Order, (u16, String)> {
        Order::parse(value.as_object().unwrap())
            .map_err(|error| (error.status.as_u16(), error.description.into_owned()))
    }

    #[test]
    fn a_recall_is_read() {
        let order = read(json!({"msg_id": 12, "to": "Bob", "chat_type": "chat", "force": true})).unwrap();
        assert_eq!((order.id_text.as_str(), order.to_text.as_str()), ("12", "Bob"));
        assert_eq!((order.from.as_str(), order.force), ("admin", true));
        let order = read(json!({"msg_id": "12", "to": "bob", "chat_type": "chat", "from": "alice"})).unwrap();
        assert_eq!((order.from.as_str(), order.force), ("alice", false));
    }

    #[test]
    fn mistakes_are_named() {
        let status = |value| read(value).unwrap_err().0;
        assert_eq!(status(json!({"msg_id": "1", "chat_type": "chat"})), 400);
        assert_eq!(status(json!({"to": "bob", "chat_type": "chat"})), 400);
        assert_eq!(status(json!({"msg_id": "1", "to": "bob"})), 400);
        assert_eq!(status(json!({"msg_id": "1", "to": "bob", "chat_type": "x"})), 400);
        let order = read(json!({"msg_id": "1", "to": 7, "chat_type": "chatroom"})).unwrap();
        assert_eq!((order.chat_type, order.to_text.as_str()), ("chatroom", "7"));
        let order = read(json!({"msg_id": "1", "to": "7", "chat_type": "groupchat"})).unwrap();
        assert_eq!(order.chat_type, "groupchat");
        let order = read(json!({"msg_id": "1", "to": 7, "chat_type": "groupchat"})).unwrap();
        assert_eq!(order.to_text, "7");
        assert_eq!(status(json!({"msg_id": "1", "to": 7, "chat_type": "chat"})), 400);
    }

    #[test]
    fn outcomes_have_the_documented_words() {
        assert_eq!(word(RecallOutcome::Recalled).unwrap(), "yes");
        assert_eq!(word(RecallOutcome::NoConversation).unwrap(), "can't find msg to");
        assert_eq!(word(RecallOutcome::TooLate).unwrap(), "exceed recall time limit");
        assert_eq!(word(RecallOutcome::NotFound).unwrap(), "not_found msg");
        let error = word(RecallOutcome::Disabled).unwrap_err();
        assert_eq!((error.status.as_u16(), error.error), (403, "forbidden_op"));
    }
}
