//! Soft state, served.

use crate::{
    proto::{
        AddRequest, AddResponse, JoinRequest, JoinResponse, LeaveRequest, LeaveResponse, MembersRequest,
        MembersResponse, RemoveRequest, RemoveResponse, SetIfAbsentRequest, SetIfAbsentResponse, SetRequest,
        SetResponse, ValueRequest, ValueResponse, members_response::Member,
        soft_state_server::SoftState as Service,
    },
    wire::{MEMBERS_PAGE, to_status},
};
use meridian_sdk::{
    Bytes, async_trait,
    futures_util::{StreamExt, stream, stream::BoxStream},
    ports::SoftState,
};
use std::{sync::Arc, time::Duration};
use tonic::{Request, Response, Status};

#[derive(Debug)]
pub(super) struct Served(pub(super) Arc<dyn SoftState>);

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl Service for Served {
    type MembersStream = BoxStream<'static, Result<MembersResponse, Status>>;

    async fn set(&self, request: Request<SetRequest>) -> Answer<SetResponse> {
        let SetRequest { key, value, ttl_ms } = request.into_inner();
        let set = self.0.set(&key, value, Duration::from_millis(ttl_ms)).await;
        answer(set, |()| SetResponse {})
    }

    async fn set_if_absent(&self, request: Request<SetIfAbsentRequest>) -> Answer<SetIfAbsentResponse> {
        let SetIfAbsentRequest { key, value, ttl_ms } = request.into_inner();
        let set = self.0.set_if_absent(&key, value, Duration::from_millis(ttl_ms)).await;
        answer(set, |written| SetIfAbsentResponse { written })
    }

    async fn get(&self, request: Request<ValueRequest>) -> Answer<ValueResponse> {
        answer(self.0.get(&request.get_ref().key).await, |value| ValueResponse { value })
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Answer<RemoveResponse> {
        answer(self.0.remove(&request.get_ref().key).await, |()| RemoveResponse {})
    }

    async fn add(&self, request: Request<AddRequest>) -> Answer<AddResponse> {
        let AddRequest { counter, by, ttl_ms } = request.into_inner();
        answer(self.0.add(&counter, by, Duration::from_millis(ttl_ms)).await, |sum| AddResponse { sum })
    }

    async fn join(&self, request: Request<JoinRequest>) -> Answer<JoinResponse> {
        let JoinRequest { set, member, value, ttl_ms } = request.into_inner();
        let joined = self.0.join(&set, &member, value, Duration::from_millis(ttl_ms)).await;
        answer(joined, |()| JoinResponse {})
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Answer<LeaveResponse> {
        let LeaveRequest { set, member } = request.into_inner();
        answer(self.0.leave(&set, &member).await, |()| LeaveResponse {})
    }

    async fn members(&self, request: Request<MembersRequest>) -> Answer<Self::MembersStream> {
        let members = self.0.members(&request.get_ref().set).await;
        answer(members, |members| stream::iter(pages(members).into_iter().map(Ok)).boxed())
    }
}

fn answer<T, M>(result: meridian_sdk::Result<T>, message: impl FnOnce(T) -> M) -> Answer<M> {
    result.map(|value| Response::new(message(value))).map_err(|error| to_status(&error))
}

/// Members in messages of bounded size.
fn pages(members: Vec<(String, Bytes)>) -> Vec<MembersResponse> {
    let mut pages = Vec::new();
    let (mut page, mut size) = (Vec::new(), 0);
    for (name, value) in members {
        size += name.len() + value.len();
        page.push(Member { name, value });
        if size >= MEMBERS_PAGE {
            pages.push(MembersResponse { members: std::mem::take(&mut page) });
            size = 0;
        }
    }
    if !page.is_empty() {
        pages.push(MembersResponse { members: page });
    }
    pages
}
