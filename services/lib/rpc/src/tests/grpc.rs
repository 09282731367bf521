use std::collections::HashMap;

use matrixon_proto::auth::v1::{
    AuthenticateRequest, AuthenticateResponse, FinishDepartureRequest, FinishDepartureResponse, GetProfilesRequest,
    GetProfilesResponse, ListRevocationsRequest, ListRevocationsResponse, ReportSightingsRequest,
    ReportSightingsResponse,
    auth_client::AuthClient,
    auth_server::{Auth, AuthServer},
};
use tonic::{Request as Call, Response as Answer, Status};

use super::*;
use crate::{ErrorDetail, IDEMPOTENCY_KEY, decode_status, encode_status, local, timing::Timing};

/// Answers `good`, refuses everything else, and keeps a caller waiting who asks for revocations.
struct Accounts {
    keys: parking_lot::Mutex<Vec<String>>,
    waiting: Arc<watch::Sender<usize>>,
    release: Arc<watch::Sender<bool>>,
}

impl Accounts {
    fn new() -> (Arc<Self>, Router) {
        let accounts = Arc::new(Self {
            keys: parking_lot::Mutex::default(),
            waiting: Arc::new(watch::Sender::new(0)),
            release: Arc::new(watch::Sender::new(false)),
        });
        let router = tonic::service::Routes::new(AuthServer::from_arc(accounts.clone())).into_axum_router();
        (accounts, router.reset_fallback())
    }
}

#[tonic::async_trait]
impl Auth for Accounts {
    async fn authenticate(&self, call: Call<AuthenticateRequest>) -> Result<Answer<AuthenticateResponse>, Status> {
        let key = call.metadata().get(IDEMPOTENCY_KEY).expect("every call has a key");
        self.keys.lock().push(key.to_str().unwrap().to_owned());
        if call.get_ref().access_token == "good" {
            return Ok(Answer::new(AuthenticateResponse { user_id: "@a:b".to_owned(), ..Default::default() }));
        }
        Err(encode_status(&ErrorDetail {
            errcode: "M_UNKNOWN_TOKEN".to_owned(),
            message: "who is that?".to_owned(),
            retry_after_ms: 0,
            http_status: 401,
            ..Default::default()
        }))
    }

    async fn list_revocations(
        &self,
        _: Call<ListRevocationsRequest>,
    ) -> Result<Answer<ListRevocationsResponse>, Status> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        self.release.subscribe().wait_for(|release| *release).await.unwrap();
        Ok(Answer::new(ListRevocationsResponse { position: 7, ..Default::default() }))
    }

    async fn finish_departure(
        &self,
        _: Call<FinishDepartureRequest>,
    ) -> Result<Answer<FinishDepartureResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn report_sightings(
        &self,
        _: Call<ReportSightingsRequest>,
    ) -> Result<Answer<ReportSightingsResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_profiles(&self, _: Call<GetProfilesRequest>) -> Result<Answer<GetProfilesResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

fn client(peers: &Peers) -> AuthClient<Rpc> {
    AuthClient::new(peers.role(Role::Room))
}

async fn start() -> (Arc<Accounts>, TestReplica) {
    let (accounts, router) = Accounts::new();
    (accounts, TestReplica::start_at("127.0.0.1:0".parse().unwrap(), router).await)
}

#[tokio::test]
async fn a_local_and_a_remote_service_give_the_same_answers_and_errors() {
    let (_, replica) = start().await;
    let (_, router) = Accounts::new();
    let near = Peers::new(Config::default(), HashMap::from([(Role::Room, local(router))]), Shutdown::new());
    let far = ready_peers(&[&replica]).await;
    let mut errors = Vec::new();
    for peers in [&near, &far] {
        let good = client(peers)
            .authenticate(AuthenticateRequest { access_token: "good".to_owned(), ..Default::default() })
            .await
            .unwrap();
        assert_eq!(good.get_ref().user_id, "@a:b");
        let error = client(peers).authenticate(AuthenticateRequest::default()).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::Unauthenticated);
        errors.push(decode_status(&error));
    }
    assert_eq!(errors[0].errcode, "M_UNKNOWN_TOKEN");
    assert_eq!(errors[0], errors[1]);
    let metrics = matrixon_runtime::metrics::gather();
    let counted = "matrixon_grpc_client_requests_total{code=\"UNAUTHENTICATED\",method=\"matrixon.auth.v1.Auth/Authenticate\",target=\"room\"}";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn a_unary_call_in_flight_survives_its_replica() {
    let ((accounts_a, a), (accounts_b, b)) = (start().await, start().await);
    let peers = ready_peers(&[&a, &b]).await;
    accounts_b.release.send_replace(true);
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let mut client = client(&peers);
            tokio::spawn(async move { client.list_revocations(ListRevocationsRequest::default()).await })
        })
        .collect();
    let mut waiting = accounts_a.waiting.subscribe();
    timeout(LONG, waiting.wait_for(|waiting| *waiting >= 10)).await.unwrap().unwrap();
    a.kill().await;
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().get_ref().position, 7);
    }
}

#[tokio::test]
async fn without_replicas_the_status_is_unavailable() {
    let (_, replica) = start().await;
    replica.kill().await;
    let timing = Timing { patience: Duration::from_millis(100), ..Timing::default() };
    let peers = Peers::with_timing(&config(&[&replica]), HashMap::new(), &Shutdown::new(), timing);
    let status = client(&peers).authenticate(AuthenticateRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(decode_status(&status).http_status, 503);
}

#[tokio::test]
async fn a_timeout_of_the_caller_holds_here_and_there() {
    let (accounts, replica) = start().await;
    let (_, router) = Accounts::new();
    let near = Peers::new(Config::default(), HashMap::from([(Role::Room, local(router))]), Shutdown::new());
    let far = ready_peers(&[&replica]).await;
    for peers in [&near, &far] {
        let mut call = Call::new(ListRevocationsRequest::default());
        call.set_timeout(Duration::from_millis(100));
        let status = client(peers).list_revocations(call).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    }
    // A server bounds the call itself, whoever the client is.
    let (_, router) = Accounts::new();
    let mut direct = AuthClient::new(local(server_router([router], || true)));
    let mut call = Call::new(ListRevocationsRequest::default());
    call.set_timeout(Duration::from_millis(100));
    assert_eq!(direct.list_revocations(call).await.unwrap_err().code(), tonic::Code::DeadlineExceeded);
    assert_eq!(*accounts.waiting.borrow(), 1);
}

#[tokio::test]
async fn a_key_of_the_caller_is_kept() {
    let (accounts, replica) = start().await;
    let peers = ready_peers(&[&replica]).await;
    let mut call = Call::new(AuthenticateRequest { access_token: "good".to_owned(), ..Default::default() });
    call.metadata_mut().insert(IDEMPOTENCY_KEY, "mine".parse().unwrap());
    client(&peers).authenticate(call).await.unwrap();
    assert_eq!(*accounts.keys.lock(), ["mine"]);
}
