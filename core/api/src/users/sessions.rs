//! A user's connected devices.

use crate::{call::Call, envelope::Envelope, handlers::Answer, service::Body};
use meridian_types::Resource;
use serde_json::{Value, json};

/// `GET /users/{username}/disconnect`: every device, and every token with them.
pub(crate) async fn disconnect_all(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let result = call.state.chat.force_offline(&call.app, &user.username).await?;
    Ok(Envelope::plain(&call, json!({ "result": result }), 0).into_response())
}

/// `GET` or `DELETE /users/{username}/disconnect/{resource}`
pub(crate) async fn disconnect_one(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let result = match Resource::parse(call.param("resource")) {
        Ok(device) => call.state.chat.disconnect(&call.app, &user.username, &device).await?,
        // No device has such a name.
        Err(_) => false,
    };
    Ok(Envelope::plain(&call, json!({ "result": result }), 0).into_response())
}

/// `GET /users/{username}/resources`
pub(crate) async fn resources(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let devices = call.state.chat.devices(&call.app, &user.username).await;
    let data: Vec<Value> = devices
        .iter()
        .map(|device| {
            json!({
                "res": device.resource.as_str(),
                "device_uuid": device.uuid,
                "device_name": device.name,
            })
        })
        .collect();
    let count = data.len();
    Ok(Envelope::plain(&call, data, count).into_response())
}
